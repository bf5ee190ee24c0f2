"""Settings of step execution: limits, isolation, how many programs run at once, and what is remembered."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from rstar_math.config.base import Settings

IsolationLayer = Literal["limits", "no_capabilities", "no_new_privileges", "landlock", "seccomp"]
"""Layers of isolation without which steps are not executed, unless `accept_missing` names them."""

REQUIRED_LAYERS: tuple[IsolationLayer, ...] = get_args(IsolationLayer)
"""The same, all of them."""


class ExecutionSettings(Settings):
    """Limits of one step's program, how many run at once, and what must isolate them.

    The limits of CPU, wall and output hold for each step by itself, that of memory for a program as a whole.
    """

    cpu_s: float = Field(default=5.0, gt=0, description="CPU seconds of one step; then it ends as cpu_limit")
    wall_s: float = Field(default=20.0, gt=0, description="wall seconds of one step; then it ends as wall_limit")
    memory_mb: int = Field(
        default=1024, ge=64, description="MiB of address space a program may add to what its process has"
    )
    output_bytes: int = Field(
        default=65536,
        ge=256,
        le=1 << 26,
        description="bytes a step may print, a program 8 times as many; then output_limit",
    )
    num_slots: int | None = Field(
        default=None, ge=1, description="programs that run at once in a process; null: its share of the CPUs"
    )
    max_processes: int = Field(default=256, ge=8, description="live processes of this executor, snapshots included")
    total_memory_mb: int | None = Field(
        default=None,
        ge=64,
        description="MiB of all of them together beyond their zygotes; null: half of the machine's memory",
    )
    cache_entries: int = Field(default=20000, ge=0, description="results remembered per (prefix, code); 0: none")
    cache_mb: int = Field(default=64, ge=0, description="MiB that remembered results may take together")
    max_snapshots: int = Field(
        default=64, ge=0, description="live snapshots of prefixes that are dear to replay; 0: none"
    )
    snapshot_memory_mb: int = Field(
        default=1024, ge=0, description="MiB that snapshots may add to their zygotes together"
    )
    snapshot_after_s: float = Field(
        default=0.02, gt=0, description="CPU seconds of replay from which a prefix counts as dear"
    )
    warm: bool = Field(
        default=True, description="run programs that a static check admits in warm workers, without a fork"
    )
    output: Literal["plain", "notebook", "statements"] = Field(
        default="plain",
        description="plain: what is printed; notebook: also the value of a last expression; statements: recorded each",
    )
    packages: tuple[str, ...] = Field(
        default=("numpy", "mpmath", "sympy", "scipy"),
        description="packages beyond the standard library that can be imported",
    )
    isolation: Literal["sandbox", "none"] = Field(
        default="sandbox",
        description="none: steps run with the caller's rights under limits only, which is not a security boundary",
    )
    accept_missing: tuple[IsolationLayer, ...] = Field(
        default=(), description="layers of isolation that this machine may lack; lacking any other, it executes nothing"
    )
