"""Step execution in confined processes: what the search's `Executor` is on Linux.

This file is the supervisor. It decides where a program runs, watches the clocks of what runs from outside, kills, and
remembers results. No step is ever run in the supervisor's own process.

Where a program runs, cheapest first:

- nowhere: the same code after the same prefix has run before;
- in a warm worker, which has the prefix's state or replays it, if a static check admits the program;
- in a fork of a snapshot, a process that has run the prefix and waits, if the prefix is dear to replay;
- in a fork of the zygote, a process that has only loaded what programs import.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from rstar_math.errors import SandboxError
from rstar_math.execution import admission, processes
from rstar_math.execution.observation import RecordedExecution, Statement
from rstar_math.execution.processes import BusyError, Child, Forker, LayerReport, LostError, Zygote
from rstar_math.execution.settings import ExecutionSettings
from rstar_math.execution.warm import QUEUE_DEPTH, WarmWorker
from rstar_math.types import Execution, ExecutionStatus

TICK_S = 0.02
"""How often the clocks of running programs are read."""

IDLE_TICK_S = 0.5
"""How often waiting processes are looked at, which ought to do nothing."""

MEMORY_TICK_S = 0.1
"""How often the memory of all processes together is read."""

FIRST_WORD_S = 60.0
"""A fork that has not happened after this long is not going to: its zygote is replaced."""

MAX_STARTS = 3
"""How often a program is tried whose process was lost under it."""

MAX_REFUSED_FORKS = 16
"""A program that keeps trying to start processes is ended."""

AFFINITY = 8
"""How many more programs may wait in the worker that has a prefix's state than in another, before that one is used."""

MAX_REMEMBERED = 50_000
"""Entries of each of the tables in which the supervisor notes what it has learnt about programs."""

RECORDS_BYTES = 4 << 20
_STATUSES = frozenset({"ok", "error", "memory_limit", "output_limit"})
_CLOSED = "the executor was closed while this program was on its way"

Key = tuple[tuple[str, ...], str]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Counts:
    """What an executor has done; every field counts from 0."""

    executions: int = 0
    cached: int = 0
    warm: int = 0
    forked: int = 0
    from_snapshot: int = 0
    not_admitted: int = 0
    deferred: int = 0
    """Admitted programs that turned out to need a process of their own."""
    tainted: int = 0
    """Warm workers that were found changed, and replaced."""
    lost: int = 0
    snapshots: int = 0
    evicted: int = 0


@dataclass(eq=False, slots=True)
class Request:
    """One program on its way: what to run, and where its executions go."""

    steps: tuple[str, ...]
    first: int
    """Index of the first step whose execution is wanted."""
    profile: str
    done: asyncio.Future[list[Execution]]
    warm: bool
    fresh: bool = False
    """To be run from the start in a fork of a clean zygote, whatever is known."""
    builds: bool = False
    """Runs only for the snapshot that it leaves."""
    starts: int = 0
    lost_warm: int = 0
    executions: list[Execution] = field(default_factory=list)

    @property
    def prefix(self) -> tuple[str, ...]:
        return self.steps[:-1]


