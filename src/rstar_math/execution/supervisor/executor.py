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
import contextlib
import os
from collections import deque
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import cast

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution import capacity
from rstar_math.execution.layers import LayerReport, layer_reports
from rstar_math.execution.supervisor.counts import Counts
from rstar_math.execution.supervisor.forked import Run, Snapshot, order_of
from rstar_math.execution.supervisor.processes import BusyError, Forker, LostError, Zygote, fork
from rstar_math.execution.supervisor.reports import NotDone
from rstar_math.execution.supervisor.requests import Batch, Request, Steps
from rstar_math.execution.supervisor.results import Results
from rstar_math.execution.supervisor.snapshots import Snapshots
from rstar_math.execution.supervisor.source import profile_of
from rstar_math.execution.supervisor.starting import extra_packages
from rstar_math.execution.supervisor.warm import WarmWorker
from rstar_math.execution.supervisor.warm_book import WarmBook
from rstar_math.execution.supervisor.warm_pool import WarmPool
from rstar_math.execution.supervisor.watch import TICK_S, Watch
from rstar_math.execution.supervisor.zygotes import Zygotes
from rstar_math.types import Execution

ROOM_TICK_S = 0.002
"""How often a program tries to start for which the place of a process that was killed is about to become free."""

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
        self._packages = tuple(extra_packages(self.settings))
        self._num_slots = num_slots or capacity.num_slots(self.settings)
        self._results = Results(self.settings)
        self.warm_book = WarmBook(self.counts, MAX_REMEMBERED)
        # for tests of the lines of defence behind a layer or behind the static check
        self._disabled_layers: tuple[str, ...] = ()
        self.admit_everything = False
        self._reset()

    def _reset(self) -> None:
        """The state of an executor that has no process."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._open: set[Request] = set()
        self._results.forget_requests()
        self._waiting: deque[Request] = deque()
        self._pumping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.runs: set[Run] = set()
        self.pool = WarmPool(self.counts, self._num_slots, MAX_REMEMBERED)
        self._number = 0
        limits = self.settings
        self.snapshots = Snapshots(self.counts, limits.max_snapshots, limits.snapshot_after_s, MAX_REMEMBERED)
        self.zygotes = Zygotes(limits)
        self._watch = Watch(limits, self.runs, self.pool, self.snapshots)

    async def __aenter__(self) -> SandboxExecutor:
        self._enter_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def prepare(self) -> None:
        """See `Preparing`: starts the zygote that most programs run in."""
        self._enter_loop()
        self._later(self._prepare())

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs `code` in a fresh namespace that holds what `prefix` defined and nothing else."""
        loop = self._enter_loop()
        found = self._known_or_asked(self._results.prefix(prefix), code)
        if isinstance(found, Execution):
            return found
        # each waits for a future of his own: one who gives up does not disturb the others
        waiter: asyncio.Future[list[Execution]] = loop.create_future()
        found.waiters.append(waiter)
        return (await waiter)[-1]

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """Runs each of `codes` as `execute` does; they need no task each."""
        loop = self._enter_loop()
        before = self._results.prefix(prefix)
        batch = Batch(loop.create_future(), len(codes))
        executions = batch.executions
        for place, code in enumerate(codes):
            found = self._known_or_asked(before, code)
            if isinstance(found, Execution):
                executions[place] = found
            else:
                batch.add(place, found)
        if None in executions:
            await batch.done
        return cast("list[Execution]", executions)

    def _known_or_asked(self, before: Steps, code: str) -> Execution | Request:
        """What is remembered of `code` after `before`, or a request on its way."""
        self.counts.executions += 1
        key = self._results.key(before, code)
        found = self._results.find(key)
        if found is not None:
            self.counts.cached += 1
            return found
        steps = (*before, key[1])
        profile = profile_of(steps, self._packages)
        request = Request(before, steps, len(before), profile, self._may_run_warm(before, steps), key)
        self._results.begin(key, request)
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
        waiter: asyncio.Future[list[Execution]] = loop.create_future()
        request.waiters.append(waiter)
        self._submit(request)
        return await waiter

    async def layers(self) -> list[LayerReport]:
        """The layers of isolation that programs run under on this machine."""
        self._enter_loop()
        return layer_reports((await self.zygotes.started("light", self._disabled_layers)).layers, self.settings)

    async def aclose(self) -> None:
        """Ends every process that this executor started; programs on their way end as SandboxError."""
        if self._loop is None or self._pid != os.getpid():
            return
        self._watch.stop()
        for child in self._watch.children():
            child.close()
        for request in self._open:
            request.fail(SandboxError("the executor was closed while this program was on its way"))
        zygotes, tasks = self.zygotes, list(self._tasks)
        self._reset()
        for task in tasks:
            task.cancel()
        await zygotes.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---------------------------------------------------------------- the way of a program

    def _submit(self, request: Request) -> None:
        self._open.add(request)
        self._waiting.append(request)
        self.pump_soon()

    def pump_soon(self) -> None:
        """Starts what can be started, once what is awaited at the same time has come together."""
        if self._waiting and not self._pumping and self._loop is not None:
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
        self.snapshots.forget_builds()

    def _start_what_can_be(self) -> None:
        while self._waiting:
            request = self._waiting[0]
            if not request.wanted():
                self._close_request(self._waiting.popleft())
                continue
            profile = self.pool.profile_for(request) if request.warm else request.profile
            zygote = self.zygotes.ready(profile)
            if zygote is None and profile != request.profile:  # it was lost
                profile = request.profile
                zygote = self.zygotes.ready(profile)
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
        if self.runs or self.pool.num_busy():
            self._watch.start()

    def _is_free(self) -> bool:
        return len(self.runs) + self.pool.num_busy() < self._num_slots

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _prepare(self) -> None:
        with contextlib.suppress(SandboxError):  # the first program starts it again, and says what is wrong
            await self.zygotes.started("light", self._disabled_layers)

    async def _start_when_ready(self, request: Request) -> None:
        try:
            await self.zygotes.started(request.profile, self._disabled_layers)
        except Exception as error:  # whatever it is, who waits must hear of it
            self._close_request(request)
            request.fail(error)
            self._go_on_after(request)
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
        self._results.remember(request)
        request.complete()
        self._go_on_after(request)
        self.pump_soon()

    def _close_request(self, request: Request) -> None:
        self._open.discard(request)
        self._results.end(request)

    # ---------------------------------------------------------------- warm workers

    def _may_run_warm(self, prefix: Steps, steps: Steps) -> bool:
        """Whether a warm worker is asked to run `steps`; it may still refuse."""
        settings = self.settings
        if not settings.warm or settings.output == "statements":
            return False
        if self.pool.is_given_up:
            return False
        if not self.admit_everything and not self.warm_book.may_run(prefix, steps):
            return False
        return not self.snapshots.is_dear(prefix)

    def _new_worker(self, zygote: Zygote) -> WarmWorker | None:
        assert self._loop is not None
        worker, step_bytes = WarmWorker(self, zygote), self.settings.output_bytes
        message = {"kind": "worker", "step_bytes": step_bytes, "memory_bytes": self.settings.memory_mb << 20}
        if not self._make_room():
            self._pump_when_there_is_room()
            return None
        try:
            worker.child = fork(self._loop, zygote, worker, message, step_bytes, stream=True)
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

    def run_forked(self, request: Request, result: NotDone) -> None:
        """A worker did not run `request`, or its result is not to be trusted: it is run in a fork of its own."""
        self.warm_book.note(request.steps, result)
        request.warm = False
        self.again([request])

    def worker_ended(self, worker: WarmWorker, lost: bool) -> None:
        """A worker takes no more programs; `lost`: it has ended by itself."""
        self.pool.forget(worker, lost)

    # ---------------------------------------------------------------- forks and snapshots

    def _start(self, request: Request, zygote: Zygote) -> bool:
        """Runs `request` in a fork of its own; False where there is no room for one more process."""
        source: Snapshot | None = None
        if not request.fresh:
            if not request.builds and self.snapshots.is_dear(request.prefix) and request.prefix not in self.snapshots:
                build = self.snapshots.build(request)
                if build is not None:
                    self.again([build])
                return True
            source = self.snapshots.nearest(request.prefix, zygote)
        forker: Forker = zygote if source is None else source
        if not self._make_room(keep=source):
            return False
        assert self._loop is not None
        message, buffer_bytes = order_of(request, source, self.settings)
        run = Run(self, request, source)
        try:
            run.child = fork(self._loop, forker, run, message, buffer_bytes)
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
        self._watch.start()
        return True

    def note_cost(self, request: Request, seconds: float) -> None:
        """Remembers what it takes to come as far as `request`, which has run in a fork."""
        if not request.fresh:
            cost = max(seconds, self.snapshots.cost(request.prefix) + request.executions[-1].seconds)
            self.snapshots.note_cost(request.steps, cost)

    def keep(self, snapshot: Snapshot) -> None:
        """A process stays when its program has ended, to be forked for what comes after."""
        self.snapshots.keep(snapshot)

    def _go_on_after(self, request: Request) -> None:
        """Where `request` was to leave a snapshot: whoever waits for it goes on."""
        if request.builds:
            self.again(self.snapshots.built(request))

    def _make_room(self, keep: Snapshot | None = None) -> bool:
        """Whether one more process may live; gives up one that waits, so that there is room once it is gone."""
        limit = self.settings.max_processes
        while len(self._watch.children()) >= limit:
            if self.snapshots.evict(keep):
                continue
            idle = next((worker for worker in self.pool.workers() if not worker.queue), None)
            if idle is None:
                return False
            idle.close()
        return len(self._watch.children()) + self.zygotes.num_dying() < limit

    def _pump_when_there_is_room(self) -> None:
        assert self._loop is not None
        # where nothing is about to go, the end of a program that runs starts the next
        self._loop.call_later(ROOM_TICK_S if self.zygotes.num_dying() else TICK_S, self.pump_soon)

    # ---------------------------------------------------------------- processes

    def _enter_loop(self) -> asyncio.AbstractEventLoop:
        """Binds the executor to the running loop; after a fork, or in a new loop, it starts afresh."""
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._pid == os.getpid():
            return loop
        if self._loop is not None:
            self._watch.stop()
            ours = self._pid == os.getpid()
            for child in self._watch.children():
                if not ours:
                    # they are the other process's; this one only holds copies of the descriptors
                    child.disown()
                child.close()
            self.zygotes.leave(ours)
            self._reset()
        self._loop = loop
        return loop

    def forker_lost(self, forker: Forker) -> None:
        """A process that does not fork any more is ended; the next program starts another."""
        if isinstance(forker, Snapshot):
            self.snapshots.drop(forker)
            return
        zygote = forker.zygote
        for snapshot in [s for s in self.snapshots if s.zygote is zygote]:
            self.snapshots.drop(snapshot)
        self.zygotes.end(zygote)
