"""Step execution in confined processes: what the search's `Executor` is on Linux.

This file is the supervisor. It decides where a program runs, watches the clocks of what runs from outside, kills, and
remembers results. No step is ever run in the supervisor's own process.

Where a program runs, cheapest first:

- nowhere: the same code after the same prefix has run before, or runs already (comments do not count);
- in a warm worker, which has the state of the prefix or replays it, if a static check admits the program (`warm`);
- in a fork of a snapshot, a process that has run the prefix and waits, if the prefix is dear to replay (`forked`);
- in a fork of the zygote, a process that has only loaded what programs import (`forked`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import cast

from rstar_math.errors import SandboxError
from rstar_math.execution.layers import LayerReport, layer_reports
from rstar_math.execution.settings import ExecutionSettings
from rstar_math.execution.supervisor import processes
from rstar_math.execution.supervisor.counts import Counts
from rstar_math.execution.supervisor.forked import Run, Snapshot, order_of
from rstar_math.execution.supervisor.lru import LRU
from rstar_math.execution.supervisor.processes import BusyError, Child, Forker, LostError, Zygote
from rstar_math.execution.supervisor.requests import Batch, Key, Request, Steps
from rstar_math.execution.supervisor.results import Results
from rstar_math.execution.supervisor.snapshots import Snapshots
from rstar_math.execution.supervisor.source import profile_of, steps_without_comments, without_comments
from rstar_math.execution.supervisor.warm import WarmWorker
from rstar_math.execution.supervisor.warm_pool import WarmPool
from rstar_math.types import Execution

TICK_S = 0.02
"""How often the clocks of running programs are read."""

ROOM_TICK_S = 0.002
"""How often a program tries to start for which the place of a process that was killed is about to become free."""

IDLE_TICK_S = 0.5
"""How often waiting processes are looked at, which ought to do nothing."""

MEMORY_TICK_S = 0.1
"""How often the memory of all processes together is read."""

MAX_STARTS = 3
"""How often a program is tried whose process was lost under it."""

MAX_REMEMBERED = 4096
"""Entries of each of the tables in which the supervisor notes what it has learnt about programs."""


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
        self._packages = tuple(processes.extra_packages(self.settings))
        self.reasons: Counter[str] = Counter()
        """Why programs did not run in a warm worker."""
        # the released rules find labels in the text of a statement, its comments included
        self._comments_do_not_count = self.settings.output != "statements"
        self._num_slots = num_slots or self.settings.slots()
        self._results = Results(self.settings.cache_entries, self.settings.cache_mb << 20)
        self._refused: LRU[str, bool] = LRU(MAX_REMEMBERED)
        """Steps that the static check does not admit."""
        self._not_warm: LRU[Steps, bool] = LRU(MAX_REMEMBERED)
        """Programs that did not end in a warm worker, although it admits each of their steps."""
        # for tests of the lines of defence behind a layer or behind the static check
        self._disabled_layers: tuple[str, ...] = ()
        self.admit_everything = False
        self._reset()

    def _reset(self) -> None:
        """The state of an executor that has no process."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._open: set[Request] = set()
        self._in_flight: dict[Key, Request] = {}
        self._waiting: deque[Request] = deque()
        self._pumping = False
        self._zygotes: dict[str, asyncio.Task[Zygote]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.runs: set[Run] = set()
        self.pool = WarmPool(self.counts, self._num_slots, MAX_REMEMBERED)
        self._number = 0
        limits = self.settings
        self.snapshots = Snapshots(self.counts, limits.max_snapshots, limits.snapshot_after_s, MAX_REMEMBERED)
        self._builds: dict[Steps, list[Request]] = {}
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
        loop = self._enter_loop()
        found = self._known_or_asked(self._known_as(prefix), code)
        if isinstance(found, Execution):
            return found
        # each waits for a future of his own: one who gives up does not disturb the others
        waiter = loop.create_future()
        found.waiters.append(waiter)
        return (await waiter)[-1]

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """Runs each of `codes` as `execute` does; they need no task each."""
        loop = self._enter_loop()
        before = self._known_as(prefix)
        batch = Batch(loop.create_future(), len(codes))
        executions = batch.executions
        is_whole = True
        for place, code in enumerate(codes):
            found = self._known_or_asked(before, code)
            if isinstance(found, Execution):
                executions[place] = found
            else:
                batch.add(place, found)
                is_whole = False
        if not is_whole:
            await batch.done
        return cast("list[Execution]", executions)

    def _known_as(self, prefix: Sequence[str]) -> Steps:
        """A prefix as it is remembered."""
        before = tuple(prefix)
        return steps_without_comments(before) if self._comments_do_not_count else before

    def _known_or_asked(self, before: Steps, code: str) -> Execution | Request:
        """What is remembered of `code` after `before`, or a request on its way."""
        self.counts.executions += 1
        if self._comments_do_not_count:
            code = without_comments(code)
        key = (before, code)
        known = self._results.get(key)
        if known is not None:
            self.counts.cached += 1
            return known
        request = self._in_flight.get(key)
        if request is not None:
            self.counts.cached += 1
            return request
        steps = (*before, code)
        profile = profile_of(steps, self._packages)
        request = Request(before, steps, len(before), profile, self._may_run_warm(before, steps), key)
        self._in_flight[key] = request
        self._submit(request)
        return request

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program from the start, past every cache, in a fresh child of a clean zygote."""
        return await self._run_program(steps, record=False)

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        """The same, with what each statement did: the executions are `RecordedExecution`s where the program lived."""
        return await self._run_program(steps, record=True)

    async def _run_program(self, steps: Sequence[str], record: bool) -> list[Execution]:
        loop = self._enter_loop()
        self.counts.executions += len(steps)
        if not steps:
            return []
        program = tuple(steps)
        profile = profile_of(program, self._packages)
        request = Request(program[:-1], program, 0, profile, warm=False, record=record)
        waiter = loop.create_future()
        request.waiters.append(waiter)
        self._submit(request)
        return await waiter

    async def layers(self) -> list[LayerReport]:
        """The layers of isolation that programs run under on this machine."""
        self._enter_loop()
        return layer_reports((await self._zygote("light")).layers, self.settings)

    async def aclose(self) -> None:
        """Ends every process that this executor started; programs on their way end as SandboxError."""
        if self._loop is None or self._pid != os.getpid():
            return
        if self._ticking is not None:
            self._ticking.cancel()
        for child in self._children():
            child.close()
        for request in self._open:
            request.fail(SandboxError("the executor was closed while this program was on its way"))
        zygotes, tasks = list(self._zygotes.values()), list(self._tasks)
        self._reset()
        for task in (*zygotes, *tasks):
            task.cancel()
        for zygote in await asyncio.gather(*zygotes, return_exceptions=True):
            if isinstance(zygote, Zygote):
                zygote.end()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---------------------------------------------------------------- the way of a program

    def _submit(self, request: Request) -> None:
        self._open.add(request)
        self._waiting.append(request)
        self.pump_soon()

    @property
    def has_waiting(self) -> bool:
        """Whether programs wait to be started."""
        return bool(self._waiting)

    def pump_soon(self) -> None:
        """Starts what can be started, once what is awaited at the same time has come together."""
        if not self._pumping and self._loop is not None:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        try:
            self._start_what_can_be()
        except SandboxError as error:  # of the machine, not of a program
            self.broken(error)

    def broken(self, error: SandboxError) -> None:
        """Nothing can be run on this machine any more: whoever waits hears why."""
        waiting, self._waiting = list(self._open), deque()
        for request in waiting:
            self._close_request(request)
            request.fail(error)
            request.waiters.clear()
        self._builds.clear()

    def _start_what_can_be(self) -> None:
        while self._waiting:
            request = self._waiting[0]
            if not request.wanted():
                self._close_request(self._waiting.popleft())
                continue
            profile = self.pool.profile_for(request) if request.warm else request.profile
            zygote = _result(self._zygotes.get(profile))
            if zygote is None and profile != request.profile:  # it was lost
                profile = request.profile
                zygote = _result(self._zygotes.get(profile))
            if zygote is None:
                self._waiting.popleft()
                self._later(self._start_when_ready(request))
            elif request.warm:
                worker = self.pool.choose(request, profile, zygote, self._is_free, partial(self._new_worker, zygote))
                if worker is None:
                    break
                self._waiting.popleft()
                self._number += 1
                worker.assign(self._number, request)
            elif self._is_free():
                self._waiting.popleft()
                if not self._start(request, zygote):
                    self._waiting.appendleft(request)
                    self._pump_when_there_is_room()
                    break
            else:
                break
        self.pool.flush()
        if (self.runs or self.pool.num_busy()) and self._ticking is None:
            self._tick_after(TICK_S)

    def _is_free(self) -> bool:
        return len(self.runs) + self.pool.num_busy() < self._num_slots

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _start_when_ready(self, request: Request) -> None:
        try:
            await self._zygote(request.profile)
        except Exception as error:  # whatever it is, who waits must hear of it
            self._close_request(request)
            request.fail(error)
            self._abandon_build(request)
        else:
            self.again([request])

    def again(self, requests: Sequence[Request]) -> None:
        """Puts `requests` back to the front of what waits."""
        self._waiting.extendleft(reversed(requests))
        self.pump_soon()

    def _again_if_open(self, request: Request) -> None:
        if request in self._open or request.builds:
            self.again([request])

    def retry(self, request: Request, after_s: float, lost: bool = False) -> None:
        """Runs `request` once more; not for ever where processes are lost under it."""
        assert self._loop is not None
        request.executions.clear()
        if lost:
            self.counts.lost += 1
            request.starts += 1
        if request.starts >= MAX_STARTS:
            request.executions.append(Execution("killed", "", f"Killed: its process was lost {request.starts} times"))
            self.complete(request)
        else:
            self._loop.call_later(after_s, self._again_if_open, request)

    def complete(self, request: Request) -> None:
        """Gives the result of `request` out, and remembers it."""
        self._close_request(request)
        if request.key is not None and not request.crowded_out:
            self._results.put(request.key, request.executions[-1])
        request.complete()
        self._abandon_build(request)
        if self._waiting:
            self.pump_soon()

    def _close_request(self, request: Request) -> None:
        self._open.discard(request)
        if request.key is not None and self._in_flight.get(request.key) is request:
            del self._in_flight[request.key]

    # ---------------------------------------------------------------- warm workers

    def _may_run_warm(self, prefix: Steps, steps: Steps) -> bool:
        """Whether a warm worker is asked to run `steps`; it may still refuse."""
        settings = self.settings
        if not settings.warm or settings.output == "statements":
            return False
        if self.pool.is_given_up:
            return False
        if not self.admit_everything:
            if len(self._refused) and any(step in self._refused for step in steps):
                return False
            if prefix in self._not_warm:
                self._not_warm.put(steps, True)  # and so on for what comes after it
                return False
        return not self.snapshots.is_dear(prefix)

    def _new_worker(self, zygote: Zygote) -> WarmWorker | None:
        assert self._loop is not None
        limits = self.settings
        worker = WarmWorker(self, zygote)
        message = {"kind": "worker", "step_bytes": limits.output_bytes, "memory_bytes": limits.memory_mb << 20}
        if not self._make_room():
            self._pump_when_there_is_room()
            return None
        try:
            worker.child = processes.fork(self._loop, zygote, worker, message, limits.output_bytes, stream=True)
        except BusyError:
            self._loop.call_later(TICK_S, self.pump_soon)
            return None
        except LostError:
            self.forker_lost(zygote)
            self.pump_soon()
            return None
        self.pool.add(worker)
        return worker

    def warm_done(
        self, worker: WarmWorker, request: Request, execution: Execution, replayed_s: float, kept: bool
    ) -> None:
        """A worker has run `request`; `kept`: for certain, its state need not be computed again there."""
        self.counts.warm += 1
        self.pool.note_result()
        if execution.status == "ok":
            self.pool.note_home(request.steps, worker)
            if not kept:
                # what it left has no copy: what comes after it is forked from a process that stays there
                self.snapshots.note_cost(request.steps, replayed_s + execution.seconds)
        request.executions.append(execution)
        self.complete(request)

    def run_forked(self, request: Request, kind: str, reason: str, culprit: int) -> None:
        """A worker did not run `request`, or its result is not to be trusted: it is run in a fork of its own.

        Args:
          request: the program.
          kind: what the worker says of it.
          reason: in words.
          culprit: index of the step that no program may have which is to run warm; -1 where it is none alone.
        """
        if len(self.reasons) < MAX_REMEMBERED:
            self.reasons[f"{kind}: {reason}"[:200]] += 1
        if 0 <= culprit < len(request.steps):
            self._refused.put(request.steps[culprit], True)
        else:
            self._not_warm.put(request.steps, True)
        if kind == "refused":
            self.counts.not_admitted += 1
        elif kind == "deferred":
            self.counts.deferred += 1
        else:
            self.counts.tainted += 1
        request.warm = False
        self.again([request])

    # ---------------------------------------------------------------- forks and snapshots

    def _start(self, request: Request, zygote: Zygote) -> bool:
        """Runs `request` in a fork of its own; False where there is no room for one more process."""
        source: Snapshot | None = None
        if not request.fresh:
            if not request.builds and self.snapshots.is_dear(request.prefix) and request.prefix not in self.snapshots:
                self._build(request)
                return True
            source = self.snapshots.nearest(request.prefix, zygote)
        forker: Forker = zygote if source is None else source
        if not self._make_room(keep=source):
            return False
        assert self._loop is not None
        message, buffer_bytes = order_of(request, source, self.settings)
        run = Run(self, request, source)
        try:
            run.child = processes.fork(self._loop, forker, run, message, buffer_bytes)
        except BusyError:
            self.retry(request, after_s=TICK_S)
            return True
        except LostError:
            self.forker_lost(forker)
            self.retry(request, after_s=0.0, lost=True)
            return True
        self.counts.forked += 1
        if source is not None:
            self.counts.from_snapshot += 1
            self.snapshots.use(source)
        self.runs.add(run)
        if self._ticking is None:
            self._tick_after(TICK_S)
        return True

    def note_cost(self, request: Request, seconds: float) -> None:
        """Remembers what it takes to come as far as `request`, which has run in a fork."""
        if not request.fresh:
            cost = max(seconds, self.snapshots.cost(request.prefix) + request.executions[-1].seconds)
            self.snapshots.note_cost(request.steps, cost)

    def _build(self, request: Request) -> None:
        """Has `request` wait for a snapshot of its prefix."""
        prefix = request.prefix
        waiting = self._builds.get(prefix)
        if waiting is not None:
            waiting.append(request)
            return
        self._builds[prefix] = [request]
        self.again([Request(prefix[:-1], prefix, len(prefix) - 1, request.profile, warm=False, builds=True)])

    def _abandon_build(self, request: Request) -> None:
        """Where `request` was to leave a snapshot: whoever waits for it goes on, with it or without."""
        if request.builds and request.steps in self._builds:
            if request.steps not in self.snapshots:
                self.snapshots.forget_cost(request.steps)
            self.again(self._builds.pop(request.steps))

    def _make_room(self, keep: Snapshot | None = None) -> bool:
        """Whether one more process may live; gives up one that waits, so that there is room once it is gone."""
        limit = self.settings.max_processes
        while len(self._children()) >= limit:
            if self.snapshots.evict(keep):
                continue
            idle = next((worker for worker in self.pool.workers() if not worker.queue), None)
            if idle is None:
                return False
            idle.close()
        return len(self._children()) + self._num_dying() < limit

    def _num_dying(self) -> int:
        """Processes that have been killed and are not gone yet."""
        zygotes = map(_result, self._zygotes.values())
        return sum(zygote.num_dying for zygote in zygotes if zygote is not None)

    def _pump_when_there_is_room(self) -> None:
        assert self._loop is not None
        # where nothing is about to go, the end of a program that runs starts the next
        self._loop.call_later(ROOM_TICK_S if self._num_dying() else TICK_S, self.pump_soon)

    # ---------------------------------------------------------------- clocks

    def _tick_after(self, seconds: float) -> None:
        assert self._loop is not None
        self._ticking = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = time.monotonic()
        for run in list(self.runs):
            run.check(now)
        workers = self.pool.workers()
        for worker in workers:
            worker.check(now)
        if now - self._memory_read_at >= MEMORY_TICK_S:
            self._memory_read_at = now
            for snapshot in self.snapshots:
                snapshot.check()
            self._check_memory()
        if self._ticking is not None:
            return
        if self.runs or any(worker.queue for worker in workers):
            self._tick_after(TICK_S)
        elif self.snapshots:
            self._tick_after(IDLE_TICK_S)

    def _check_memory(self) -> None:
        """Gives up what waits, then ends what takes most, once processes together take more than they may."""
        self.snapshots.limit_memory(self.settings.snapshot_memory_mb << 20)
        limit = self.settings.total_memory_bytes()
        total = sum(child.memory_bytes() for child in self._children())
        while total > limit and self.snapshots.evict():
            total = sum(child.memory_bytes() for child in self._children())
        for worker in self.pool.workers():
            if total > limit and not worker.queue:
                total -= worker.child.memory_bytes()
                worker.close()
        running: list[Run | WarmWorker] = [*self.runs, *self.pool.workers()]
        if total > limit and running:
            error = f"MemoryLimit: all programs together take more than {limit >> 20} MiB"
            max(running, key=lambda one: one.child.memory_bytes()).out_of_memory(error)

    # ---------------------------------------------------------------- processes

    def _children(self) -> list[Child]:
        return [
            *(run.child for run in self.runs),
            *(worker.child for worker in self.pool.workers()),
            *(snapshot.child for snapshot in self.snapshots),
        ]

    def _enter_loop(self) -> asyncio.AbstractEventLoop:
        """Binds the executor to the running loop; after a fork, or in a new loop, it starts afresh."""
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._pid == os.getpid():
            return loop
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
                    zygote.disown()
            self._reset()
        self._loop = loop
        return loop

    async def _zygote(self, profile: str) -> Zygote:
        assert self._loop is not None
        starting = self._zygotes.get(profile)
        if starting is None or (starting.done() and (starting.cancelled() or starting.exception())):
            starting = asyncio.ensure_future(
                processes.start_zygote(self._loop, profile, self.settings, self._disabled_layers)
            )
            self._zygotes[profile] = starting
        return await asyncio.shield(starting)

    def forker_lost(self, forker: Forker) -> None:
        """A process that does not fork any more is ended; the next program starts another."""
        if isinstance(forker, Snapshot):
            self.snapshots.drop(forker)
            return
        zygote = forker.zygote
        if _result(self._zygotes.get(zygote.profile)) is zygote:
            del self._zygotes[zygote.profile]
        for snapshot in [s for s in self.snapshots if s.zygote is zygote]:
            self.snapshots.drop(snapshot)
        zygote.end()


def _result(starting: asyncio.Task[Zygote] | None) -> Zygote | None:
    """The zygote that `starting` has started; None while it starts, and where it failed to."""
    if starting is None or not starting.done() or starting.cancelled() or starting.exception():
        return None
    return starting.result()
