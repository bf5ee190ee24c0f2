"""What a search itself costs: its time where everything answers from a table, its memory over many problems."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from measuring.turns import Row
from rstar_math.config import SearchSettings
from rstar_math.engines.base import Generation, Score
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.execution.base import Executor
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.base import Grader
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.environment import Environment
from rstar_math.search.mcts import mcts
from rstar_math.store.records import TreeStore
from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem, SamplingParams, Verdict


class Table:
    """Answers of a policy, an executor, a grader and a PPM, kept at the first search and looked up at the next."""

    def __init__(self) -> None:
        self._engine, self._executor = FakeEngine(max_latency_turns=0), FakeExecutor(max_latency_turns=0)
        self._grader, self._reward_model = FakeGrader(), FakeRewardModel(max_latency_turns=0)
        self._known: dict[tuple[object, ...], Any] = {}
        self.num_answers = 0

    async def _answer(self, key: tuple[object, ...], ask: Callable[[], Awaitable[Any]]) -> Any:
        if key not in self._known:
            self._known[key] = await ask()
        self.num_answers += 1
        await asyncio.sleep(0)  # as every real adapter, it answers in a later turn of the event loop
        return self._known[key]

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """See `Engine`."""
        generation: Generation = await self._answer((prompt, params), lambda: self._engine.generate(prompt, params))
        return generation

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """See `RewardModel`."""
        scores: list[Score] = await self._answer(tuple(texts), lambda: self._reward_model.score(texts))
        return scores

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """See `Executor`."""
        execution: Execution = await self._answer((*prefix, code), lambda: self._executor.execute(prefix, code))
        return execution

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """See `BatchExecutor`."""

        async def ask() -> list[Execution]:
            return [await self._executor.execute(prefix, code) for code in codes]

        executions: list[Execution] = await self._answer((tuple(prefix), tuple(codes)), ask)
        return executions

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """See `Executor`."""
        return await self._executor.execute_program(steps)

    async def grade(self, gold: str, prediction: str | None) -> Verdict:
        """See `Grader`."""
        verdict: Verdict = await self._answer((gold, prediction, 0), lambda: self._grader.grade(gold, prediction))
        return verdict

    async def aclose(self) -> None:
        """Does nothing."""


def bookkeeping(settings: SearchSettings, num_problems: int, num_turns: int = 3) -> Row:
    """CPU of a search whose models and programs cost next to nothing."""
    problems = [Problem(f"p{i}", f"Question {i}?", "1") for i in range(num_problems)]
    table = Table()
    executor: Executor = table
    grader: Grader = table

    async def run() -> list[Tree]:
        searches = (mcts(Environment(p, table, executor, grader, table, 0), settings) for p in problems)
        return list(await asyncio.gather(*searches))

    trees = asyncio.run(run())
    num_nodes = sum(len(tree.nodes) for tree in trees)
    best = float("inf")
    for _ in range(num_turns):
        cpu = time.process_time()
        asyncio.run(run())
        best = min(best, time.process_time() - cpu)
    return {"nodes": num_nodes, "cpu_s": best, "us_per_node": 1e6 * best / num_nodes}


def memory(num_problems: int) -> Row:
    """Resident memory after 10, 25, 50 and 100 % of the problems; runs in a process of its own."""
    settings = SearchSettings(num_rollouts=4, num_candidates=4)
    engine, reward_model = FakeEngine(max_latency_turns=1), FakeRewardModel(max_latency_turns=1)
    executor, grader = FakeExecutor(max_latency_turns=1), FakeGrader()
    row: Row = {}
    marks = {num_problems // 10, num_problems // 4, num_problems // 2, num_problems}
    numbers = iter(range(num_problems))

    async def searcher(store: TreeStore) -> None:
        for i in numbers:
            problem = Problem(f"p{i}", f"Question {i}?", "1")
            store.append(await mcts(Environment(problem, engine, executor, grader, reward_model, 0), settings))
            if len(store.done) in marks:
                row[f"rss_mb_{len(store.done)}"] = _resident_mb()

    async def run(store: TreeStore) -> None:
        await asyncio.gather(*(searcher(store) for _ in range(64)))

    with tempfile.TemporaryDirectory() as folder, TreeStore(Path(folder)) as store:
        asyncio.run(run(store))
    return row


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
