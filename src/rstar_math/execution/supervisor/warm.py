"""A warm worker as the supervisor sees it: what waits in it, what it answers, and when it is ended."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from rstar_math.errors import SandboxError
from rstar_math.execution.supervisor.counts import Counts
from rstar_math.execution.supervisor.processes import FIRST_WORD_S, Child, Owner, Zygote
from rstar_math.execution.supervisor.reports import NotDone, ReportError, WarmResult, warm_report
from rstar_math.execution.supervisor.requests import NOBODY_WAITS, Request
from rstar_math.types import Execution, ExecutionStatus

QUEUE_DEPTH = 128
"""Programs that wait inside one worker."""

USUAL_S = 1e-4
"""What a program is thought to take before any has run."""

_NEWEST = 1 / 16
"""Weight of the last program in the mean of what programs take."""

MAX_FRAME_BYTES = 1 << 28
SILENCE_S = 10.0
"""How long a worker may be silent, beyond the wall limit, while programs wait in it."""

CERTAIN = 0.9
"""Share of the CPU limit that a worker must have used since it was last heard of, for its word on which program did
so to count."""


class WorkerOwner(Owner, Protocol):
    """What warm workers ask of the executor that they belong to."""

    counts: Counts
    admit_everything: bool

    def warm_done(
        self, worker: WarmWorker, request: Request, execution: Execution, replayed_s: float, kept: bool
    ) -> None:
        """A worker has run `request`."""

    def run_forked(self, request: Request, result: NotDone) -> None:
        """A worker has not run `request`, or its result is not to be trusted."""

    def again(self, requests: Sequence[Request]) -> None:
        """They are to run first of all that wait."""

    def pump_soon(self) -> None:
        """What waits may be started."""

    def worker_ended(self, worker: WarmWorker, lost: bool) -> None:
        """It takes no more programs; `lost`: it has ended by itself."""


class WarmWorker:
    """One worker process and the programs that were sent to it."""

    child: Child

    def __init__(self, executor: WorkerOwner, zygote: Zygote) -> None:
        self.executor = executor
        self.zygote = zygote
        self.queue: OrderedDict[int, Request] = OrderedDict()
        self.over = False
        self._mean_s = USUAL_S
        self._outbox: list[tuple[int, Request]] = []
        self._sending = bytearray()
        self._received = bytearray()
        self._heard_at = time.monotonic()
        self._cpu_then = 0.0
        self._heard_then = self._heard_at
        """The process's CPU clock, and the monotonic one, when results came last."""
        self.barren = True
        """It has not had a single result."""

    @property
    def wait_s(self) -> float:
        """How long what waits in it will take, as far as one can tell."""
        return len(self.queue) * self._mean_s

    # ---------------------------------------------------------------- to the worker

    def assign(self, number: int, request: Request) -> None:
        """Puts `request` at the end of what waits; `flush` sends it."""
        if not self.queue:
            self._heard_at = time.monotonic()
        self.queue[number] = request
        self._outbox.append((number, request))

    def flush(self) -> None:
        """Sends what was assigned since the last time."""
        if not self._outbox or self.over:
            return
        executor = self.executor
        groups: list[tuple[tuple[str, ...], list[tuple[int, str]]]] = []
        prefix: tuple[str, ...] | None = None
        for number, request in self._outbox:
            if request.prefix is not prefix and request.prefix != prefix:
                prefix = request.prefix
                groups.append((prefix, []))
            groups[-1][1].append((number, request.steps[-1]))
        message = json.dumps([executor.settings.output, executor.admit_everything, groups]).encode()
        self._outbox.clear()
        idle = not self._sending
        self._sending += len(message).to_bytes(4, "big") + message
        if idle:
            self._send()

    def _send(self) -> None:
        channel = self.child.channel
        try:
            while self._sending:
                sent = channel.send(self._sending)
                del self._sending[:sent]
        except BlockingIOError:
            self.child.loop.add_writer(channel, self._send)
            return
        except OSError:
            self._sending.clear()  # it has ended, which its end of the channel says too
        self.child.loop.remove_writer(channel)

    # ---------------------------------------------------------------- from the worker

    def hello(self, child: Child) -> None:
        """It lives."""
        self._heard_at = time.monotonic()

    def broken(self, child: Child, error: SandboxError) -> None:
        """Nothing can be run on this machine."""
        self.close()
        self.queue.clear()
        self.executor.broken(error)

    def message(self, child: Child, message: bytes) -> None:
        """Results, or its end."""
        if self.over:
            return
        if not message:
            self.lost()
            return
        self._heard_at = time.monotonic()
        self._received += message
        while len(self._received) >= 4:
            length = int.from_bytes(self._received[:4], "big")
            if length > MAX_FRAME_BYTES:
                self.lost()
                return
            if len(self._received) < 4 + length:
                return
            frame = bytes(self._received[4 : 4 + length])
            del self._received[: 4 + length]
            try:
                self._take(warm_report(frame, self.executor.settings.output_bytes))
            except ReportError:
                self.lost()
                return
            if self.over:
                return
        self.executor.pump_soon()

    def _take(self, results: list[WarmResult | NotDone]) -> None:
        executor = self.executor
        scale = self._scale(results)
        for result in results:
            request = self.queue.pop(result.number, None)
            if request is None:
                raise ReportError("nobody has asked for that program")
            if isinstance(result, NotDone):
                executor.run_forked(request, result)
                continue
            self.barren = False
            seconds, replayed_s = result.seconds * scale, result.replayed_s * scale
            self._mean_s += _NEWEST * (max(USUAL_S, replayed_s + seconds) - self._mean_s)
            execution = Execution(result.status, result.output, result.error, seconds)
            executor.warm_done(self, request, execution, replayed_s, result.kept)

    def _scale(self, results: list[WarmResult | NotDone]) -> float:
        """What claimed times are multiplied by, at most 1: together they may not exceed the kernel's clock."""
        cpu = self.child.cpu_seconds()
        passed = cpu - self._cpu_then if cpu else time.monotonic() - self._heard_then
        self._cpu_then, self._heard_then = max(cpu, self._cpu_then), self._heard_at
        claimed = sum(result.seconds + result.replayed_s for result in results if isinstance(result, WarmResult))
        return 1.0 if claimed <= passed else max(0.0, passed) / claimed

    # ---------------------------------------------------------------- its end

    def check(self, now: float) -> None:
        """Ends it where the program that runs in it has reached a limit."""
        if not self.queue:
            return
        child = self.child
        limits = self.executor.settings
        if child.pid == 0 or child.has_ended():
            if now - child.asked_at > FIRST_WORD_S or child.pid:
                self.lost()
            return
        _, began_cpu, number, began, _ = child.header()
        request = self.queue.get(number)
        if request is None or not 0.0 < began <= now:
            if now - self._heard_at > limits.wall_s + SILENCE_S:
                self.lost()
            return
        if not request.wanted():
            self._end_at_limit(number, "killed", NOBODY_WAITS, 0.0)
            return
        age = now - began
        if age < min(limits.cpu_s, limits.wall_s):
            return
        cpu = child.cpu_seconds()
        if not 0.0 <= began_cpu <= cpu:
            self.lost()
            return
        spent = cpu - began_cpu
        if spent >= limits.cpu_s:
            self._end_at_limit(number, "cpu_limit", f"CpuLimit: more than {limits.cpu_s:g} CPU seconds", spent)
        elif age >= limits.wall_s:
            self._end_at_limit(number, "wall_limit", f"WallLimit: more than {limits.wall_s:g} seconds", spent)

    def _end_at_limit(self, number: int, status: ExecutionStatus, error: str, seconds: float) -> None:
        child = self.child
        request = self.queue.pop(number)
        printed, _, _, _, unverified = child.header()
        certain = child.cpu_seconds() - self._cpu_then >= CERTAIN * self.executor.settings.cpu_s
        length = min(printed, self.executor.settings.output_bytes)
        output = child.read_buffer(0, length).decode("utf-8", "ignore")
        self.close()
        executor = self.executor
        if unverified or status == "wall_limit" or not certain:
            # a program before it might have brought this about: alone, in a process of its own, it cannot
            request.warm = False
            executor.again([request, *self.queue.values()])
        else:
            executor.counts.warm += 1
            executor.again([*self.queue.values()])
            request.executions.append(Execution(status, output, error, max(0.0, seconds)))
            executor.complete(request)
        self.queue.clear()

    def out_of_memory(self, error: str) -> None:
        """Ends it because all processes together take too much: what runs in it goes on in a fork of its own."""
        self.lost()

    def lost(self) -> None:
        """It has ended, or does not keep to the protocol: what waited in it runs elsewhere."""
        executor = self.executor
        running = self.child.header()[2] if self.child.pid else 0
        self.close(lost=True)
        if not self.zygote.alive():
            executor.forker_lost(self.zygote)
        for number, request in self.queue.items():
            request.starts += 1
            if number == running or request.starts > 1:
                request.warm = False
                executor.counts.lost += 1
        executor.again([*self.queue.values()])
        self.queue.clear()

    def close(self, lost: bool = False) -> None:
        """Kills it; `lost`: it has ended by itself, or ought to have."""
        self.over = True
        self.executor.worker_ended(self, lost)
        self.child.close()
