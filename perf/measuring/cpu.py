"""CPU seconds of this process and of all that works for it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


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
