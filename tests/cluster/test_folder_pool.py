"""A driver and four worker processes over one folder: every tree once, whoever dies, whatever the folder does."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rstar_math.cluster import folder_pool
from rstar_math.cluster.folder_pool import FolderPool
from rstar_math.cluster.journals import WorkerJournal
from rstar_math.cluster.places import ClusterFolder, Driver
from rstar_math.cluster.wire import Order, key_of, order_name, order_to_row, result_to_row
from rstar_math.config import RuntimeSettings
from rstar_math.errors import EngineError, ModelError
from rstar_math.tree import Tree
from rstar_math.workers.jobs import Task
from rstar_math.workers.process import Failure
from tests import warm
from tests.cluster.fakes import JOB, done, stall, tasks
from tests.growing import clockless_row

RUNTIME = RuntimeSettings(cluster="folder", num_workers=0, lease_s=2.0)
Workers = list[warm.Running]


@functools.cache
def alone(num: int) -> dict[str, dict[str, Any]]:
    """The trees of one machine."""
    found = {}
    for task in tasks(num):
        tree = asyncio.run(done(JOB, task))
        assert isinstance(tree, Tree)
        found[key_of(task)] = clockless_row(tree)
    return found


class Driven:
    """A run with its log, and the trees that were kept."""

    def __init__(self, run: Path) -> None:
        self.run = run
        run.mkdir()
        self.runtime = RUNTIME
        self.events: list[dict[str, Any]] = []
        self.trees: dict[str, dict[str, Any]] = {}

    def log(self, event: str, **values: Any) -> None:
        self.events.append({"event": event, **values})

    def pool(self) -> FolderPool:
        return FolderPool(self.runtime, self.run, self.log)

    def go_on(self, todo: list[Task], stop_after: int | None = None) -> None:
        """Drives until all is done, or dies behind so many results."""
        rest = [task for task in todo if key_of(task) not in self.trees]
        pool = self.pool()
        pool.__enter__()
        for number, (task, tree) in enumerate(pool.run(JOB, rest)):
            assert isinstance(tree, Tree)
            assert key_of(task) not in self.trees, "a tree came twice"
            self.trees[key_of(task)] = clockless_row(tree)
            if number == stop_after:
                return  # as one that is killed: nothing is cleared away
        pool.__exit__(None)


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path / "run")


@pytest.fixture
def workers() -> Iterator[Workers]:
    started: Workers = []
    yield started
    for worker in started:
        worker.send_signal(9)
        worker.__exit__(None, None, None)


def join(driven: Driven, workers: Workers, number: int, *faults: str, latency_s: float = 0.02) -> warm.Running:
    program = "tests.cluster.fakes"
    arguments = [str(driven.run), str(number), str(latency_s), "4", "60", *faults]
    worker = warm.start(*arguments, program=program, cwd=warm.ROOT, pipes=("stderr",))
    workers.append(worker)
    return worker


def test_four_workers_with_wrong_clocks_on_a_folder_that_stalls(
    driven: Driven, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, faults in enumerate((["300"], ["-300", "stalls"], ["stalls"], [])):
        join(driven, workers, number, *faults)
    stall(9, driven.run, 0.05, lambda place, name, value: monkeypatch.setattr(place, name, value))
    driven.go_on(tasks(24))
    assert driven.trees == alone(24)
    for worker in workers:
        out, err = worker.communicate()
        assert (worker.wait(), err) == (0, ""), out
    (event,) = driven.events
    assert event["num_tasks"] == 24
    assert event["num_workers"] > 1
    assert sum(each["num_tasks"] for each in event["workers"].values()) == 24
    assert list(driven.run.iterdir()) == []  # no lease, no journal, no temporary file


def test_workers_and_drivers_that_are_killed_at_any_moment(driven: Driven, workers: Workers) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(4):
        join(driven, workers, number)

    def kill() -> None:
        chosen = chance.choice([w for w in workers if w.poll() is None])
        chosen.send_signal(9)
        join(driven, workers, len(workers))

    todo = tasks(48)
    for _ in range(5):
        driven.go_on(todo, stop_after=chance.randrange(1, 8))
        kill()
        time.sleep(chance.random() * 0.1)
        kill()
    driven.go_on(todo)
    assert driven.trees == alone(48)
    assert list(driven.run.iterdir()) == []
    for (
        worker
    ) in workers:  # one that begins when all is done knows of no driver, and ends after its minute without work
        assert worker.wait(1500) in (0, -9)


def test_what_workers_handed_over_while_no_driver_was_there_is_taken_in(driven: Driven) -> None:
    todo = tasks(3)
    row = order_to_row(Order(JOB, RUNTIME), driven.run)
    cluster = ClusterFolder(driven.run)
    cluster.make(Driver("before", 2.0, 0))
    files = cluster.job(order_name(row))
    files.leases.make()
    files.journals.mkdir()
    rows = [{"key": key_of(t), "worker": "w", **result_to_row(asyncio.run(done(JOB, t)))} for t in todo]
    failure = {"key": key_of(todo[0]), **result_to_row(Failure(EngineError("of the driver before")))}
    WorkerJournal(files.journals, "w").append([failure, *rows, rows[0]])
    files.leases.publish("stale.1", "[]")
    driven.go_on(todo)  # nobody works: all of it is there
    assert driven.trees == alone(3)
    assert list(driven.run.iterdir()) == []


def answered_by(files_of: ClusterFolder, name: str, failure: Failure) -> None:
    """A worker that fails at everything."""
    leases = files_of.job(name).leases
    for unit, _ in leases.take("bad", 100):
        WorkerJournal(files_of.job(name).journals, "bad").append([{"key": "p0@7", **result_to_row(failure)}])
        leases.finish(unit, "bad")


def test_a_task_that_fails_is_tried_three_times(driven: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    name = order_name(order_to_row(Order(JOB, RUNTIME), driven.run))
    cluster, tries = ClusterFolder(driven.run), []

    def sleep(seconds: float) -> None:
        tries.append(seconds)
        answered_by(cluster, name, Failure(ModelError("no such model")))

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr(folder_pool, "_SCAN_S", 0.0)
    with pytest.raises(ModelError, match="no such model"):
        driven.go_on(tasks(1))
    assert len(tries) >= 3
    assert driven.events[0]["num_tasks"] == 0


def test_a_unit_that_was_lost_is_laid_out_again_and_one_that_kills_is_given_up(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = order_name(order_to_row(Order(JOB, RUNTIME), driven.run))
    leases = ClusterFolder(driven.run).job(name).leases
    lost: list[str] = []

    def sleep(seconds: float) -> None:
        if not lost:
            lost.extend(unit for unit, _ in leases.take("x", 1))
            leases.finish(lost[0], "x")  # without a result
        else:
            leases.take(f"dead-{len(lost)}", 1)
            lost.append("again")

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr(folder_pool, "_SCAN_S", 0.0)
    monkeypatch.setattr(folder_pool, "_LEAST_MISSING_S", 0.05)
    driven.runtime = RUNTIME.model_copy(update={"lease_s": 0.05})
    with pytest.raises(EngineError, match=r"p0@7 is lost, 11 times"):
        driven.go_on(tasks(1))
    assert driven.events[0]["num_lost"] == 1
    assert driven.events[0]["num_taken_over"] == 11
