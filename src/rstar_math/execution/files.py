"""`rstar execute`: a file of programs in, a file of what they did out."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO

from rstar_math.config import ExecutionSettings
from rstar_math.errors import DataError
from rstar_math.execution import capacity
from rstar_math.execution.opening import open_executor
from rstar_math.store.files import replacing
from rstar_math.types import Execution

MAX_LINE_BYTES = 16 << 20
"""A longer line is no program; it is skipped without being held in memory."""

IN_FLIGHT_PER_SLOT = 64
"""Programs that are read ahead, so that one which takes long keeps no slot idle."""


@dataclass(frozen=True, slots=True)
class ExecutedFile:
    """What was done with a file of programs.

    Attributes:
      num_programs: programs that ran; as many lines were written.
      malformed: (line number, what is wrong with it) of the lines that hold no program.
    """

    num_programs: int
    malformed: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Program:
    id: str | int
    steps: list[str]


def execute_file(
    programs: Path,
    out: Path,
    settings: ExecutionSettings,
    num_slots: int | None = None,
    report: TextIO | None = None,
) -> ExecutedFile:
    """Runs every program of a JSONL file from its start, each in a process of its own, past every cache.

    Args:
      programs: `{"id": ..., "steps": ["code", ...]}` on each line; blank lines are skipped.
      out: `{"id": ..., "executions": [{"status", "output", "error", "seconds"}, ...]}` for each program, in the order
        of the programs. A program ends with its first step that does not end "ok".
      settings: limits and isolation.
      num_slots: programs that run at once; overrides the settings.
      report: where malformed lines are reported with their numbers; None: standard error.

    Raises:
      DataError: `programs` cannot be read, or has no program at all; `out` stays as it was.
      SandboxError: execution itself is broken or refused.
    """
    report = report or sys.stderr
    with _input(programs) as source, _output(out) as sink:
        executed = asyncio.run(_execute(source, sink, settings, num_slots, report))
        if executed.num_programs == 0:
            number = len(executed.malformed)
            what = f"none of its {number:,} lines is a program" if number else "it is empty"
            raise DataError(f'{programs}: {what}; a line is {{"id": ..., "steps": ["code", ...]}}')
    if executed.malformed:
        print(
            f"{programs}: {len(executed.malformed)} malformed lines were left out; "
            f"{executed.num_programs} programs were executed",
            file=report,
        )
    return executed


async def _execute(
    source: BinaryIO, sink: TextIO, settings: ExecutionSettings, num_slots: int | None, report: TextIO
) -> ExecutedFile:
    waiting: deque[tuple[str | int, asyncio.Task[list[Execution]]]] = deque()
    malformed: list[tuple[int, str]] = []
    num_programs = 0
    ahead = IN_FLIGHT_PER_SLOT * (num_slots or capacity.num_slots(settings))

    async def write_first() -> None:
        program, running = waiting[0]
        sink.write(_result_line(program, await running))
        waiting.popleft()

    executor = open_executor(settings, num_slots)
    try:
        for number, line in _lines(source):
            try:
                program = _program(line, number)
            except ValueError as error:
                malformed.append((number, str(error)))
                print(f"line {number}: {error}", file=report)
                continue
            num_programs += 1
            waiting.append((program.id, asyncio.ensure_future(executor.execute_program(program.steps))))
            if len(waiting) >= ahead:
                await write_first()
        while waiting:
            await write_first()
    finally:
        for _, running in waiting:  # something broke: nobody will look at these
            running.cancel()
        await asyncio.gather(*[running for _, running in waiting], return_exceptions=True)
        await executor.aclose()
    return ExecutedFile(num_programs, tuple(malformed))


def _lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yields (number from 1, line), None for a line that is too long; blank lines are left out."""
    number = 0
    while line := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            while not line.endswith(b"\n") and (line := source.readline(MAX_LINE_BYTES)):
                pass
            yield number, None
        elif line.strip():
            yield number, line


def _program(line: bytes | None, number: int) -> _Program:
    """The program of a line.

    Raises:
      ValueError: it holds none; the message says why.
    """
    if line is None:
        raise ValueError(f"longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"expected an object with `id` and `steps`, got {_shown(row)}")
    for key in ("id", "steps"):
        if key not in row:
            raise ValueError(f"`{key}` is missing; it has {_shown(sorted(row))}")
    identity, steps = row["id"], row["steps"]
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise ValueError(f"`id` must be text or a whole number, got {_shown(identity)}")
    if not isinstance(steps, list):
        raise ValueError(f"`steps` must be a list of text, got {_shown(steps)}")
    for i, step in enumerate(steps):
        if not isinstance(step, str):
            raise ValueError(f"`steps[{i}]` must be text, got {_shown(step)}")
    return _Program(identity, steps)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _shown(value: object) -> str:
    """A value in a message, bounded; values may be nested as deeply as JSON can be read."""
    if isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(v, str) for v in value)):
        return f"a {'list' if isinstance(value, list) else 'JSON object'} of {len(value)}"
    return repr(value[:8] if isinstance(value, list) else value)[:80]


def _result_line(program: str | int, executions: list[Execution]) -> str:
    """One line, whatever a program printed: JSON in ASCII has no line breaks and no halves of surrogate pairs."""
    rows = [{"status": e.status, "output": e.output, "error": e.error, "seconds": e.seconds} for e in executions]
    return json.dumps({"id": program, "executions": rows}, allow_nan=False) + "\n"


def _input(programs: Path) -> BinaryIO:
    try:
        return open(programs, "rb")
    except OSError as error:
        raise DataError(f"cannot read {programs}: {error.strerror}") from error


@contextmanager
def _output(out: Path) -> Iterator[TextIO]:
    """Opens `out` so that it is whole or absent; a pipe or a device is written to as it is."""
    if out.is_dir():
        raise DataError(f"cannot write results to {out}: it is a folder; name a file in it")
    with replacing(out) as temporary, open(temporary, "w", encoding="ascii") as stream:
        yield stream
