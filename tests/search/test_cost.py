"""What a search says it cost is what its adapters saw, to the token."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.config import SearchSettings
from rstar_math.engines.base import Generation, Score
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel, num_fake_tokens
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.environment import Environment
from rstar_math.search.strategies import STRATEGIES, grow
from rstar_math.types import Execution, Problem, SamplingParams, Verdict


class CountingEngine(FakeEngine):
    """Counts the tokens that go through it."""

    tokens_prompt = tokens_generated = 0

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        generation = await super().generate(prompt, params)
        self.tokens_prompt += num_fake_tokens(prompt)
        self.tokens_generated += sum(c.num_tokens for c in generation.completions)
        assert len(generation.completions) == params.n
        return generation


class CountingRewardModel(FakeRewardModel):
    """Counts the tokens that it reads."""

    tokens_scored = 0

    async def score(self, texts: Sequence[str]) -> list[Score]:
        self.tokens_scored += sum(map(num_fake_tokens, texts))
        return await super().score(texts)


class TimedExecutor(FakeExecutor):
    """Says that every step takes 0.25 CPU seconds."""

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        execution = await super().execute(prefix, code)
        return Execution(execution.status, execution.output, execution.error, seconds=0.25)


class TimedGrader(FakeGrader):
    """Says that every comparison takes 2 CPU seconds."""

    async def grade(self, gold: str, prediction: str | None) -> Verdict:
        verdict = await super().grade(gold, prediction)
        return Verdict(verdict.equal, verdict.rule, seconds=2.0)


CHOOSE_STEPS = ("beam", "diverse_beam", "forest", "ab_mcts", "mass", "entropy", "particles")
"""Strategies that choose steps by a reward model."""


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    st.builds(
        SearchSettings,
        num_rollouts=st.integers(1, 10),
        num_candidates=st.integers(1, 6),
        num_answer_candidates=st.sampled_from([None, 2]),
        use_ppm=st.booleans(),
        terminal_value=st.sampled_from(["reference", "ppm"]),
    ),
    st.integers(0, 10**6),
)
def test_cost_is_exact(name: str, search: SearchSettings, seed: int) -> None:
    engine, reward_model = CountingEngine(FakePolicy()), CountingRewardModel()
    executor, grader = TimedExecutor(), TimedGrader()
    if name in CHOOSE_STEPS:
        search = search.model_copy(
            update={"use_ppm": True, "num_candidates": 2 * search.num_candidates, "beam_width": 2}
        )
    env = Environment(Problem("p", "Question?", "1"), engine, executor, grader, reward_model, seed)
    tree = asyncio.run(grow(name, env, search))
    cost = tree.cost
    assert cost.tokens_prompt == engine.tokens_prompt > 0
    assert cost.tokens_generated == engine.tokens_generated > 0
    assert cost.tokens_scored == reward_model.tokens_scored
    assert cost.model_calls == engine.num_requests + reward_model.num_requests
    assert cost.executions == executor.num_executions
    assert cost.grades == grader.num_grades
    assert cost.cpu_seconds == 0.25 * executor.num_executions + 2.0 * grader.num_grades
    assert cost.seconds > 0
    # every generated token stands at a node: merged candidates count as often as they were proposed
    booked = sum(node.num_tokens * node.num_proposed for node in tree.nodes)
    assert booked == cost.tokens_generated
    if not search.use_ppm and (search.terminal_value == "reference" or name in ("sample", "greedy")):
        assert cost.tokens_scored == 0
    if search.terminal_value == "ppm":
        assert cost.grades == 0
