"""A tree depends on its problem, its seed and its models, not on what ran beside it, nor on who answered first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from rstar_math.config import SearchSettings
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.environment import Environment
from rstar_math.search.strategies import STRATEGIES, strategy
from rstar_math.types import Problem
from tests.growing import timeless_row

NUM_PROBLEMS = 64
CASES = {
    "mcts, terminal-guided": ("mcts", SearchSettings(num_rollouts=6, num_candidates=4, use_ppm=False)),
    "mcts, PPM-augmented": ("mcts", SearchSettings(num_rollouts=6, num_candidates=4)),
    "mcts, answering": ("mcts", SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm")),
    "mcts, parallel leaves": ("mcts", SearchSettings(num_rollouts=9, num_candidates=4, num_parallel=3)),
    "mass": ("mass", SearchSettings(num_rollouts=4, num_candidates=6, num_parallel=2, num_widen=2)),
    "entropy": ("entropy", SearchSettings(num_rollouts=4, num_candidates=6)),
    "particles": ("particles", SearchSettings(num_candidates=6)),
    "ab_mcts": ("ab_mcts", SearchSettings(num_rollouts=9, num_candidates=6, num_parallel=3, num_widen=2)),
    "forest": ("forest", SearchSettings(num_rollouts=6, num_candidates=4, num_parallel=3)),
    "beam": ("beam", SearchSettings(num_candidates=8, beam_width=3)),
    "diverse_beam": ("diverse_beam", SearchSettings(num_candidates=8, beam_width=3)),
    "sample": ("sample", SearchSettings(num_rollouts=6)),
    "greedy": ("greedy", SearchSettings()),
}


def _grow_all(name: str, search: SearchSettings, concurrency: int, latency_seed: int) -> tuple[list[Any], int]:
    """The trees of all problems over one shared engine, and the most requests that were in flight at once."""
    policy = FakePolicy(error_rate=0.1)
    engine = FakeEngine(policy, max_latency_turns=7, latency_seed=latency_seed)
    reward_model = FakeRewardModel(max_latency_turns=5, latency_seed=latency_seed)
    executor = FakeExecutor(max_latency_turns=4, latency_seed=latency_seed)
    grader = FakeGrader()

    async def run() -> list[Any]:
        gate = asyncio.Semaphore(concurrency)

        async def one(problem: Problem) -> Any:
            async with gate:
                env = Environment(problem, engine, executor, grader, reward_model, seed=3)
                return timeless_row(await strategy(name).grow(env, search))

        # the same question twice: problems are known by id
        problems = [Problem(f"p{i}", f"Question {i // 2}?", str(i % 3)) for i in range(NUM_PROBLEMS)]
        return await asyncio.gather(*map(one, problems))

    return asyncio.run(run()), engine.max_in_flight


@pytest.mark.parametrize("case", CASES)
def test_the_same_tree_at_any_concurrency(case: str) -> None:
    name, search = CASES[case]
    alone, in_flight = _grow_all(name, search, concurrency=1, latency_seed=0)
    one_by_one = name == "greedy" or (name == "mcts" and search.num_parallel == 1)
    assert in_flight == 1 or not one_by_one
    for concurrency in (8, 64):
        together, in_flight = _grow_all(name, search, concurrency, latency_seed=concurrency)
        assert in_flight >= concurrency // 2
        assert together == alone
    assert len({str(row["nodes"]) for row in alone}) > NUM_PROBLEMS // 4


def test_every_strategy_is_covered() -> None:
    assert {name for name, _ in CASES.values()} == set(STRATEGIES)


@pytest.mark.parametrize("case", ["mcts, PPM-augmented", "sample"])
def test_another_seed_or_problem_grows_another_tree(case: str) -> None:
    name, search = CASES[case]

    def grow(problem_id: str, seed: int) -> list[Any]:
        problem = Problem(problem_id, "The same question?", "1")
        env = Environment(problem, FakeEngine(), FakeExecutor(), FakeGrader(), FakeRewardModel(), seed)
        return list(timeless_row(asyncio.run(strategy(name).grow(env, search)))["nodes"])

    assert grow("a", 0) == grow("a", 0)
    assert grow("a", 0) != grow("a", 1)
    assert grow("a", 0) != grow("b", 0)


def test_the_reference_does_not_steer_what_is_proposed() -> None:
    """Only the values of answers depend on it: two references give the same tree where all rewards are equal."""
    search = SearchSettings(num_rollouts=8, use_ppm=False, failure_value=-1)
    trees = []
    for reference in ("no such answer", "nor this one"):
        problem = replace(Problem("p", "Question?"), answer=reference)
        env = Environment(problem, FakeEngine(), FakeExecutor(), FakeGrader(), None, 5)
        trees.append(timeless_row(asyncio.run(strategy("mcts").grow(env, search)))["nodes"])
    assert trees[0] == trees[1]
