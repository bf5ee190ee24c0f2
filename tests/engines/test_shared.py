"""What is remembered is what was made, for the model that made it, in every process that looks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import AnsweringSettings, BudgetSettings, PolicySettings, SearchSettings
from rstar_math.engines.base import Generation, Score
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.engines.shared import Memory, RememberingEngine, RememberingRewardModel, model_key
from rstar_math.errors import ContextLengthError, DataError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.answer import answer
from rstar_math.types import Problem, SamplingParams, Solution
from rstar_math.workers.bench import Workbench

PARAMS = SamplingParams(n=3, max_tokens=40, stop=("<end_of_step>",), seed=1)
PROBLEM = Problem("p", "Question?")


def engine(path: Path, model: str = "m") -> tuple[FakeEngine, RememberingEngine]:
    fake = FakeEngine()
    return fake, RememberingEngine(fake, Memory(path), model)


def test_a_completion_is_drawn_once_for_each_model_prompt_and_parameters(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    first, remembering = engine(path)
    made = asyncio.run(remembering.generate("Question?", PARAMS))
    again, reopened = engine(path)
    assert asyncio.run(reopened.generate("Question?", PARAMS)) == made
    assert all((c.finish_reason == "stop") == (c.stop is not None) for c in made.completions)
    assert (first.num_requests, again.num_requests) == (1, 0)
    for prompt, params in (("Other?", PARAMS), ("Question?", SamplingParams(n=3, max_tokens=40, seed=2))):
        asyncio.run(reopened.generate(prompt, params))
    other, of_another_model = engine(path, "other")
    asyncio.run(of_another_model.generate("Question?", PARAMS))
    assert (again.num_requests, other.num_requests) == (2, 1)


def test_only_texts_that_are_new_are_scored(tmp_path: Path) -> None:
    seen: list[str] = []

    class Spy(FakeRewardModel):
        async def score(self, texts: Sequence[str]) -> list[Score]:
            seen.extend(texts)
            return await super().score(texts)

    reward_model = RememberingRewardModel(Spy(), Memory(tmp_path / "memory.sqlite"), "m")
    plain = asyncio.run(FakeRewardModel().score(["a", "b", "c", "a"]))
    assert asyncio.run(reward_model.score(["b"])) == [plain[1]]
    assert asyncio.run(reward_model.score(["a", "b", "c", "a"])) == plain
    assert seen == ["b", "a", "c"]


def test_a_search_with_memory_is_the_search_without(tmp_path: Path) -> None:
    def solve(memory: Path | None, tokens: int) -> tuple[Solution, int]:
        fake, reward_model = FakeEngine(), FakeRewardModel()
        bench = Workbench(fake, FakeExecutor(), FakeGrader(), reward_model)
        if memory is not None:
            bench.engine = RememberingEngine(fake, Memory(memory), "m")
            bench.reward_model = RememberingRewardModel(reward_model, Memory(memory), "r")
        search = SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm", max_step_tokens=40)
        settings = AnsweringSettings(search=search, budget=BudgetSettings(tokens=tokens))
        solution, _ = asyncio.run(answer(PROBLEM, bench.environment, settings, seed=3))
        solution.cost.seconds = 0.0
        return solution, fake.num_requests

    plain, num_requests = solve(None, 900)
    path = tmp_path / "memory.sqlite"
    assert solve(path, 900) == (plain, num_requests)
    assert solve(path, 900) == (plain, 0)
    smaller, num_new = solve(path, 450)  # a smaller budget asks for what the larger one asked for, but at its end
    assert num_new <= 2
    assert smaller == solve(None, 450)[0]


def test_errors_are_not_remembered(tmp_path: Path) -> None:
    class Refusing(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            raise ContextLengthError("too long")

    path = tmp_path / "memory.sqlite"
    with pytest.raises(ContextLengthError):
        asyncio.run(RememberingEngine(Refusing(), Memory(path), "m").generate("Question?", PARAMS))
    assert asyncio.run(engine(path)[1].generate("Question?", PARAMS)).completions


def test_a_model_that_is_trained_again_is_another(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_text("a")
    keys = [model_key(tmp_path)]
    assert model_key(tmp_path) == keys[0]
    os.utime(weights, ns=(1, 1))
    keys.append(model_key(tmp_path))
    weights.write_text("ab")
    keys += [model_key(tmp_path), model_key(PolicySettings(policy="http://localhost/v1"))]
    assert len(set(keys)) == 4


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious " * 100)
    with pytest.raises(DataError, match=r"notes\.txt holds no remembered completions"):
        Memory(path)
    assert path.read_text() == "precious " * 100


class BusyAtFirst:
    """A connection that is refused twice, as SQLite does where another process makes the same file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.num_refused = connection, 0

    def execute(self, statement: str) -> sqlite3.Cursor:
        if self.num_refused < 2:
            self.num_refused += 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return self.connection.execute(statement)

    def close(self) -> None:
        self.connection.close()


def test_processes_that_begin_a_file_together_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    made: list[BusyAtFirst] = []

    def busy_connect(path: Path, **settings: Any) -> BusyAtFirst:
        made.append(BusyAtFirst(connect(path, **settings)))
        return made[0]

    monkeypatch.setattr(sqlite3, "connect", busy_connect)
    Memory(tmp_path / "new.sqlite").close()
    assert made[0].num_refused == 2
    assert (tmp_path / "new.sqlite").stat().st_size > 0


def test_a_file_that_stays_locked_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rstar_math.engines.shared._WAIT_S", 0.1)
    path = tmp_path / "locked.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match=r"locked\.sqlite is locked by another process"):
            Memory(path)
    Memory(path).close()


def test_it_may_be_opened_in_another_thread_than_the_one_that_asks(tmp_path: Path) -> None:
    """As a search process does, which loads models beside its event loop."""

    async def ask() -> str | None:
        memory = await asyncio.to_thread(Memory, tmp_path / "memory.sqlite")
        memory.put("key", "value")
        return memory.get("key")

    assert asyncio.run(ask()) == "value"
