"""Results on their way: each worker appends to journals of its own, the driver reads them as they grow.

A worker writes the results that are ready with one call, and closes the file, which sends them to the folder, before it
ends their unit. A journal that has become long is followed by another one; the driver removes what it has read to the
end. A line is read when its end is there. On a network folder a block may come before the one in front of it, which
reads as zeros till then: such a line is looked at again, and given up when it stays so. A line that its writer could
not finish is left out; the writer wrote it again behind.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rstar_math.cluster import shared_files
from rstar_math.store.files import json_line
from rstar_math.store.paths import shown

_log = logging.getLogger(__name__)

MAX_BYTES = 64 << 20
"""A journal that is longer is followed by another one."""

GIVE_UP_S = 120.0
"""A line that could not be read for so long is left out; what it held is made again."""

Row = dict[str, Any]


class WorkerJournal:
    """The journals of one worker for one job: `<holder>.00000.jsonl`, `<holder>.00001.jsonl` and so on."""

    def __init__(self, folder: Path, holder: str, max_bytes: int = MAX_BYTES) -> None:
        """Opens nothing yet."""
        self._folder, self._holder, self._max_bytes = folder, holder, max_bytes
        self._number = 0

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows; they have reached the folder when this returns.

        Raises:
          FileNotFoundError: the folder is gone, and with it the job.
        """
        lines = b"".join(json_line(row) for row in rows)
        path = self._folder / f"{self._holder}.{self._number:05d}.jsonl"

        def appended() -> int:
            # opened anew each time: a handle may be stale, and opening asks the server how long the file is
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a write that failed half-way
                rest = memoryview(b"\n" + lines if torn else lines)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                size = os.fstat(descriptor).st_size
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
            os.close(descriptor)  # a network folder says here what it could not write
            return size

        if shared_files.patiently(appended, path) > self._max_bytes:
            self._number += 1


class JournalReader:
    """The driver's end: all journals of a folder, each read once and in order.

    Attributes:
      num_spoiled: lines that could not be read.
    """

    def __init__(self, folder: Path) -> None:
        """Has read nothing yet."""
        self._folder = folder
        self._offsets: dict[str, int] = {}
        self._stuck: dict[str, float] = {}
        self.num_spoiled = 0

    def read(self) -> Iterator[Row]:
        """The rows that have come since."""
        for name in sorted(shared_files.names(self._folder)):
            yield from self._rows_of(name)

    def remove_read(self) -> None:
        """Removes journals that were read to the end and are followed by another one; their rows must be kept."""
        found = set(self._offsets)
        for name in sorted(found):
            holder, number, _ = name.rsplit(".", 2)
            follower = f"{holder}.{int(number) + 1:05d}.jsonl"
            if follower in found and not shared_files.read_from(self._folder / name, self._offsets[name]):
                shared_files.remove(self._folder / name)
                del self._offsets[name]

    def _rows_of(self, name: str) -> Iterator[Row]:
        path = self._folder / name
        offset = self._offsets.setdefault(name, 0)
        content = shared_files.read_from(path, offset)
        begin = 0
        while (end := content.find(b"\n", begin)) >= 0:
            line = content[begin:end]
            row = _row(line)
            if row is None and line.strip():
                if b"\0" in line and not self._give_up(name):
                    return
                self.num_spoiled += 1
                _log.warning("%s: a line cannot be read; what it held is made again", shown(path))
            begin = end + 1
            self._offsets[name] = offset + begin
            self._stuck.pop(name, None)
            if row is not None:
                yield row

    def _give_up(self, name: str) -> bool:
        since = self._stuck.setdefault(name, time.monotonic())
        return time.monotonic() - since >= GIVE_UP_S


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
