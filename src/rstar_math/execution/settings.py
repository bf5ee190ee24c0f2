"""Settings of step execution: limits, how many programs run at once, and what is remembered."""

from __future__ import annotations

import os

from pydantic import Field

from rstar_math.config import Settings


class ExecutionSettings(Settings):
    """Limits of one step's program, and how many run at once.

    The limits hold for each step by itself; in a program of several steps each step gets them anew.
    """

    cpu_s: float = Field(5.0, gt=0, description="CPU seconds of one step; then it ends as cpu_limit")
    wall_s: float = Field(20.0, gt=0, description="wall seconds of one step; then it ends as wall_limit")
    memory_mb: int = Field(1024, ge=64, description="address space a program may add to its zygote's, in MiB")
    output_bytes: int = Field(65536, ge=256, description="bytes that a step may print; then it ends as output_limit")
    num_slots: int | None = Field(None, ge=1, description="programs that run at once; null: CPUs of this process")
    cache_entries: int = Field(20000, ge=0, description="results remembered per (prefix, code); 0: none")

    def slots(self) -> int:
        """The number of programs that may run at once."""
        return self.num_slots or num_cpus()


def num_cpus() -> int:
    """The number of CPUs that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
