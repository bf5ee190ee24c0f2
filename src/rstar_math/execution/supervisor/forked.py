"""A program in a process of its own, and a process that stays as a snapshot, as the supervisor sees them."""

from __future__ import annotations

import math
import time
from typing import Protocol

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.inside.protocol import output_room
from rstar_math.execution.observation import RecordedExecution
from rstar_math.execution.supervisor.processes import FIRST_WORD_S, Child, Forker, Owner
from rstar_math.execution.supervisor.reports import ReportError, statements, step_report
from rstar_math.execution.supervisor.requests import NOBODY_WAITS, Request
from rstar_math.types import Execution, ExecutionStatus

MAX_REFUSED_FORKS = 16
"""A program that keeps trying to start processes is ended."""

ZYGOTE_SHOWS_S = 0.04
"""How long the end of a zygote may take to show after that of its children."""

RECORDS_BYTES = 4 << 20
"""Room for what statements recorded."""


class RunOwner(Owner, Protocol):
    """What runs and snapshots ask of the executor that they belong to."""

    runs: set[Run]

    def retry(self, request: Request, after_s: float, lost: bool = False) -> None:
        """It is run once more; `lost`: a process was lost under it."""

    def note_cost(self, request: Request, seconds: float) -> None:
        """That much it takes to come as far as `request`."""

    def keep(self, snapshot: Snapshot) -> None:
        """A process stays when its program has ended."""


class Run:
    """A program that runs in a fork of its own, of a zygote or of the snapshot `source`."""

    child: Child

    def __init__(self, executor: RunOwner, request: Request, source: Snapshot | None) -> None:
        self.executor = executor
        self.request = request
        self.source = source
        self.seconds: float = source.cost if source is not None else 0.0
        self.over = False
        self._known = len(source.steps) if source is not None else 0
        self._asked_at = self._step_began = time.monotonic()
        self._output_read = 0
        self._charged = 0.0
        """CPU seconds of the process that steps have been said to cost."""

    # ---------------------------------------------------------------- what the process says

    def hello(self, child: Child) -> None:
        """The program starts."""
        self._step_began = time.monotonic()
        if self.source is not None and child.pid == self.source.pid:
            self._distrust()

    def message(self, child: Child, message: bytes) -> None:
        """A step has ended, or the process."""
        if self.over:
            return
        if not message or child.pid == 0:
            self._on_end()
            return
        try:
            report = step_report(message)
            index = report.index + self._known
            if not self._is_next(index, report.status):
                raise ReportError("another step is to end next")
        except ReportError:
            self.finish("killed", "ProtocolError: the program interfered with the report of its own result")
            return
        status, error = report.status, report.error
        is_last = status != "ok" or index == len(self.request.steps) - 1
        seconds = self._charge(report.seconds, is_last)
        self._step_began = time.monotonic()
        if index < self.request.first:
            self.finish(status, f"step {index + 1} of the prefix failed: {error}", seconds)
            return
        output = self._read_output(report.end)
        if self.request.record or self.executor.settings.output == "statements":
            recorded = statements(child.read_buffer(report.records_at, min(report.records_bytes, RECORDS_BYTES)))
            execution: Execution = RecordedExecution(status, output, error, seconds, recorded)
        else:
            execution = Execution(status, output, error, seconds)
        stays = report.stays
        executions = self.request.executions
        executions.append(execution)
        if status != "ok" or len(executions) >= len(self.request.steps) - self.request.first:
            if status == "ok":
                self.executor.note_cost(self.request, self.seconds)
            self._end(stays and status == "ok" and not self.request.fresh)
            self.executor.complete(self.request)

    def broken(self, child: Child, error: SandboxError) -> None:
        """Nothing can be run on this machine."""
        self._end()
        self.executor.broken(error)

    def _is_next(self, index: int, status: str) -> bool:
        """Whether step `index` can be the next to be heard of: of the prefix only steps that fail are."""
        if index < self.request.first:
            return status != "ok" and not self.request.executions
        return index == self.request.first + len(self.request.executions)

    def _charge(self, claimed: float, is_last: bool) -> float:
        """What a step that has ended cost, in CPU seconds by the kernel's clock, of which `claimed` is a share at most.

        A process waits for its end after its last report, so that its clock can still be read. The last step costs what
        is left on it; only where steps ran before that nobody asked for, the process says what of it was theirs.
        """
        cpu = self.child.cpu_seconds()
        left = max(0.0, cpu - self._charged) if cpu else time.monotonic() - self._step_began
        seconds = left if is_last and self.request.first <= self._known else min(claimed, left)
        self._charged += seconds
        self.seconds += left if is_last else seconds
        return seconds

    def _on_end(self) -> None:
        """The process has ended without a word."""
        executor, child = self.executor, self.child
        if child.pid == 0:
            self._end()
            if not child.zygote.alive():
                executor.forker_lost(child.zygote)
            executor.retry(self.request, after_s=ZYGOTE_SHOWS_S, lost=True)
            return
        child.loop.remove_reader(child.channel)
        # where the zygote has gone too, it shows a moment later
        child.loop.call_later(ZYGOTE_SHOWS_S, self._decide)

    def _decide(self) -> None:
        if self.over or self not in self.executor.runs:
            return
        zygote = self.child.zygote
        if zygote.alive() and not (self.source is not None and self.source.child.has_ended()):
            self.finish("killed", "Killed: the program ended its own process, or the system did")
        else:
            self._end()
            if not zygote.alive():
                self.executor.forker_lost(zygote)
            self.executor.retry(self.request, after_s=0.0, lost=True)

    def _distrust(self) -> None:
        """What was to fork has not done as it was told: end everything that its zygote has ever forked."""
        self._end()
        self.executor.forker_lost(self.child.zygote)
        self.executor.retry(self.request, after_s=0.0, lost=True)

    # ---------------------------------------------------------------- its end

    def finish(self, status: ExecutionStatus, error: str, seconds: float = 0.0) -> None:
        """Ends the program with a step that did not report itself."""
        length = self.child.header()[0] if self.child.pid else 0
        self.request.executions.append(Execution(status, self._read_output(length), error, max(0.0, seconds)))
        self._end()
        self.executor.complete(self.request)

    def out_of_memory(self, error: str) -> None:
        """Ends the program because all together take too much, and it takes most."""
        self.request.crowded_out = True
        self.finish("memory_limit", error)

    def _read_output(self, end: int) -> str:
        """What the running step printed, up to the buffer's byte `end`."""
        num_bytes = min(max(end - self._output_read, 0), self.executor.settings.output_bytes)
        data = self.child.read_buffer(self._output_read, num_bytes)
        self._output_read = max(end, self._output_read)
        return data.decode("utf-8", "ignore")

    def _end(self, stays: bool = False) -> None:
        self.over = True
        self.executor.runs.discard(self)
        if self.source is not None:
            self.source.users -= 1
        if stays and self.executor.settings.max_snapshots:
            self.executor.keep(Snapshot(self))
        else:
            self.child.close()

    def check(self, now: float) -> None:
        """Ends the program where a limit is reached."""
        limits = self.executor.settings
        child = self.child
        if child.pid == 0:
            # its first word is late, which is not its fault: nothing of the program has run
            if now - self._asked_at > FIRST_WORD_S:
                self._distrust()
            return
        refused = child.zygote.refused
        if refused and refused.get(child.pid, 0) > MAX_REFUSED_FORKS:
            refused.pop(child.pid)
            self.finish("killed", "Killed: the program kept trying to start processes")
            return
        if not self.request.wanted():
            self.finish("killed", NOBODY_WAITS)
            return
        age = now - self._step_began
        if age < min(limits.cpu_s, limits.wall_s):
            if child.has_ended() and age > 2 * ZYGOTE_SHOWS_S:  # its channel is held open by somebody
                self._on_end()
            return
        cpu = child.cpu_seconds()
        _, began, index, _, _ = child.header()
        # `began` is the child's own word: it may only lie to its own disadvantage, or within the sum of its limits
        spent = cpu - began if 0.0 <= began <= cpu else cpu
        index += self._known  # its own word too
        where = "" if not 0 <= index < self.request.first else f" in step {index + 1} of the prefix"
        if spent >= limits.cpu_s or cpu >= limits.cpu_s * (len(self.request.steps) + 1):
            self.finish("cpu_limit", f"CpuLimit: more than {limits.cpu_s:g} CPU seconds{where}", spent)
        elif age >= limits.wall_s:
            self.finish("wall_limit", f"WallLimit: more than {limits.wall_s:g} seconds{where}", spent)


