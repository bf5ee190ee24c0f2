"""What processes report about the programs in them, checked by the supervisor field by field before it is believed.

A program may write whatever it likes to the channel of its own process. What it says counts only where it is what an
honest process could have said: known words, whole numbers and lengths within their bounds, finite times, readable text.
Times are claims even then: how they are held against the kernel's clocks is said in `forked` and `warm`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import NoReturn, cast

from rstar_math.execution.inside.protocol import MAX_ERROR_CHARS, MAX_RECORD_CHARS, MAX_STATEMENTS
from rstar_math.execution.observation import Statement
from rstar_math.execution.supervisor.requests import readable
from rstar_math.types import ExecutionStatus

MAX_OFFSET = 1 << 40
"""Bytes of a buffer and numbers of steps are below this, whatever the settings."""

_FORKED = frozenset({"ok", "error", "memory_limit", "output_limit"})
_WARM = frozenset({"ok", "error", "output_limit"})
_NOT_DONE = frozenset({"refused", "deferred", "tainted"})
_MAX_REASON_CHARS = 4096


class ReportError(Exception):
    """A report is not what an honest process says."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """A step of a program in a process of its own has ended.

    Attributes:
      index: which step of those that the process was given, from 0.
      status: how it ended.
      error: what went wrong, at most `MAX_ERROR_CHARS` characters; None where nothing did.
      seconds: CPU seconds that the process says it took, finite and >= 0.
      end: byte of the buffer up to which the program has printed.
      records_at: byte of the buffer at which what its statements did is recorded.
      records_bytes: how long that is.
      stays: whether the process stays as a snapshot.
    """

    index: int
    status: ExecutionStatus
    error: str | None
    seconds: float
    end: int
    records_at: int
    records_bytes: int
    stays: bool


@dataclass(frozen=True, slots=True)
class WarmResult:
    """A warm worker has run a program.

    Attributes:
      number: the supervisor's number of the program.
      status: how it ended.
      error: what went wrong, at most `MAX_ERROR_CHARS` characters; None where nothing did.
      seconds: CPU seconds of the program, by the worker's word; finite and >= 0.
      output: what it printed.
      replayed_s: CPU seconds of its prefix, by the worker's word; finite and >= 0.
      kept: whether the state that it left has a copy.
    """

    number: int
    status: ExecutionStatus
    error: str | None
    seconds: float
    output: str
    replayed_s: float
    kept: bool


@dataclass(frozen=True, slots=True)
class NotDone:
    """A warm worker has not run a program, or its result is not to be trusted.

    Attributes:
      number: the supervisor's number of the program.
      kind: "refused", "deferred" or "tainted".
      reason: in words.
      culprit: index of the step that the static check refuses; -1 where it is none alone.
    """

    number: int
    kind: str
    reason: str
    culprit: int


def step_report(message: bytes) -> StepReport:
    """Reads what the process of a program says at the end of a step.

    Raises:
      ReportError: no honest process says this.
    """
    if message[:1] != b"R":
        raise ReportError("it is no report of a step")
    row = _list(message[1:])
    if len(row) != 8:
        raise ReportError("it has other fields")
    index, status, error, seconds, end, records_at, records_bytes, stays = row
    if type(stays) is not bool:
        raise ReportError("whether it stays is neither true nor false")
    known, text = _ending(status, error, _FORKED)
    places = _whole(end), _whole(records_at), _whole(records_bytes)
    return StepReport(_whole(index), known, text, _time(seconds), *places, stays)


def warm_report(frame: bytes, output_bytes: int) -> list[WarmResult | NotDone]:
    """Reads what a warm worker says of programs.

    Args:
      frame: JSON.
      output_bytes: what a program may print.

    Raises:
      ReportError: no honest worker says this.
    """
    return [_warm_row(row, output_bytes) for row in _list(frame)]


def _warm_row(row: object, output_bytes: int) -> WarmResult | NotDone:
    if not isinstance(row, list) or len(row) < 3:
        raise ReportError("it is no list of results")
    number, kind = _whole(row[0]), row[1]
    if isinstance(kind, str) and kind in _NOT_DONE:
        culprit = row[3] if kind == "refused" and len(row) == 4 else -1
        if type(row[2]) is not str or type(culprit) is not int or not -1 <= culprit < MAX_OFFSET:
            raise ReportError("a reason is no text")
        return NotDone(number, kind, readable(row[2][:_MAX_REASON_CHARS]), culprit)
    if len(row) != 7:
        raise ReportError("a result has other fields")
    _, status, error, seconds, output, replayed_s, kept = row
    # every character takes a byte or more
    if type(output) is not str or len(output) > output_bytes or type(kept) is not bool:
        raise ReportError("what was printed is no text, or longer than it may be")
    known, text = _ending(status, error, _WARM)
    return WarmResult(
        number,
        known,
        text,
        _time(seconds),
        output if output.isascii() else readable(output),
        _time(replayed_s),
        kept,
    )


def statements(data: bytes) -> tuple[Statement, ...]:
    """What a process recorded, statement by statement; () where it is not what it should be."""
    try:
        rows = _list(data or b"[]")
        if len(rows) > MAX_STATEMENTS:
            raise ReportError("it has more statements than are recorded")
        return tuple(_statement(row) for row in rows)
    except ReportError:
        return ()


def _statement(row: object) -> Statement:
    if not isinstance(row, list) or len(row) != 4:
        raise ReportError("it is no statement")
    printed, value, value_is_text, label = row
    if type(printed) is not str or type(value_is_text) is not bool:
        raise ReportError("it is no statement")
    return Statement(_recorded(printed) or "", _recorded(value), value_is_text, _recorded(label))


def _recorded(text: object) -> str | None:
    if text is None:
        return None
    if type(text) is not str or len(text) > MAX_RECORD_CHARS:
        raise ReportError("a recorded text is none, or longer than it may be")
    return readable(text)


def _list(data: bytes) -> list[object]:
    try:
        row = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"it is not JSON: {type(error).__name__}") from error
    if not isinstance(row, list):
        raise ReportError("it is no list")
    return row


def _no_number(constant: str) -> NoReturn:
    raise ReportError(f"{constant} is no number")


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < MAX_OFFSET:
        raise ReportError("a number is not whole, or out of range")
    return value


def _time(value: object) -> float:
    if type(value) is not float or not 0.0 <= value < math.inf:
        raise ReportError("a time is not finite, or below 0")
    return value


def _ending(status: object, error: object, statuses: frozenset[str]) -> tuple[ExecutionStatus, str | None]:
    """How a step ended and what went wrong: a known word, with an error where it is not "ok" and only there."""
    if not isinstance(status, str) or status not in statuses:
        raise ReportError("a status is unknown")
    if status == "ok":
        if error is not None:
            raise ReportError("a step that ended well has an error")
        return "ok", None
    if type(error) is not str or len(error) > MAX_ERROR_CHARS:
        raise ReportError("an error is no text, or longer than it may be")
    return cast(ExecutionStatus, status), readable(error)
