"""`rstar grade`: the grader on a file of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.places import file_to_write


def grade(
    pairs: Annotated[Path, typer.Argument(help="JSONL: gold, prediction; optionally equivalent, category, contested.")],
    out: Annotated[
        Path | None, typer.Option(help="JSONL of verdicts; default: standard output.", callback=file_to_write)
    ] = None,
    policy: Annotated[str, typer.Option(help="Policy for contested matters.")] = "default",
    against: Annotated[str | None, typer.Option(help="math-verify: the same pairs by it alone.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="JSONL of the pairs on which the two disagree.", callback=file_to_write)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the summary.", callback=file_to_write)] = None,
) -> None:
    """Grade answers against references, and measure the grader where labels are given."""
    from rstar_math.grading.measuring.grade_file import grade_file

    grade_file(pairs, out=out, policy=policy, against=against, ledger=ledger, summary=json)