class Snapshot(Forker):
    """A process that has run some steps and waits, to be forked for each step that comes after."""

    def __init__(self, run: Run) -> None:
        child = run.child
        super().__init__(child.channel, child.pid, child.zygote)
        self.executor = run.executor
        self.child = child
        self.steps = run.request.steps
        self.cost: float = run.seconds
        """CPU seconds that it took to come here."""
        self.users = 0
        """Forks of it that run."""
        self.forks = 0
        self._cpu_then = child.cpu_seconds()
        child.handler = self

    def hello(self, child: Child) -> None:
        """Not heard from a process that has said it before."""

    def broken(self, child: Child, error: SandboxError) -> None:
        """Not heard of a process that was held before."""

    def message(self, child: Child, message: bytes) -> None:
        """It has ended, or speaks without being asked: either way it is of no use any more."""
        self.executor.forker_lost(self)

    def check(self) -> None:
        """Ends it where it works without having been asked to."""
        allowed = 0.25 + 0.1 * self.forks
        if self.child.cpu_seconds() - self._cpu_then > allowed:
            self.executor.forker_lost(self)


def order_of(request: Request, source: Snapshot | None, limits: ExecutionSettings) -> tuple[dict[str, object], int]:
    """What a fork is told for `request`, and the bytes of the buffer that it writes its output to.

    Args:
      request: the program.
      source: what is forked, which has run the first steps; None: a zygote, which has run none.
      limits: of the executor.
    """
    known = len(source.steps) if source is not None else 0
    steps = request.steps[known:]
    first = max(request.first - known, 0)
    buffer_bytes = output_room(len(steps) - first, limits.output_bytes)
    mode = "statements" if request.record else limits.output
    if mode == "statements":
        buffer_bytes += RECORDS_BYTES
    stays = limits.max_snapshots > 0 and not request.fresh
    order: dict[str, object] = {
        "kind": "program",
        "steps": steps,
        "first": first,
        "step_bytes": limits.output_bytes,
        "mode": mode,
        "stay_s": 0.0 if request.builds else limits.snapshot_after_s if stays else math.inf,
    }
    return order, buffer_bytes
