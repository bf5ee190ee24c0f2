"""Deterministic mode on the shipped model: the same trees, to the last bit, however many searches run and who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from rstar_math import RStarMathModel
from rstar_math.config import AnsweringSettings, RuntimeSettings, SearchSettings
from rstar_math.models import find_model
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.mcts import mcts
from rstar_math.tree import Tree
from rstar_math.types import Problem, Solution
from rstar_math.workbench import open_workbench
from rstar_math.workers import Answered, AnswerJob, SearchJob, Task, WorkerPool
from tests.growing import timeless_row

POCKET = find_model("pocket")
SEARCH = SearchSettings(num_rollouts=3, num_candidates=5, max_step_tokens=64)
ANSWERING = AnsweringSettings(
    search=SEARCH.model_copy(update={"terminal_value": "ppm", "num_rollouts": 2}), num_trees=2
)
PROBLEMS = pocket_problems("validation", 4)


def runtime(concurrency: int) -> RuntimeSettings:
    return RuntimeSettings(num_workers=1, device="cpu", concurrency=concurrency, deterministic=True)


def row_of(tree: Tree) -> dict[str, Any]:
    """Everything about a tree but the time that it and its programs took."""
    row = timeless_row(tree)
    for node in row["nodes"]:
        if node["execution"]:
            del node["execution"]["seconds"]
    return row


def grow_here(problems: Sequence[Problem], concurrency: int) -> dict[str, Any]:
    """Trees by problem, grown in this process."""

    async def run() -> list[Tree]:
        gate = asyncio.Semaphore(concurrency)

        async with open_workbench(POCKET.policy, POCKET.ppm, runtime(concurrency)) as bench:

            async def one(problem: Problem) -> Tree:
                async with gate:
                    return await mcts(bench.environment(problem, 7), SEARCH)

            return list(await asyncio.gather(*map(one, problems)))

    return {tree.problem.id: row_of(tree) for tree in asyncio.run(run())}


def said(solution: Solution) -> dict[str, tuple[Any, ...]]:
    """What a solution says, with every digit: of each finished trajectory its answer, scores and probability."""
    return {
        "chosen": (solution.answer, solution.confidence, [step.text for step in solution.reasoning_trace]),
        "candidates": tuple((t.answer, t.ppm_scores, t.q_values, t.logprob) for t in solution.candidates),
    }


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As many torch threads as a program has that sets none, on a machine with two cores; workers have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_neither_concurrency_nor_the_process_changes_a_tree(two_threads: None) -> None:
    together = grow_here(PROBLEMS, 4)
    assert len({str(row["nodes"]) for row in together.values()}) == len(PROBLEMS)
    assert grow_here(PROBLEMS[::-1], 1) == together
    job = SearchJob(POCKET.policy, POCKET.ppm, "mcts", SEARCH)
    with WorkerPool(runtime(3)) as pool:
        elsewhere = {task.problem.id: result for task, result in pool.run(job, [Task(p, 7) for p in PROBLEMS])}
        assert {name: row_of(tree) for name, tree in elsewhere.items() if isinstance(tree, Tree)} == together

        # the Python API, one question after the other, against the workers that the commands use
        answering = AnswerJob(POCKET.policy, POCKET.ppm, "mcts", ANSWERING)
        by_command = {task.problem.id: result for task, result in pool.run(answering, [Task(p, 3) for p in PROBLEMS])}
    with RStarMathModel.from_pretrained("pocket", runtime(1)) as model:
        for problem in PROBLEMS:
            found = by_command[problem.id]
            assert isinstance(found, Answered)
            assert said(model.solve(problem, "mcts", seed=3, settings=ANSWERING)) == said(found.solution)
