"""`rstar execute` and `rstar grade`: the sandbox and the grader on files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def execute_command(
    programs: Path,
    out: Path,
    slots: int | None,
    cpu_s: float | None,
    wall_s: float | None,
    memory_mb: int | None,
    isolation: str,
    accept_missing: Sequence[str],
) -> None:
    """Runs programs step by step."""
    from rstar_math.config import ExecutionSettings
    from rstar_math.config.reading import check
    from rstar_math.execution.files import execute_file

    limits = {"cpu_s": cpu_s, "wall_s": wall_s, "memory_mb": memory_mb, "num_slots": slots}
    given: dict[str, object] = {k: v for k, v in limits.items() if v is not None}
    given |= {"isolation": isolation, "accept_missing": list(accept_missing)}
    settings = check(ExecutionSettings, given, "rstar execute")
    execute_file(programs, out, settings)


def grade_command(
    pairs: Path, out: Path | None, policy: str, against: str | None, ledger: Path | None, summary: Path | None
) -> None:
    """Grades pairs."""
    from rstar_math.grading.measuring.grade_file import grade_file

    grade_file(pairs, out=out, policy=policy, against=against, ledger=ledger, summary=summary)