class SandboxExecutor:
    """Runs each program isolated from everything else, under limits that are enforced from outside.

    Use it inside one event loop, as an async context manager or with `aclose`. Any number of executions may be
    awaited at the same time; `num_slots` of them run at once, in the order in which they were asked for.

    Args:
      settings: limits and isolation.
      num_slots: programs that run at once; overrides the settings.
    """

    def __init__(self, settings: ExecutionSettings | None = None, num_slots: int | None = None) -> None:
        self.settings = settings or ExecutionSettings()
        self.counts = Counts()
        self._num_slots = num_slots or self.settings.slots()
        self._cache: OrderedDict[Key, Execution] = OrderedDict()
        # for tests of the lines of defence behind a layer or behind the static check
        self._disabled_layers: tuple[str, ...] = ()
        self._admit_everything = False
        self._reset()

    def _reset(self) -> None:
        """The state of an executor that has no process."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._open: set[asyncio.Future[list[Execution]]] = set()
        self._in_flight: dict[Key, asyncio.Future[list[Execution]]] = {}
        self._zygotes: dict[str, asyncio.Task[Zygote]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Request] = deque()
        self._runs: set[_Run] = set()
        self._workers: dict[str, list[WarmWorker]] = {}
        self._homes: OrderedDict[tuple[str, ...], WarmWorker] = OrderedDict()
        self._refused: OrderedDict[str, None] = OrderedDict()
        self._number = 0
        self._pumping = False
        self._snapshots: OrderedDict[tuple[str, ...], _Snapshot] = OrderedDict()
        self._builds: dict[tuple[str, ...], list[Request]] = {}
        self._costs: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._ticking: asyncio.TimerHandle | None = None
        self._memory_read_at = 0.0

    async def __aenter__(self) -> SandboxExecutor:
        self._enter_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs `code` in a fresh namespace that holds what `prefix` defined and nothing else."""
        self._enter_loop()
        self.counts.executions += 1
        key = (tuple(prefix), code)
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            self.counts.cached += 1
            return known
        flight = self._in_flight.get(key)
        if flight is None or flight.cancelled():
            flight = self._submit((*key[0], code), first=len(key[0]))
            self._in_flight[key] = flight
            flight.add_done_callback(lambda done: self._remember(key, done))
        else:
            self.counts.cached += 1
        # one awaiter that is cancelled must not cancel the run for the others
        return (await asyncio.shield(flight))[-1]

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program from the start, past every cache, in a fresh child of a clean zygote."""
        self._enter_loop()
        self.counts.executions += len(steps)
        if not steps:
            return []
        return await self._submit(tuple(steps), first=0, fresh=True)

    async def layers(self) -> list[LayerReport]:
        """The layers of isolation that programs run under on this machine."""
        self._enter_loop()
        return processes.layer_reports((await self._zygote("light")).layers, self.settings)

    async def aclose(self) -> None:
        """Ends every process that this executor started; programs on their way end as SandboxError."""
        if self._loop is None or self._pid != os.getpid():
            return
        if self._ticking is not None:
            self._ticking.cancel()
        for child in self._children():
            child.close()
        for done in list(self._open):
            if not done.done():
                done.set_exception(SandboxError(_CLOSED))
                done.exception()  # an awaiter that is gone must not make the loop complain
        zygotes, tasks = list(self._zygotes.values()), list(self._tasks)
        self._reset()
        for task in (*zygotes, *tasks):
            task.cancel()
        for zygote in await asyncio.gather(*zygotes, return_exceptions=True):
            if isinstance(zygote, Zygote):
                zygote.end()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _children(self) -> list[Child]:
        return [
            *(run.child for run in self._runs),
            *(worker.child for worker in self._all_workers()),
            *(snapshot.child for snapshot in self._snapshots.values()),
        ]

    def _all_workers(self) -> list[WarmWorker]:
        return [worker for workers in self._workers.values() for worker in workers]

    # ---------------------------------------------------------------- one program

    def _submit(self, steps: tuple[str, ...], first: int, fresh: bool = False) -> asyncio.Future[list[Execution]]:
        assert self._loop is not None
        limits = self.settings
        warm = limits.warm and not fresh and limits.output != "statements"
        if warm:
            warm = not (self._refused and any(step in self._refused for step in steps)) and not self._is_dear(
                steps[:-1]
            )
        request = Request(steps, first, admission.profile_of(steps), self._loop.create_future(), warm=warm, fresh=fresh)
        self._open.add(request.done)
        request.done.add_done_callback(self._open.discard)
        self._waiting.append(request)
        self._pump_soon()
        return request.done

    def _pump_soon(self) -> None:
        """Starts what can be started, once what is awaited at the same time has come together."""
        if not self._pumping and self._loop is not None:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._waiting:
            request = self._waiting[0]
            if request.done.done():  # nobody waits for it any more
                self._waiting.popleft()
            elif request.warm:
                zygote = _result(self._zygotes.get(request.profile))
                if zygote is None:
                    self._waiting.popleft()
                    self._later(self._start_when_ready(request))
                    continue
                worker = self._choose_worker(request, zygote)
                if worker is None:
                    break
                self._waiting.popleft()
                self._number += 1
                worker.assign(self._number, request)
            elif self._num_busy() < self._num_slots:
                self._waiting.popleft()
                self._start(request)
            else:
                break
        for worker in self._all_workers():
            worker.flush()
        if self._runs or any(worker.queue for worker in self._all_workers()):
            self._tick_soon()

    def _num_busy(self) -> int:
        return len(self._runs) + sum(1 for worker in self._all_workers() if worker.queue)

    def _start(self, request: Request) -> None:
        """Runs `request` in a fork of its own."""
        source: _Snapshot | None = None
        if not request.fresh:
            prefix = request.steps if request.builds else request.prefix
            if not request.builds and self._is_dear(prefix) and prefix not in self._snapshots:
                self._build(prefix, request)
                return
            source = self._nearest_snapshot(request.prefix)
        if source is not None:
            self._fork(request, source, source)
            return
        zygote = _result(self._zygotes.get(request.profile))
        if zygote is not None:
            self._fork(request, zygote, None)
        else:
            self._later(self._start_when_ready(request))

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _start_when_ready(self, request: Request) -> None:
        try:
            await self._zygote(request.profile)
        except SandboxError as error:
            self._fail(request, error)
        else:
            self._waiting.appendleft(request)
            self._pump_soon()

    def _fork(self, request: Request, forker: Forker, source: _Snapshot | None) -> None:
        """Asks `forker`, a zygote or the snapshot `source`, for a child that runs `request`."""
        assert self._loop is not None
        limits = self.settings
        known = len(source.steps) if source is not None else 0
        stays = limits.max_snapshots > 0 and not request.fresh
        steps = request.steps[known:]
        first = max(request.first - known, 0)
        buffer_bytes = (len(steps) - first) * limits.output_bytes
        if limits.output == "statements":
            buffer_bytes += RECORDS_BYTES
        message = {
            "kind": "program",
            "steps": steps,
            "first": first,
            "step_bytes": limits.output_bytes,
            "mode": limits.output,
            "stay_s": 0.0 if request.builds else limits.snapshot_after_s if stays else math.inf,
        }
        if not self._make_room():
            self._retry(request, after_s=TICK_S)
            return
        run = _Run(self, request, source)
        try:
            run.child = processes.fork(self._loop, forker, run, message, buffer_bytes)
        except BusyError:
            self._retry(request, after_s=TICK_S)
            return
        except LostError:
            self._forker_lost(forker)
            self._retry(request, after_s=0.0, lost=True)
            return
        self.counts.forked += 1
        if source is not None:
            self.counts.from_snapshot += 1
            source.users += 1
            self._snapshots.move_to_end(source.steps)
        self._runs.add(run)
        self._tick_soon()

    def _complete(self, request: Request) -> None:
        if not request.done.done():
            request.done.set_result(request.executions)
        self._pump_soon()

    def _fail(self, request: Request, error: Exception) -> None:
        if not request.done.done():
            request.done.set_exception(error)
        self._pump_soon()

    def _retry(self, request: Request, after_s: float, lost: bool = False) -> None:
        """Runs `request` once more; not for ever where processes are lost under it."""
        assert self._loop is not None
        request.executions.clear()
        if lost:
            self.counts.lost += 1
            request.starts += 1
        if request.starts >= MAX_STARTS:
            request.executions.append(Execution("killed", "", f"Killed: its process was lost {request.starts} times"))
            self._complete(request)
            return

        def again() -> None:
            if not request.done.done():
                self._waiting.appendleft(request)
            self._pump_soon()

        self._loop.call_later(after_s, again)

    def _remember(self, key: Key, done: asyncio.Future[list[Execution]]) -> None:
        if self._in_flight.get(key) is done:
            del self._in_flight[key]
        if done.cancelled() or done.exception():
            return
        execution = done.result()[-1]
        # how long the wall clock ran, and what killed a process, says nothing certain about the program
        if execution.status in ("wall_limit", "killed") or not self.settings.cache_entries:
            return
        self._cache[key] = execution
        if len(self._cache) > self.settings.cache_entries:
            self._cache.popitem(last=False)

    def _again(self, requests: list[Request]) -> None:
        """Puts `requests` back to the front of what waits."""
        self._waiting.extendleft(reversed(requests))
        self._pump_soon()

    # ---------------------------------------------------------------- warm workers

    def _choose_worker(self, request: Request, zygote: Zygote) -> WarmWorker | None:
        """The worker that `request` goes to; None where it must wait."""
        workers = self._workers.setdefault(request.profile, [])
        least = min(workers, key=lambda worker: len(worker.queue), default=None)
        home = self._homes.get(request.prefix)
        chosen = least
        if home in workers and least is not None and len(home.queue) <= len(least.queue) + AFFINITY:
            chosen = home
        free = self._num_busy() < self._num_slots
        may_grow = free and len(workers) < self._num_slots
        if chosen is not None and len(chosen.queue) < QUEUE_DEPTH:
            if chosen.queue and (chosen is home or not may_grow):
                return chosen
            if not chosen.queue and free:
                return chosen
        if may_grow:
            return self._new_worker(request.profile, zygote)
        busy = [worker for worker in workers if worker.queue and len(worker.queue) < QUEUE_DEPTH]
        return min(busy, key=lambda worker: len(worker.queue), default=None)

    def _new_worker(self, profile: str, zygote: Zygote) -> WarmWorker | None:
        assert self._loop is not None
        limits = self.settings
        worker = WarmWorker(self, zygote)
        message = {"kind": "worker", "step_bytes": limits.output_bytes, "memory_bytes": limits.memory_mb << 20}
        if not self._make_room():
            return None
        try:
            worker.child = processes.fork(self._loop, zygote, worker, message, limits.output_bytes, stream=True)
        except BusyError:
            self._loop.call_later(TICK_S, self._pump_soon)
            return None
        except LostError:
            self._forker_lost(zygote)
            self._pump_soon()
            return None
        self._workers[profile].append(worker)
        return worker

    def _forget_worker(self, worker: WarmWorker) -> None:
        for workers in self._workers.values():
            if worker in workers:
                workers.remove(worker)

    def _warm_done(
        self, worker: WarmWorker, request: Request, execution: Execution, replayed_s: float, kept: bool
    ) -> None:
        """A worker has run `request`."""
        self.counts.warm += 1
        if execution.ok:
            _note(self._homes, request.steps, worker)
            cost = replayed_s + execution.seconds
            if cost >= self.settings.snapshot_after_s and not kept:
                # what it left has no copy: what comes after it is forked from a process that stays there
                _note(self._costs, request.steps, cost)
        request.executions.append(execution)
        self._complete(request)

    def _not_admitted(self, request: Request, reason: str) -> None:
        self.counts.not_admitted += 1
        self._run_forked(request)

    def _deferred(self, request: Request, reason: str) -> None:
        self.counts.deferred += 1
        self._run_forked(request)

    def _tainted(self, request: Request, reason: str) -> None:
        self.counts.tainted += 1
        request.warm = False
        self._again([request])

    def _run_forked(self, request: Request) -> None:
        _note(self._refused, request.steps[-1], None)
        request.warm = False
        self._again([request])

    # ---------------------------------------------------------------- snapshots

    def _is_dear(self, prefix: tuple[str, ...]) -> bool:
        limits = self.settings
        return limits.max_snapshots > 0 and self._costs.get(prefix, 0.0) >= limits.snapshot_after_s

    def _nearest_snapshot(self, prefix: tuple[str, ...]) -> _Snapshot | None:
        if not self._snapshots:
            return None
        for length in range(len(prefix), 0, -1):
            snapshot = self._snapshots.get(prefix[:length])
            if snapshot is not None:
                return snapshot
        return None

    def _build(self, prefix: tuple[str, ...], request: Request) -> None:
        """Has `request` wait for a snapshot of its prefix."""
        assert self._loop is not None
        waiting = self._builds.get(prefix)
        if waiting is not None:
            waiting.append(request)
            return
        self._builds[prefix] = [request]
        done: asyncio.Future[list[Execution]] = self._loop.create_future()
        done.add_done_callback(lambda _: self._built(prefix))
        build = Request(prefix, len(prefix) - 1, admission.profile_of(prefix), done, warm=False, builds=True)
        self._start(build)

    def _built(self, prefix: tuple[str, ...]) -> None:
        if prefix not in self._snapshots:  # it failed, or has been evicted: whoever waits replays the prefix himself
            self._costs.pop(prefix, None)
        self._again(self._builds.pop(prefix, []))

    def _keep(self, run: _Run) -> None:
        """Keeps the process of `run` as a snapshot."""
        snapshot = _Snapshot(self, run)
        old = self._snapshots.pop(snapshot.steps, None)
        if old is not None:
            old.child.close()
        self._snapshots[snapshot.steps] = snapshot
        self.counts.snapshots += 1
        while len(self._snapshots) > self.settings.max_snapshots and self._evict(keep=snapshot):
            pass

    def _evict(self, keep: _Snapshot | None = None) -> bool:
        """Gives the least recently used snapshot up that nothing is being forked from."""
        for snapshot in self._snapshots.values():
            if snapshot.users == 0 and snapshot is not keep:
                self._drop(snapshot)
                self.counts.evicted += 1
                return True
        return False

    def _make_room(self) -> bool:
        """Whether one more process may live; gives up one that waits, if that makes it so."""
        while len(self._children()) >= self.settings.max_processes:
            idle = next((worker for worker in self._all_workers() if not worker.queue), None)
            if self._evict():
                continue
            if idle is None:
                return False
            idle.close()
        return True

    def _drop(self, snapshot: _Snapshot) -> None:
        if self._snapshots.get(snapshot.steps) is snapshot:
            del self._snapshots[snapshot.steps]
        snapshot.child.close()

    # ---------------------------------------------------------------- clocks

    def _tick_soon(self) -> None:
        if self._ticking is None and self._loop is not None:
            self._ticking = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None
        self._ticking = None
        now = time.monotonic()
        for run in list(self._runs):
            run.check(now)
        for worker in self._all_workers():
            worker.check(now)
        if now - self._memory_read_at >= MEMORY_TICK_S:
            self._memory_read_at = now
            self._check_memory()
        for snapshot in list(self._snapshots.values()):
            snapshot.check(now)
        if self._runs or any(worker.queue for worker in self._all_workers()):
            self._ticking = self._loop.call_later(TICK_S, self._tick)
        elif self._snapshots:
            self._ticking = self._loop.call_later(IDLE_TICK_S, self._tick)

    def _check_memory(self) -> None:
        """Ends what takes most, once all processes together take more than they may."""
        limit = self.settings.total_memory_bytes()
        total = sum(child.memory_bytes() for child in self._children())
        while total > limit and self._evict():
            total = sum(child.memory_bytes() for child in self._children())
        for worker in self._all_workers():
            if total > limit and not worker.queue:
                total -= worker.child.memory_bytes()
                worker.close()
        if total > limit and self._runs:
            largest = max(self._runs, key=lambda run: run.child.memory_bytes())
            largest.finish("memory_limit", f"MemoryLimit: all programs together take more than {limit >> 20} MiB")

    # ---------------------------------------------------------------- zygotes

    def _enter_loop(self) -> None:
        """Binds the executor to the running loop; after a fork, or in a new loop, it starts afresh."""
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._pid == os.getpid():
            return
        if self._loop is not None:
            ours = self._pid == os.getpid()
            for child in self._children():
                if not ours:
                    # they are the other process's; this one only holds copies of the descriptors
                    child.disown()
                child.close()
            for starting in self._zygotes.values():
                zygote = _result(starting)
                if zygote is not None and ours:
                    zygote.end()
                elif zygote is not None:
                    zygote.forget()
            self._reset()
        self._loop = loop

    async def _zygote(self, profile: str) -> Zygote:
        assert self._loop is not None
        starting = self._zygotes.get(profile)
        if starting is None or (starting.done() and (starting.cancelled() or starting.exception())):
            starting = asyncio.ensure_future(
                processes.start_zygote(self._loop, profile, self.settings, self._disabled_layers)
            )
            self._zygotes[profile] = starting
        return await asyncio.shield(starting)

    def _forker_lost(self, forker: Forker) -> None:
        """A process that does not fork any more is ended; the next program starts another."""
        if isinstance(forker, _Snapshot):
            self._drop(forker)
            return
        zygote = forker.zygote
        if _result(self._zygotes.get(zygote.profile)) is zygote:
            del self._zygotes[zygote.profile]
        for snapshot in [s for s in self._snapshots.values() if s.zygote is zygote]:
            self._drop(snapshot)
        zygote.end()


class _Run:
    """A program that runs in a fork of its own."""

    child: Child

    def __init__(self, executor: SandboxExecutor, request: Request, source: _Snapshot | None) -> None:
        self.executor = executor
        self.request = request
        self.source = source
        self.known = len(source.steps) if source is not None else 0
        self.seconds: float = source.cost if source is not None else 0.0
        self.asked_at = self.step_began = time.monotonic()
        self.output_read = 0
        self.over = False

    def hello(self, child: Child) -> None:
        """The program starts."""
        self.step_began = time.monotonic()
        if self.source is not None and child.pid in (0, self.source.pid):
            self._distrust()

    def message(self, child: Child, message: bytes) -> None:
        """A step has ended, or the process."""
        if self.over:
            return
        if not message or child.pid == 0:
            self._on_end()
            return
        try:
            index, status, error, seconds, end, records_at, records_bytes, stays = json.loads(message[1:])
            integers = (index, end, records_at, records_bytes)
            if not (
                message[:1] == b"R"
                and status in _STATUSES
                and (isinstance(error, str) if status != "ok" else error is None)
                and isinstance(seconds, float)
                and math.isfinite(seconds)
                and all(isinstance(number, int) and 0 <= number < 1 << 40 for number in integers)
                and isinstance(stays, bool)
            ):
                raise ValueError(message)
        except (ValueError, TypeError):
            self.finish("killed", "ProtocolError: the program interfered with the report of its own result")
            return
        self._on_step(index + self.known, status, error, max(0.0, seconds), end, records_at, records_bytes, stays)

    def _on_step(
        self,
        index: int,
        status: ExecutionStatus,
        error: str | None,
        seconds: float,
        end: int,
        records_at: int,
        records_bytes: int,
        stays: bool,
    ) -> None:
        request = self.request
        self.seconds += seconds
        self.step_began = time.monotonic()
        if index < request.first:
            self.finish(status, f"step {index + 1} of the prefix failed: {error}", seconds)
            return
        output = self._read_output(end)
        if self.executor.settings.output == "statements":
            data = self.child.read_buffer(records_at, min(records_bytes, RECORDS_BYTES))
            statements = _statements(data)
            request.executions.append(RecordedExecution(status, output, error, seconds, statements))
        else:
            request.executions.append(Execution(status, output, error, seconds))
        if status != "ok" or len(request.executions) >= len(request.steps) - request.first:
            self._note_cost(status)
            self._over(stays and status == "ok" and not request.fresh)
            self.executor._complete(request)

    def _note_cost(self, status: ExecutionStatus) -> None:
        """Remembers what it takes to come as far as this program."""
        executor = self.executor
        costs = executor._costs
        request = self.request
        cost = costs.get(request.prefix, 0.0) + request.executions[-1].seconds
        if status == "ok" and not request.fresh and cost >= executor.settings.snapshot_after_s:
            _note(costs, request.steps, max(cost, self.seconds))

    def _on_end(self) -> None:
        """The process has ended without a word."""
        executor = self.executor
        loop = executor._loop
        zygote = self.child.zygote
        if self.child.pid == 0 or loop is None:
            self._over()
            if not zygote.alive():
                executor._forker_lost(zygote)
            executor._retry(self.request, after_s=TICK_S, lost=True)
            return
        self.child.loop.remove_reader(self.child.channel)

        def decide() -> None:
            if self.over or executor._loop is not loop:
                return
            if zygote.alive():
                self.finish("killed", "Killed: the program ended its own process, or the system did")
            else:
                self._over()
                executor._forker_lost(zygote)
                executor._retry(self.request, after_s=0.0, lost=True)

        # where the zygote has gone too, it shows a moment later
        loop.call_later(2 * TICK_S, decide)

    def _distrust(self) -> None:
        """A snapshot has not forked as it was told: end everything that its zygote has ever forked."""
        self._over()
        self.executor._forker_lost(self.child.zygote)
        self.executor._retry(self.request, after_s=0.0, lost=True)

    def finish(self, status: ExecutionStatus, error: str, seconds: float = 0.0) -> None:
        """Ends the program with a step that did not report itself."""
        length = self.child.header()[0] if self.child.pid else 0
        request = self.request
        request.executions.append(Execution(status, self._read_output(length), error, seconds))
        self._over()
        self.executor._complete(request)

    def _read_output(self, end: int) -> str:
        """What the running step printed, up to the buffer's byte `end`."""
        num_bytes = min(max(end - self.output_read, 0), self.executor.settings.output_bytes)
        data = self.child.read_buffer(self.output_read, num_bytes)
        self.output_read = max(end, self.output_read)
        return data.decode("utf-8", "ignore")

    def _over(self, stays: bool = False) -> None:
        self.over = True
        self.executor._runs.discard(self)
        if self.source is not None:
            self.source.users -= 1
        if stays and self.executor.settings.max_snapshots:
            self.executor._keep(self)
        else:
            self.child.close()

    def check(self, now: float) -> None:
        """Ends the program where a limit is reached."""
        limits = self.executor.settings
        child = self.child
        if child.pid == 0:
            # its first word is late, which is not its fault: nothing of the program has run
            if now - self.asked_at > FIRST_WORD_S:
                self._distrust()
            return
        refused = child.zygote.refused
        if refused and refused.get(child.pid, 0) > MAX_REFUSED_FORKS:
            refused.pop(child.pid)
            self.finish("killed", "Killed: the program kept trying to start processes")
            return
        age = now - self.step_began
        if age < min(limits.cpu_s, limits.wall_s):
            if age > 10 * TICK_S and child.has_ended():
                self._on_end()
            return
        cpu = child.cpu_seconds()
        _, began, index, _ = child.header()
        # `began` is the child's own word: it may only lie to its own disadvantage, or within the sum of its limits
        spent = cpu - began if 0.0 <= began <= cpu else cpu
        index += self.known
        where = "" if index >= self.request.first else f" in step {index + 1} of the prefix"
        if spent >= limits.cpu_s or cpu >= limits.cpu_s * (len(self.request.steps) + 1):
            self.finish("cpu_limit", f"CpuLimit: more than {limits.cpu_s:g} CPU seconds{where}", spent)
        elif age >= limits.wall_s:
            self.finish("wall_limit", f"WallLimit: more than {limits.wall_s:g} seconds{where}", spent)


