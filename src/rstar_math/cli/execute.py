"""`rstar execute`: the sandbox on a file of programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.places import file_to_write


def execute(
    programs: Annotated[Path, typer.Argument(help='JSONL: {"id": ..., "steps": ["code", ...]} on each line.')],
    out: Annotated[Path, typer.Option(help="JSONL of results, in the order of the programs.", callback=file_to_write)],
    slots: Annotated[int | None, typer.Option(help="Programs at the same time; default: one per CPU core.")] = None,
    cpu_s: Annotated[float | None, typer.Option("--cpu-s", help="CPU seconds of one step.")] = None,
    wall_s: Annotated[float | None, typer.Option("--wall-s", help="Wall seconds of one step.")] = None,
    memory_mb: Annotated[int | None, typer.Option("--memory-mb", help="Memory of one program.")] = None,
    isolation: Annotated[str, typer.Option(help="none: limits only, which is not a security boundary.")] = "sandbox",
    accept_missing: Annotated[
        list[str] | None, typer.Option("--accept-missing", help="Layer of isolation that this machine may lack.")
    ] = None,
) -> None:
    """Run programs step by step in the sandbox."""
    from rstar_math.config import ExecutionSettings
    from rstar_math.config.reading import check
    from rstar_math.execution.files import execute_file

    limits = {"cpu_s": cpu_s, "wall_s": wall_s, "memory_mb": memory_mb, "num_slots": slots}
    given: dict[str, object] = {k: v for k, v in limits.items() if v is not None}
    given |= {"isolation": isolation, "accept_missing": accept_missing or []}
    execute_file(programs, out, check(ExecutionSettings, given, "rstar execute"))
