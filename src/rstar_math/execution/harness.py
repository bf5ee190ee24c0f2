"""What a child process does with a program: run its steps, keep what they print, report how each ended.

Runs in a child of the zygote only, never in the caller's process. Imports nothing of the package, because the zygote
loads this file by its path into a bare interpreter.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time
import types
from typing import Any, NoReturn, cast

HEADER = struct.Struct("<QdQ")
"""Start of the shared buffer: bytes in it so far; CPU clock at the start of the running step; its index."""

HEADER_BYTES = 64
MAX_ERROR_CHARS = 2000


class OutputBuffer:
    """Standard output as a bounded buffer in memory that the supervisor can read even after this process is killed."""

    encoding = "utf-8"
    errors = "replace"
    closed = False
    name = "<stdout>"
    newlines = None

    def __init__(self, shared: mmap.mmap, first: int, step_bytes: int, report: Report) -> None:
        self._shared = shared
        self._first = first
        self._step_bytes = step_bytes
        self._report = report
        self._end = 0
        self._limit = 0

    def begin(self, index: int) -> None:
        """Starts the step `index`: its output begins where the last reported one's ended."""
        if index <= self._first:
            self._end = 0
        self._limit = min(self._end + self._step_bytes, len(self._shared) - HEADER_BYTES)
        HEADER.pack_into(self._shared, 0, self._end, time.process_time(), index)

    def write(self, text: str) -> int:
        """Appends `text`; ends the process as output_limit where it does not fit."""
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
            self._report.output_limit(end)
        return len(text)

    @property
    def end(self) -> int:
        """Bytes printed so far, by all reported steps."""
        return self._end

    def writelines(self, lines: Any) -> None:
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
    """Standard error: counted as nothing, kept nowhere."""

    name = "<stderr>"

    def __init__(self) -> None:
        pass

    def write(self, text: str) -> int:
        """Forgets `text`."""
        return len(text)


class Report:
    """Tells the supervisor how steps ended: one message each, and the last one ends the process."""

    def __init__(self, channel: socket.socket, first: int) -> None:
        self._channel = channel
        self._first = first
        self.index = 0
        self.cpu_started = 0.0

    def step(self, status: str, error: str | None, end: int) -> None:
        """Reports the end of the running step; of the steps of a prefix only where they fail."""
        if self.index >= self._first or status != "ok":
            seconds = time.process_time() - self.cpu_started
            message = json.dumps([self.index, status, error, seconds, end])
            self._channel.send(b"R" + message.encode("utf-8", "backslashreplace"))

    def output_limit(self, end: int) -> NoReturn:
        """Reports that the running step printed too much, and ends the process."""
        self.step("output_limit", "OutputLimit: the step printed more than its limit", end)
        os._exit(0)


def describe(error: BaseException) -> str:
    """`TypeName: message`, bounded, whatever the exception's own methods do."""
    name = type(error).__name__
    try:
        message = str(error)
    except BaseException:  # an exception's __str__ is the program's own code and may raise anything
        return name
    return (f"{name}: {message}" if message else name)[:MAX_ERROR_CHARS]


def run_program(steps: list[str], first: int, step_bytes: int, channel: socket.socket, shared: mmap.mmap) -> NoReturn:
    """Runs `steps` in order in one fresh namespace, reporting from step `first` on, and ends the process."""
    report = Report(channel, first)
    output = OutputBuffer(shared, first, step_bytes, report)
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    namespace = main.__dict__
    sys.stdout = cast(Any, output)
    sys.stderr = cast(Any, Discarded())
    random.seed(0)  # Python reseeds from the system in every fork; a program's outcome must not depend on that
    for index, code in enumerate(steps):
        report.index = index
        output.begin(index)
        report.cpu_started = time.process_time()
        status, error = "ok", None
        try:
            exec(compile(code, "<step>", "exec", dont_inherit=True), namespace)
        except MemoryError as raised:
            status, error = "memory_limit", describe(raised)
        except BaseException as raised:
            status, error = "error", describe(raised)
        report.step(status, error, output.end)
        if status != "ok":
            break
    os._exit(0)


def restore_signals() -> None:
    """Gives the program the signal handling of a fresh interpreter."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
