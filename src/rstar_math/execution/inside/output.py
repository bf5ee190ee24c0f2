"""What a program prints, in memory that the supervisor can read whatever becomes of the program's process."""

from __future__ import annotations

import builtins
import mmap
import time
from collections.abc import Callable, Iterable

from rstar_math.execution.inside.protocol import HEADER, HEADER_BYTES, output_room

# see the same line in protocol.py
globals()["__builtins__"] = dict(vars(builtins))
_process_time, _monotonic = time.process_time, time.monotonic


class OutputLimit(BaseException):
    """The step printed more than it may."""


class OutputBuffer:
    """Standard output as a bounded buffer in memory that the supervisor can read even after this process is killed."""

    encoding = "utf-8"
    errors = "replace"
    closed = False
    name = "<stdout>"
    newlines = None

    def __init__(self, shared: mmap.mmap, step_bytes: int, on_limit: Callable[[], None], num_steps: int = 1) -> None:
        self.attach(shared, step_bytes, on_limit, num_steps)
        self._start = 0
        self._end = 0
        self._limit = 0

    def attach(self, shared: mmap.mmap, step_bytes: int, on_limit: Callable[[], None], num_steps: int = 1) -> None:
        """Writes to `shared` from now on; a program may have kept this object from an earlier step."""
        self._shared = shared
        self._step_bytes = step_bytes
        self._room = output_room(num_steps, step_bytes)
        self._on_limit = on_limit

    def begin(self, number: int, at: int) -> None:
        """Starts step `number`, whose output begins at byte `at`."""
        self.begin_at(at)
        HEADER.pack_into(self._shared, 0, at, _process_time(), number, _monotonic(), 0)

    def begin_at(self, at: int) -> None:
        """What is written from now on begins at byte `at`, and may be as long as one step's output."""
        self._start = self._end = at
        self._limit = min(at + self._step_bytes, self._room)

    def write(self, text: str) -> int:
        """Appends `text`; where it does not fit, the step ends."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        data = text.encode("utf-8", "replace")
        start, end = self._end, self._end + len(data)
        if end > self._limit:
            end = self._limit
            data = data[: end - start]
        self._shared[HEADER_BYTES + start : HEADER_BYTES + end] = data
        self._end = end
        self._shared[0:8] = end.to_bytes(8, "little")
        if end == self._limit:
            self._on_limit()
        return len(text)

    @property
    def end(self) -> int:
        """Where the next byte goes."""
        return self._end

    def printed(self, since: int | None = None) -> str:
        """What the running step has printed, from byte `since` on where that is given."""
        start = self._start if since is None else since
        return self._shared[HEADER_BYTES + start : HEADER_BYTES + self._end].decode("utf-8", "ignore")

    def writelines(self, lines: Iterable[str]) -> None:
        """Appends each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Does nothing: what is written is where the supervisor reads it."""

    def isatty(self) -> bool:
        """False, as for a file."""
        return False

    def readable(self) -> bool:
        """False: output only."""
        return False

    def writable(self) -> bool:
        """True: output only."""
        return True

    def fileno(self) -> int:
        """There is none, as in a notebook."""
        raise OSError("standard output has no file descriptor here")


class Discarded(OutputBuffer):
    """Standard error: kept nowhere."""

    name = "<stderr>"

    def __init__(self) -> None:
        pass

    def write(self, text: str) -> int:
        """Forgets `text`."""
        return len(text)
