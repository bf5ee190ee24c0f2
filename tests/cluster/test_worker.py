"""A worker process, run in this one: what it does with units, with bad ones, and when it leaves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from rstar_math.cluster.journals import JournalReader
from rstar_math.cluster.leases import Units, unit_name
from rstar_math.cluster.places import ClusterFolder, Driver, JobFolder
from rstar_math.cluster.wire import Order, key_of, order_to_row, tasks_to_text
from rstar_math.cluster.worker import Joining, LeaseWorker, _share
from rstar_math.config import RuntimeSettings
from rstar_math.errors import ModelError
from rstar_math.workers.jobs import Job, Result, Task
from rstar_math.workers.process import Failure
from tests.cluster.fakes import JOB, FakeSearcher, tasks

DRIVER = Driver("d", 1.0, 0)


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    ClusterFolder(tmp_path).make(DRIVER)
    files = ClusterFolder(tmp_path).job("job")
    files.leases.make()
    files.journals.mkdir()
    files.order.write_text(json.dumps(order_to_row(Order(JOB, RuntimeSettings()), tmp_path)))
    return files


def publish(job: JobFolder, chosen: list[Task]) -> None:
    job.leases.publish(unit_name([key_of(t) for t in chosen]), tasks_to_text(chosen))


class Ends:
    """The other end of the pipe to the process that started a worker."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def send(self, message: object) -> None:
        self.said.append(message)


def worker(run: Path, searcher: type[FakeSearcher] = FakeSearcher, idle_s: float | None = 0.3) -> LeaseWorker:
    return LeaseWorker(None, Joining(run, RuntimeSettings(concurrency=4), 1, idle_s=idle_s), "cpu", searcher)


def test_it_does_what_is_there_and_leaves_nothing_behind(job: JobFolder, tmp_path: Path) -> None:
    publish(job, tasks(3))
    job.leases.publish("spoiled.1", "{")
    asyncio.run(worker(tmp_path).run())
    rows = list(JournalReader(job.journals).read())
    assert sorted(row["key"] for row in rows) == ["p0@7", "p1@7", "p2@7"]
    assert len({row["worker"] for row in rows}) == 1
    assert job.leases.units().names == set()
    assert ClusterFolder(tmp_path).workers() == []


def test_it_ends_when_the_run_is_whole(job: JobFolder, tmp_path: Path) -> None:
    async def until_gone() -> None:
        running = asyncio.create_task(worker(tmp_path, idle_s=None).run())
        while not ClusterFolder(tmp_path).workers():
            await asyncio.sleep(0.01)
        ClusterFolder(tmp_path).remove()
        await running

    asyncio.run(asyncio.wait_for(until_gone(), 60))
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_flight_when_it_leaves_is_free_again(job: JobFolder, tmp_path: Path) -> None:
    class Slow(FakeSearcher):
        latency_s = 1000.0

    async def until_stopped() -> None:
        one = worker(tmp_path, Slow)
        running = asyncio.create_task(one.run())
        while not job.leases.units().held:
            await asyncio.sleep(0.01)
        one._stop()
        await running

    publish(job, tasks(1))
    asyncio.run(asyncio.wait_for(until_stopped(), 60))
    assert len(job.leases.units().free) == 1
    assert job.leases.units().held == ()


def test_it_says_why_its_machine_cannot_do_the_work(job: JobFolder, tmp_path: Path) -> None:
    class Unfit(FakeSearcher):
        @property
        def trouble(self) -> Failure | None:
            return Failure(ModelError("no model here"))

    publish(job, tasks(1))
    one, ends = worker(tmp_path, Unfit), Ends()
    one._tell = ends.send  # type: ignore[method-assign]
    asyncio.run(one.run())
    (said,) = ends.said
    assert isinstance(said, Failure)
    assert "no model here" in str(said.error)
    assert len(job.leases.units().free) == 1


def test_a_failure_is_handed_over_like_a_result(job: JobFolder, tmp_path: Path) -> None:
    class Failing(FakeSearcher):
        async def do(self, job: Job, task: Task) -> Result | Failure:
            return Failure(ModelError("cannot"))

    publish(job, tasks(1))
    asyncio.run(worker(tmp_path, Failing).run())
    (row,) = JournalReader(job.journals).read()
    assert row["failed"] == {"kind": "ModelError", "text": "cannot"}


def test_work_is_shared_evenly() -> None:
    assert _share(Units(tuple(f"{i}.1" for i in range(14)), ()), 1, Driver("d", 1.0, 2)) == 7
    assert _share(Units(("a.32",), ()), 0, DRIVER) == 32
    assert _share(Units((), ()), 3, DRIVER) == 0
