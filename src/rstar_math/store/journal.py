"""Files that grow by a line at a time: JSON Lines that survive a kill, a full disk and a spoiled line.

A line that could not be written whole is taken back. A file whose last line was cut off (a process was killed while it
wrote) goes on with a new line. A line that is no JSON object is left out, counted and told; the lines behind it count.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rstar_math.store.files import json_line
from rstar_math.store.paths import reading, require_name, shown, writing

_log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A line that cannot be used.

    Attributes:
      number: of the line, from 1.
      reason: what is wrong with it.
      content: the line itself, without its end.
    """

    number: int
    reason: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """What a journal holds.

    Attributes:
      rows: the objects of the whole lines.
      spoiled: lines that are no objects, or not what was expected, and have a line end: something damaged them.
      is_torn: the last line has no end and is not whole; its process was stopped while it wrote.
    """

    rows: tuple[Row, ...]
    spoiled: tuple[Spoiled, ...] = ()
    is_torn: bool = False

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def read_journal(path: Path, wrong_in: Callable[[Row], str | None] = lambda row: None) -> ReadJournal:
    """Reads all whole lines of a journal; none where there is no file.

    Args:
      path: the file.
      wrong_in: says what is wrong with a row, or None; a row with something wrong is a spoiled line.

    Raises:
      DataError: the file cannot be read.
    """
    rows: list[Row] = []
    spoiled: list[Spoiled] = []
    with reading(path):
        if not path.exists():
            return ReadJournal(())
        content = path.read_bytes()
    *lines, last = content.split(b"\n")  # text has more line ends than JSON Lines has
    for number, line in enumerate(lines, start=1):
        row, wrong = _row(line, wrong_in)
        if row is not None:
            rows.append(row)
        elif line.strip():
            spoiled.append(Spoiled(number, wrong, line))
    row, _ = _row(last, wrong_in)
    if row is not None:
        rows.append(row)
    return ReadJournal(tuple(rows), tuple(spoiled), is_torn=row is None and bool(last.strip()))


def _row(line: bytes, wrong_in: Callable[[Row], str | None]) -> tuple[Row | None, str]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return None, "not UTF-8 text"
    except (ValueError, RecursionError):
        return None, "not JSON"
    if not isinstance(row, dict):
        return None, f"a {type(row).__name__}, not an object"
    wrong = wrong_in(row)
    return (row, "") if wrong is None else (None, wrong)


def tell_spoiled(path: Path, journal: ReadJournal, what_now: str) -> None:
    """Says on the log how many lines of a journal were left out, and what becomes of them."""
    if not journal.spoiled:
        return
    first = journal.spoiled[0]
    others = f" and {len(journal.spoiled) - 1} more" if len(journal.spoiled) > 1 else ""
    _log.warning("%s: line %d cannot be used (%s)%s; %s", shown(path), first.number, first.reason, others, what_now)


def set_aside(path: Path, journal: ReadJournal) -> None:
    """Keeps the spoiled lines of a journal in `<name>.spoiled` beside it, before the journal is written anew."""
    if journal.spoiled:
        kept = path.with_name(f"{path.name}.spoiled")
        with writing(kept), open(kept, "ab") as f:
            f.writelines(line.content + b"\n" for line in journal.spoiled)


class JournalWriter:
    """Appends lines to a file, each whole or not at all, as long as the `with` block."""

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it where there is none.

        Raises:
          PathError: the file cannot be written to.
          DiskFullError: there is no room.
        """
        self.path = path
        require_name(path)
        with writing(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            size = os.fstat(self._descriptor).st_size
            self._is_torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a row; raises as `append_line`."""
        self.append_line(json_line(row))

    def append_line(self, line: bytes) -> None:
        """Appends a line of `json_line`.

        Raises:
          DiskFullError: there is no room; the file is as it was before.
          PathError: the file cannot be written to any more.
        """
        line = (b"\n" if self._is_torn else b"") + line
        with writing(self.path):
            before = os.fstat(self._descriptor).st_size
            written = 0
            try:
                while written < len(line):
                    written += os.write(self._descriptor, line[written:])
            except BaseException:
                os.ftruncate(self._descriptor, before)
                raise
        self._is_torn = False

    def close(self) -> None:
        """Closes the file; closing once more does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Appends one row to a file that is opened for it alone."""
    with JournalWriter(path) as journal:
        journal.append(row)
