"""A search process of a cluster: takes units of work from the folder of a run, does them, hands the results over.

It ends when the run is whole, when the process that started it is gone, or when it has found nothing to do for long
enough. What it holds then it gives back. Whatever waits for the folder waits in a thread, so that searches go on
while the folder stalls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from rstar_math.cluster.holders import new_holder
from rstar_math.cluster.journals import WorkerJournal
from rstar_math.cluster.leases import Units, size_of
from rstar_math.cluster.places import ClusterFolder, Driver, JobFolder
from rstar_math.cluster.shared_files import read
from rstar_math.cluster.wire import (
    Order,
    key_of,
    own_machine,
    result_to_row,
    row_to_order,
    text_to_tasks,
    tokens_of,
)
from rstar_math.config import RuntimeSettings
from rstar_math.errors import DataError, EngineError, RStarError
from rstar_math.workers.jobs import Job, Result, Task
from rstar_math.workers.process import Failure, Searcher, begin_searching

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
_MISSED_PAUSE_S = 0.3
_GONE_AFTER_LOOKS = 3
"""A driver's file that was not seen so many times in a row is gone."""


@dataclass(frozen=True, slots=True)
class Joining:
    """How a worker joins a run.

    Attributes:
      run: folder of the run.
      runtime: of this machine.
      num_workers: processes of this machine that share its CPUs.
      trusted: also does what it would have to trust the sender for.
      idle_s: ends after so many seconds without work; None: only when the run is whole.
      is_early: nobody may have driven the run yet; otherwise a driver that is not there has made it whole.
    """

    run: Path
    runtime: RuntimeSettings
    num_workers: int
    trusted: bool = False
    idle_s: float | None = None
    is_early: bool = False


class Searching(Protocol):
    """What does the tasks of a job: `rstar_math.workers.process.Searcher`, or a double of it."""

    @property
    def trouble(self) -> Failure | None:
        """Why the models of the last job could not be opened; None where they were."""

    async def open(self, job: Job) -> None:
        """Opens the models of a job."""

    async def do(self, job: Job, task: Task) -> Result | Failure:
        """Does one task."""

    async def aclose(self) -> None:
        """Ends every process and frees every model."""


OpenSearcher = Callable[[RuntimeSettings, str, int], Searching]


def serve_leases(connection: Connection, joining: Joining, device: str) -> None:
    """The life of such a process; says on `connection` how many tasks it has done, and what keeps it from any."""
    begin_searching(device, joining.num_workers)
    asyncio.run(LeaseWorker(connection, joining, device).run())


