"""The driver's end of a shared folder: lays units of work out, and takes results in as workers hand them over.

The driver keeps no state that it could not find again. What is done stands in the files of the run; what is on its way
lies in the folder of the job. A driver that died is started again by the same command, takes in what workers have
handed over meanwhile, and goes on.
"""

from __future__ import annotations

import collections
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from rstar_math.cluster import shared_files
from rstar_math.cluster.holders import Beat, Watch, machine_name
from rstar_math.cluster.journals import JournalReader
from rstar_math.cluster.leases import Units, size_of, unit_name
from rstar_math.cluster.places import ClusterFolder, Driver, JobFolder
from rstar_math.cluster.processes import WorkerProcesses
from rstar_math.cluster.tally import Tally
from rstar_math.cluster.wire import Order, key_of, order_name, order_to_row, row_to_result, tasks_to_text, text_to_tasks
from rstar_math.cluster.worker import Joining
from rstar_math.config import RuntimeSettings
from rstar_math.errors import DataError, EngineError
from rstar_math.store.files import json_line
from rstar_math.workers.jobs import Job, Result, Task
from rstar_math.workers.pool import devices
from rstar_math.workers.process import Failure

_log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.25
_SCAN_S = 0.5
_LEAST_FREE = 64
_LEAST_MISSING_S = 2.0
_MAX_LOST = 10
"""A unit whose holders are lost so often is what kills them."""

_MAX_FAILURES = 3
_LONELY_S = 60.0

Log = Callable[..., None]


