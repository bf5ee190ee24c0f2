"""A program in a process of its own, and a process that stays as a snapshot, as the supervisor sees them."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

from rstar_math.execution.processes import Child, Forker
from rstar_math.execution.requests import Request, readable
from rstar_math.observation import RecordedExecution, Statement
from rstar_math.types import Execution, ExecutionStatus

if TYPE_CHECKING:
    from rstar_math.execution.sandbox import SandboxExecutor

FIRST_WORD_S = 60.0
"""A fork that has not happened after this long is not going to: its zygote is replaced."""

MAX_REFUSED_FORKS = 16
"""A program that keeps trying to start processes is ended."""

ZYGOTE_SHOWS_S = 0.04
"""How long the end of a zygote may take to show after that of its children."""

RECORDS_BYTES = 4 << 20
"""Room for what statements recorded."""

_STATUSES = frozenset({"ok", "error", "memory_limit", "output_limit"})


class Run:
    """A program that runs in a fork of its own, of a zygote or of the snapshot `source`."""

    child: Child

    def __init__(self, executor: SandboxExecutor, request: Request, source: Snapshot | None) -> None:
        self.executor = executor
        self.request = request
        self.source = source
        self.seconds: float = source.cost if source is not None else 0.0
        self.over = False
        self._known = len(source.steps) if source is not None else 0
        self._asked_at = self._step_began = time.monotonic()
        self._output_read = 0

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
            error = None if error is None else readable(error)
        except (ValueError, TypeError, RecursionError):
            self.finish("killed", "ProtocolError: the program interfered with the report of its own result")
            return
        self._step_began = time.monotonic()
        self.seconds += max(0.0, seconds)
        index += self._known
        if index < self.request.first:
            self.finish(status, f"step {index + 1} of the prefix failed: {error}", seconds)
            return
        output = self._read_output(end)
        if self.request.record or self.executor.settings.output == "statements":
            statements = _statements(child.read_buffer(records_at, min(records_bytes, RECORDS_BYTES)))
            execution: Execution = RecordedExecution(status, output, error, max(0.0, seconds), statements)
        else:
            execution = Execution(status, output, error, max(0.0, seconds))
        executions = self.request.executions
        executions.append(execution)
        if status != "ok" or len(executions) >= len(self.request.steps) - self.request.first:
            if status == "ok":
                self.executor.note_cost(self.request, self.seconds)
            self._end(stays and status == "ok" and not self.request.fresh)
            self.executor.complete(self.request)

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
        age = now - self._step_began
        if age < min(limits.cpu_s, limits.wall_s):
            if child.has_ended() and age > 2 * ZYGOTE_SHOWS_S:  # its channel is held open by somebody
                self._on_end()
            return
        cpu = child.cpu_seconds()
        _, began, index, _, _ = child.header()
        # `began` is the child's own word: it may only lie to its own disadvantage, or within the sum of its limits
        spent = cpu - began if 0.0 <= began <= cpu else cpu
        index += self._known
        where = "" if index >= self.request.first else f" in step {index + 1} of the prefix"
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

    def message(self, child: Child, message: bytes) -> None:
        """It has ended, or speaks without being asked: either way it is of no use any more."""
        self.executor.drop(self)

    def check(self) -> None:
        """Ends it where it works without having been asked to."""
        allowed = 0.25 + 0.1 * self.forks
        if self.child.cpu_seconds() - self._cpu_then > allowed:
            self.executor.drop(self)


def _statements(data: bytes) -> tuple[Statement, ...]:
    """What a child recorded, statement by statement; () where it is not what it should be."""
    try:
        rows = json.loads(data or b"[]")
        return tuple(
            Statement(readable(str(printed)), _text(value), bool(value_is_text), _text(label))
            for printed, value, value_is_text, label in rows
        )
    except (ValueError, TypeError, RecursionError):
        return ()


def _text(value: object) -> str | None:
    return None if value is None else readable(str(value))
