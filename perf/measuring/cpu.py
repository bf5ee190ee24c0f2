"""CPU seconds of this process and of all that works for it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_SET_CHILD_SUBREAPER = 36


def cpu_seconds(pid: int | None = None) -> float:
    """User and system seconds of a process (None: this one), of all below it, and of those that they waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    waited: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while the list was read
            parents[int(entry.name)] = int(fields[1])
            waited[int(entry.name)] = (int(fields[13]) + int(fields[14])) / tick
    family = {os.getpid() if pid is None else pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    total = 0.0
    for pid in family:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2) + waited.get(pid, 0.0)
    return total


def cpu_of(command: Sequence[str]) -> float:
    """Runs a command without its output; user and system seconds of it and of all that it started, orphans included.

    This process must have no other children. Raises CalledProcessError where the command fails.
    """
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # who outlives the command comes to this process
    pid = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid
    total = 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, status, used = os.wait4(-1, 0)
            total += used.ru_utime + used.ru_stime
            if ended == pid and status:
                raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return total
