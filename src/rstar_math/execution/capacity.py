"""How much of this machine step programs may take together: what the settings say, or what the machine has."""

from __future__ import annotations

import os

from rstar_math.config import ExecutionSettings


def num_slots(settings: ExecutionSettings) -> int:
    """The number of programs that may run at once, at least 1."""
    return settings.num_slots or num_cpus()


def total_memory_bytes(settings: ExecutionSettings) -> int:
    """The limit of all processes of an executor together, in bytes."""
    if settings.total_memory_mb is not None:
        return settings.total_memory_mb << 20
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def num_cpus() -> int:
    """The number of CPUs that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
