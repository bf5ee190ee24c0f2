"""Deterministic mode on the shipped model: the same trees, to the last bit, however many searches run and who asks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from rstar_math import RStarMathModel
from rstar_math.cli.solution import solution_to_json
from rstar_math.config import AnsweringSettings, RuntimeSettings, SearchSettings
from rstar_math.models import find_model
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.mcts import mcts
from rstar_math.tree import Tree
from rstar_math.types import Problem, Solution
from rstar_math.workers.bench import open_workbench
from rstar_math.workers.jobs import Answered, AnswerJob, SearchJob, Task
from rstar_math.workers.pool import WorkerPool
from tests.growing import clockless_row

POCKET = find_model("pocket")
SEARCH = SearchSettings(num_rollouts=3, num_candidates=5, max_step_tokens=64)
ANSWERING = AnsweringSettings(
    search=SEARCH.model_copy(update={"terminal_value": "ppm", "num_rollouts": 2}), num_trees=2
)
PROBLEMS = pocket_problems("validation", 4)


def runtime(concurrency: int) -> RuntimeSettings:
    return RuntimeSettings(num_workers=1, device="cpu", concurrency=concurrency, deterministic=True)


def grow_here(problems: Sequence[Problem], concurrency: int) -> dict[str, Any]:
    """Trees by problem, grown in this process."""

    async def run() -> list[Tree]:
        gate = asyncio.Semaphore(concurrency)

        async with open_workbench(POCKET.policy, POCKET.reward_model, runtime(concurrency)) as bench:

            async def one(problem: Problem) -> Tree:
                async with gate:
                    return await mcts(bench.environment(problem, 7), SEARCH)

            return list(await asyncio.gather(*map(one, problems)))

    return {tree.problem.id: clockless_row(tree) for tree in asyncio.run(run())}


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
    job = SearchJob(POCKET.policy, POCKET.reward_model, "mcts", SEARCH)
    with WorkerPool(runtime(3)) as pool:
        elsewhere = {task.problem.id: result for task, result in pool.run(job, [Task(p, 7) for p in PROBLEMS])}
        assert {name: clockless_row(tree) for name, tree in elsewhere.items() if isinstance(tree, Tree)} == together

        # the Python API, one question after the other, against the workers that the commands use
        answering = AnswerJob(POCKET.policy, POCKET.reward_model, ANSWERING)
        by_command = {task.problem.id: result for task, result in pool.run(answering, [Task(p, 3) for p in PROBLEMS])}
    with RStarMathModel.from_pretrained("pocket", runtime(1)) as model:
        for problem in PROBLEMS:
            found = by_command[problem.id]
            assert isinstance(found, Answered)
            assert said(model.solve(problem, "mcts", seed=3, settings=ANSWERING)) == said(found.solution)


def test_the_command_says_what_the_api_says(two_threads: None) -> None:
    question = PROBLEMS[0].question
    command = [str(Path(sys.executable).with_name("rstar")), "solve", question, "--deterministic", "--json"]
    done = subprocess.run(
        [*command, "--seed", "3", "--rollouts", "2", "--trees", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with RStarMathModel.from_pretrained("pocket", runtime(5)) as model:
        settings = model.answering.model_copy(update={"num_trees": 2})
        solution = model.solve_with_mcts(question, num_simulations=2, seed=3, settings=settings)
    expected = json.loads(json.dumps(solution_to_json(solution, Problem("", question))))
    for found in (told, expected):
        del found["cost"]["seconds"], found["cost"]["cpu_seconds"]
    assert told == expected
    assert len(told["candidates"]) > 1