class FolderPool:
    """Search processes of this machine and of all that join, as long as the `with` block."""

    def __init__(self, runtime: RuntimeSettings, run: Path, log: Log) -> None:
        """Starts nothing yet.

        Args:
          runtime: of this machine, and what of it all share.
          run: folder of the run.
          log: takes the name of an event and its values, for the run's log.
        """
        self._runtime, self._run, self._log = runtime, run, log
        num_local = 0 if runtime.num_workers == 0 else len(devices(runtime))
        self._driver = Driver(f"{machine_name()}-{secrets.token_hex(3)}", runtime.lease_s, num_local)
        self._cluster = ClusterFolder(run)
        self._local = WorkerProcesses(Joining(run, runtime, num_local, trusted=True))

    @property
    def is_remembering(self) -> bool:
        """Never: what one machine remembers, another does not."""
        return False

    def __enter__(self) -> Self:
        for left in self._run.glob(f".{self._cluster.folder.name}.*.tmp"):  # of a driver that was killed at its end
            shared_files.remove_tree(left)
        self._cluster.make(self._driver)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._cluster.remove()  # so that workers of other machines end
        self._local.stop()

    def run(self, job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Works on all tasks, wherever there are workers; yields (task, result) as they are handed over.

        Raises:
          RStarError: a task raised it again and again, or a process of this machine cannot work.
          EngineError: whoever took a task was lost again and again.
        """
        waiting = {key_of(task): task for task in tasks}
        if not waiting:
            return
        row = order_to_row(Order(job, self._runtime), self._run)
        files = self._cluster.job(order_name(row))
        work = _Distribution(self._cluster, files, self._driver, self._runtime.concurrency, waiting)
        work.begin(json_line(row).decode())
        if self._driver.num_local:
            self._local.start()
        pause, last_heard = FIRST_PAUSE_S, time.monotonic()
        try:
            while waiting:
                is_found = False
                for task, result in work.results():
                    is_found = True
                    yield task, result
                if not waiting:
                    break
                work.tend()
                if self._driver.num_local and not self._local.check():
                    self._local.start()
                now = time.monotonic()
                if is_found or work.num_alive:
                    last_heard = now
                elif now - last_heard > _LONELY_S:
                    _log.warning("nobody works on %s; start `rstar work %s` on some machine", self._run, self._run)
                    last_heard = now
                pause = FIRST_PAUSE_S if is_found else min(1.5 * pause, LONGEST_PAUSE_S)
                time.sleep(pause)
        except BaseException:
            self._local.stop()  # what is in flight belongs to a job that nobody waits for any more
            raise
        finally:
            self._log("cluster", **work.tally.row("folder"))
        shared_files.remove_folder(files.folder)


class _Distribution:
    """The units of one job, from its driver's end."""

    def __init__(
        self,
        cluster: ClusterFolder,
        files: JobFolder,
        driver: Driver,
        concurrency: int,
        waiting: dict[str, Task],
    ) -> None:
        self._cluster, self._files, self._driver = cluster, files, driver
        self._concurrency, self._waiting = concurrency, waiting
        self._leases, self._reader = files.leases, JournalReader(files.journals)
        self._watch = Watch(driver.lease_s)
        self._to_publish: collections.deque[list[str]] = collections.deque()
        self._published: dict[str, list[str]] = {}
        self._open_keys: dict[str, str] = {}  # key -> its published unit
        self._missing_since: dict[str, float] = {}
        self._num_lost: collections.Counter[str] = collections.Counter()
        self._num_failed: collections.Counter[str] = collections.Counter()
        self._next_scan = 0.0
        self._is_starting = True
        self.num_alive = 0
        self.tally = Tally()

    def begin(self, order: str) -> None:
        """Makes the files of the job, or takes up those that a driver before this one has left."""
        self._leases.make()
        shared_files.make_folders(self._files.journals)
        for name in self._cluster.jobs():
            if name != self._files.folder.name:  # of a driver that stopped within another job
                shared_files.remove_folder(self._cluster.job(name).folder)
        found = self._leases.units()
        for unit in found.names:
            keys = self._keys_in(unit)
            if keys and any(key in self._waiting for key in keys):
                self._note_published(unit, keys)
            else:
                self._leases.drop(unit)
        rest = [key for key in self._waiting if key not in self._open_keys]
        size = max(1, min(32, len(rest) // 512))
        self._to_publish.extend(rest[i : i + size] for i in range(0, len(rest), size))
        self._publish(found)
        shared_files.write_whole(self._files.order, order)  # last: from now on workers see the job

    def _keys_in(self, unit: str) -> list[str]:
        try:
            return [key_of(task) for task in text_to_tasks(self._leases.content(unit) or "")]
        except DataError:
            return []

    def results(self) -> Iterator[tuple[Task, Result]]:
        """What was handed over since, each task once.

        Raises:
          RStarError: a task failed again and again.
        """
        for row in self._reader.read():
            key = row.get("key")
            task = self._waiting.get(key) if isinstance(key, str) else None
            if task is None:
                self.tally.num_twice += 1
                continue
            assert isinstance(key, str)
            try:
                result = row_to_result(row)
            except DataError as error:
                result = Failure(error)
            if isinstance(result, Failure):
                self._failed(key, result)
                continue
            del self._waiting[key]
            self.tally.count(row)
            yield task, result
            self._note_done(key)  # it is kept by whoever took it
        self._is_starting = False

    def _failed(self, key: str, failure: Failure) -> None:
        if self._is_starting:
            return  # of a driver before this one, which told it
        self._num_failed[key] += 1
        if self._num_failed[key] >= _MAX_FAILURES:
            raise failure.error
        _log.warning("%s failed, and is tried again: %s", key, str(failure.error)[-300:])
        self._note_done(key)
        self._to_publish.appendleft([key])

    def _note_done(self, key: str) -> None:
        unit = self._open_keys.pop(key, None)
        if unit is not None:
            self._published[unit].remove(key)
            if not self._published[unit]:
                del self._published[unit]

    def _note_published(self, unit: str, keys: list[str]) -> None:
        mine = [key for key in keys if key in self._waiting and key not in self._open_keys]
        if mine:
            self._published[unit] = mine
            self._open_keys.update(dict.fromkeys(mine, unit))

    def tend(self) -> None:
        """Looks after the units, now and then: what was lost comes back, what nobody needs goes, new ones come.

        Raises:
          EngineError: a unit is lost again and again.
        """
        now = time.monotonic()
        if now < self._next_scan:
            return
        units = self._leases.units()
        beats = {name: self._cluster.beat_of(name) for name in self._cluster.workers()}
        self._next_scan = time.monotonic() + max(_SCAN_S, 20 * (time.monotonic() - now))  # at most 5 % of the time
        self._take_over(units, beats)
        for unit in units.free:
            if unit not in self._published:
                self._leases.drop(unit)
        self._find_missing(units)
        self._reader.remove_read()
        self._publish(units, beats)

    def _take_over(self, units: Units, beats: dict[str, Beat | None]) -> None:
        """What was held by those whose leases have run out is free again."""
        gone = self._watch.run_out(beats | {held.holder: beats.get(held.holder) for held in units.held})
        self.num_alive = len(beats.keys() - gone)
        for held in units.held:
            if held.holder not in gone or not self._leases.give_back(held):
                continue
            self.tally.num_taken_over += 1
            self._num_lost[held.unit] += 1
            if self._num_lost[held.unit] > _MAX_LOST:
                keys = ", ".join(self._published.get(held.unit, [])[:3])
                raise EngineError(
                    f"whoever works on {keys} is lost, {self._num_lost[held.unit]} times now; look at what the last "
                    f"one said ({held.holder}), or at its memory: runtime.concurrency, max_batch_rows"
                )
        for holder in gone:
            self._cluster.forget(holder)

    def _find_missing(self, units: Units) -> None:
        """A unit that lies nowhere for a while was lost with a file, or a machine that crashed: it is laid out anew."""
        now, there = time.monotonic(), units.names
        for unit in [u for u in self._missing_since if u in there or u not in self._published]:
            del self._missing_since[unit]
        for unit in [u for u in self._published if u not in there]:
            since = self._missing_since.setdefault(unit, now)
            if now - since > max(_LEAST_MISSING_S, self._driver.lease_s / 20):
                del self._missing_since[unit]
                self.tally.num_lost += 1
                keys = self._published.pop(unit)
                for key in keys:
                    del self._open_keys[key]
                self._to_publish.appendleft(keys)

    def _publish(self, units: Units, beats: dict[str, Beat | None] | None = None) -> None:
        """Lays out as much as the workers that there are will soon take."""
        at_once = sum(beat.concurrency for beat in (beats or {}).values() if beat)
        target = max(_LEAST_FREE, 2 * at_once, 2 * self._driver.num_local * self._concurrency)
        num_free = sum(size_of(unit) for unit in units.free if unit in self._published)
        while self._to_publish and num_free < target:
            keys = [key for key in self._to_publish.popleft() if key in self._waiting]
            if not keys:
                continue
            unit = unit_name(keys)
            self._note_published(unit, keys)
            self._leases.publish(unit, tasks_to_text([self._waiting[key] for key in keys]))
            self.tally.num_leases += 1
            num_free += len(keys)
