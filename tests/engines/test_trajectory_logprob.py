"""A trajectory's log-probability, the score that needs no training: of what the policy wrote, at temperature 1."""

from __future__ import annotations

import asyncio

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.engines.open import open_policy
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.models import find_model
from rstar_math.search.environment import Environment
from rstar_math.search.strategies import strategy
from rstar_math.tree import Tree
from rstar_math.types import Problem, Trajectory

PROBLEM = Problem("p", "Ben has 12 pens and buys 30 more. How many pens has Ben now?", "42")
POLICY = find_model("pocket").policy_folder


def grow(name: str) -> Tree:
    async def run() -> Tree:
        engine = open_policy(POLICY, RuntimeSettings(device="cpu"))
        env = Environment(PROBLEM, engine, FakeExecutor(), FakeGrader(), seed=3)
        search = SearchSettings(num_rollouts=6, num_candidates=3, temperature=0.7, top_p=0.9, use_ppm=False)
        tree = await strategy(name).grow(env, search)
        await engine.aclose()
        return tree

    return asyncio.run(run())


def expected(trajectory: Trajectory) -> tuple[float, int]:
    """From one forward pass of transformers over the whole text: of all tokens but the prompt's and the output's."""
    tokenizer, model = AutoTokenizer.from_pretrained(POLICY), AutoModelForCausalLM.from_pretrained(POLICY)
    pieces = [(steps.prompt(PROBLEM.question), False), *steps.loss_segments(trajectory.steps)]
    ids, written = [], []
    for text, by_policy in pieces:  # markers stand at every border, so that no token crosses one
        part = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += part
        written += [by_policy] * len(part)
    with torch.inference_mode():
        logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)  # [T, V]
    found = [logprobs[i - 1, ids[i]].item() for i in range(1, len(ids)) if written[i]]
    return sum(found), len(found)


@pytest.mark.parametrize("name", ["sample", "mcts"])
def test_it_is_the_sum_over_the_tokens_that_the_policy_wrote(name: str) -> None:
    trajectories = grow(name).trajectories()
    assert trajectories
    for trajectory in trajectories:
        logprob, num_tokens = expected(trajectory)
        assert trajectory.logprob == pytest.approx(logprob, abs=2e-3)
        assert trajectory.num_tokens == num_tokens
    assert len({round(t.logprob, 3) for t in trajectories}) == len({steps.render(t.steps) for t in trajectories})