class _Snapshot(Forker):
    """A process that has run a prefix and waits, to be forked for each candidate."""

    def __init__(self, executor: SandboxExecutor, run: _Run) -> None:
        child = run.child
        super().__init__(child.channel, child.pid, child.zygote)
        self.executor = executor
        self.child = child
        self.steps = run.request.steps
        self.cost: float = run.seconds
        self.users = 0
        self.cpu = child.cpu_seconds()
        self.forks = 0
        child.handler = self

    def hello(self, child: Child) -> None:
        """Not heard from a process that has said it before."""

    def message(self, child: Child, message: bytes) -> None:
        """It has ended, or speaks without being asked: either way it is of no use any more."""
        self.executor._drop(self)

    def check(self, now: float) -> None:
        """Ends it where it works without having been asked to."""
        cpu = self.child.cpu_seconds()
        allowed = 0.2 + 0.05 * (self.zygote.grants.get(self.pid, 0) + self.users + self.forks)
        if cpu - self.cpu > allowed and self.users == 0:
            self.executor._drop(self)


def _statements(data: bytes) -> tuple[Statement, ...]:
    """What a child recorded, statement by statement; () where it is not what it should be."""
    if not data:
        return ()
    try:
        return tuple(
            Statement(str(printed), None if value is None else str(value)) for printed, value in json.loads(data)
        )
    except (ValueError, TypeError):
        return ()


def _note(table: OrderedDict[K, V], key: K, value: V) -> None:
    """Notes something in a bounded table."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)


def _result(starting: asyncio.Task[Zygote] | None) -> Zygote | None:
    """The zygote that `starting` has started; None while it starts, and where it failed to."""
    if starting is None or not starting.done() or starting.cancelled() or starting.exception():
        return None
    return starting.result()