@dataclass
class _AtWork:
    """The job that is being done."""

    name: str
    files: JobFolder
    order: Order
    journal: WorkerJournal


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look into the folder found; `units` only where more could be taken."""

    driver: Driver | None
    jobs: tuple[str, ...]
    units: Units | None = None
    num_workers: int = 0


class LeaseWorker:
    """One event loop with many searches in flight, fed by leases."""

    def __init__(
        self, connection: Connection | None, joining: Joining, device: str, open_searcher: OpenSearcher = Searcher
    ) -> None:
        """Takes nothing yet.

        Args:
          connection: to the process that started this one; None: there is none.
          joining: which run, and how.
          device: of the models.
          open_searcher: makes what does the tasks.
        """
        self._open_searcher = open_searcher
        self._connection, self._joining, self._device = connection, joining, device
        self._cluster = ClusterFolder(joining.run)
        self._beat = new_holder(joining.runtime.concurrency)
        self._searcher: Searching | None = None
        self._runtime: RuntimeSettings | None = None
        self._job: _AtWork | None = None
        self._driver: Driver | None = None
        self._missed = 0
        self._remaining: dict[str, int] = {}
        self._ready: list[tuple[str, dict[str, Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._is_ready = asyncio.Event()
        self._is_over = False

    async def run(self) -> None:
        """Works until there is nothing left to do here; then the process ends."""
        if self._connection is not None:
            threading.Thread(target=self._listen, args=(asyncio.get_running_loop(),), daemon=True).start()
        side = [asyncio.create_task(self._hand_over()), asyncio.create_task(self._beating())]
        try:
            await self._work(side)
        except RStarError as error:
            self._tell(Failure(error))
        except Exception as error:
            self._tell(Failure(EngineError(f"a worker failed: {type(error).__name__}: {error}")))
        await self._leave(side)
        if self._connection is not None:
            os._exit(0)  # nothing is left to say, and tasks in flight were given back

    async def _work(self, side: Sequence[asyncio.Task[None]]) -> None:
        pause, last_work = FIRST_PAUSE_S, time.monotonic()
        while not self._is_over:
            for task in side:
                if task.done():
                    task.result()  # raises what ended it
            found = await self._look()
            if found or self._tasks:
                last_work = time.monotonic()
            idle_s = self._joining.idle_s
            if idle_s is not None and time.monotonic() - last_work > idle_s:
                return
            pause = FIRST_PAUSE_S if found else min(1.5 * pause, _MISSED_PAUSE_S if self._missed else LONGEST_PAUSE_S)
            self._wake.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                await asyncio.sleep(FIRST_PAUSE_S)  # tasks that end together are looked after together
                pause = FIRST_PAUSE_S
            except TimeoutError:
                pass

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._connection is not None
        with contextlib.suppress(EOFError, OSError):  # the parent is gone, or wants us gone
            self._connection.recv()
        loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._is_over = True
        self._wake.set()

    def _tell(self, message: Failure | int) -> None:
        if self._connection is not None:
            try:
                self._connection.send(message)
            except OSError:
                self._is_over = True

    async def _look(self) -> bool:
        """Looks into the folder once; whether anything was found to do."""
        has_room = len(self._tasks) < self._joining.runtime.concurrency
        seen = await asyncio.to_thread(self._survey, self._job, has_room)
        if seen.driver is not None:
            self._driver, self._missed = seen.driver, 0
        else:
            self._driver = self._missing()
        if self._driver is None or self._is_over or seen.driver is None:
            return False
        if self._job is not None and self._job.name not in seen.jobs:
            await self._drop_job()
        if self._job is None:
            for name in seen.jobs:
                if await self._begin(name):
                    break
            if self._job is None:
                return False
            seen = await asyncio.to_thread(self._survey, self._job, True)
        return await self._take(self._job, seen)

    def _survey(self, job: _AtWork | None, has_room: bool) -> _Seen:
        """What the folder holds now, in one go: crossing into a thread costs as much as a look."""
        driver = self._cluster.driver()
        jobs = () if driver is None else tuple(self._cluster.jobs())
        if job is None or job.name not in jobs or not has_room:
            return _Seen(driver, jobs)
        return _Seen(driver, jobs, job.files.leases.units(), len(self._cluster.workers()))

    def _missing(self) -> Driver | None:
        """The driver's file is not there: nobody has begun yet, or the run is whole."""
        if self._driver is None and self._joining.is_early:
            return None
        self._missed += 1
        if self._missed >= _GONE_AFTER_LOOKS:
            self._is_over = True
        return self._driver

    async def _begin(self, name: str) -> bool:
        files = self._cluster.job(name)
        text = await asyncio.to_thread(read, files.order)
        if not text:
            return False
        try:
            row = json.loads(text)
        except ValueError:
            return False  # looked at again
        order = row_to_order(row, self._joining.run, self._joining.trusted)
        runtime = own_machine(order.runtime, self._joining.runtime)
        if runtime != self._runtime:
            if self._searcher is not None:
                await self._searcher.aclose()
            self._searcher = self._open_searcher(runtime, self._device, self._joining.num_workers)
            self._runtime = runtime
        assert self._searcher is not None
        await self._searcher.open(order.job)
        if self._searcher.trouble is not None:
            raise self._searcher.trouble.error
        self._job = _AtWork(name, files, order, WorkerJournal(files.journals, self._beat.holder))
        return True

    async def _drop_job(self) -> None:
        """The job has all its results: what is still in flight was done by others too."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._ready.clear()
        self._remaining.clear()
        self._job = None

    async def _take(self, job: _AtWork, seen: _Seen) -> bool:
        leases, holder, units = job.files.leases, self._beat.holder, seen.units
        if units is None or seen.driver is None or not units.free:
            return False
        most = min(self._joining.runtime.concurrency, _share(units, seen.num_workers, seen.driver))
        wanted = most - len(self._tasks)
        if wanted <= 0:
            return False
        taken = await asyncio.to_thread(leases.take, holder, wanted, units.free)
        for unit, content in taken:
            try:
                tasks = text_to_tasks(content)
            except DataError:
                await asyncio.to_thread(
                    leases.finish, unit, holder
                )  # spoiled: the driver misses it, and lays it out anew
                continue
            self._remaining[unit] = len(tasks)
            for task in tasks:
                running = asyncio.create_task(self._do(job, unit, task))
                self._tasks.add(running)
                running.add_done_callback(self._tasks.discard)
        return bool(taken)

    async def _do(self, job: _AtWork, unit: str, task: Task) -> None:
        assert self._searcher is not None
        began = time.monotonic()
        result = await self._searcher.do(job.order.job, task)
        tokens = tokens_of(result)
        row = {
            "key": key_of(task),
            "worker": self._beat.holder,
            "tokens": tokens,
            "seconds": round(time.monotonic() - began, 3),
            **result_to_row(result),
        }
        self._beat = replace(self._beat, num_tasks=self._beat.num_tasks + 1, tokens=self._beat.tokens + tokens)
        self._ready.append((unit, row))
        self._is_ready.set()
        self._wake.set()

    async def _hand_over(self) -> None:
        """Writes results as they come; those that come meanwhile are written together."""
        while True:
            await self._is_ready.wait()
            self._is_ready.clear()
            job, ready = self._job, list(self._ready)
            self._ready.clear()
            if job is None or not ready:
                continue
            ended = []
            for unit, _ in ready:
                if unit in self._remaining:
                    self._remaining[unit] -= 1
                    if not self._remaining[unit]:
                        del self._remaining[unit]
                        ended.append(unit)
            try:
                await asyncio.to_thread(self._keep, job, [row for _, row in ready], ended)
            except FileNotFoundError:
                continue  # the job was cleared away: it has all its results
            self._tell(len(ready))

    def _keep(self, job: _AtWork, rows: list[dict[str, Any]], ended: list[str]) -> None:
        job.journal.append(rows)
        for unit in ended:  # only now: a unit that is gone has its results in the journal
            job.files.leases.finish(unit, self._beat.holder)

    async def _beating(self) -> None:
        """Renews all leases, by the loop that does the work: one that hangs lets them run out."""
        while True:
            if self._driver is not None:
                self._beat = replace(self._beat, count=self._beat.count + 1, in_flight=len(self._tasks))
                with contextlib.suppress(FileNotFoundError):  # the cluster is gone; seen where work is looked for
                    await asyncio.to_thread(self._cluster.beat, self._beat)
                await asyncio.sleep(self._driver.beat_s)
            else:
                await asyncio.sleep(FIRST_PAUSE_S)

    async def _leave(self, side: Sequence[asyncio.Task[None]]) -> None:
        for task in (*side, *self._tasks):
            task.cancel()
        await asyncio.gather(*side, *self._tasks, return_exceptions=True)
        holder = self._beat.holder
        if self._job is not None:
            job = self._job
            if self._ready:
                with contextlib.suppress(FileNotFoundError, RStarError):  # cleared away: it has all its results
                    await asyncio.to_thread(job.journal.append, [row for _, row in self._ready])
            await asyncio.to_thread(job.files.leases.give_back_all, holder)
        await asyncio.to_thread(self._cluster.forget, holder)
        if self._searcher is not None:
            await self._searcher.aclose()


def _share(units: Units, num_workers: int, driver: Driver) -> int:
    """Tasks that one worker should have at the same time, so that none is left with a queue while another is idle."""
    num_open = sum(map(size_of, (*units.free, *(h.unit for h in units.held))))
    return math.ceil(num_open / max(1, num_workers, driver.num_local))
