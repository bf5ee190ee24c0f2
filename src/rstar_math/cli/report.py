"""`rstar report`: tables and plots of a run, finished or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Tables and plots of a run: on the terminal, as report.json and as report.html."""
    from rstar_math.store.run import require_run

    require_run(run)
    write_and_print(run, None)


def write_and_print(run: Path, command: str | None) -> None:
    """Reports a run on the terminal and in its folder.

    Args:
      run: its folder.
      command: what made it; None: as an earlier report says.
    """
    from rstar_math.report.from_run import report_of
    from rstar_math.report.page import write_report
    from rstar_math.report.tables import print_report
    from rstar_math.report.terminal import standard_output

    found = report_of(run, command or _earlier_command(run))
    print_report(standard_output(), found)
    sys.stdout.flush()
    write_report(run, found)  # last: a run that may only be read is reported as well
    print(f"\nrun:    {run}\nreport: {run / 'report.html'} (and report.json)")


def _earlier_command(run: Path) -> str | None:
    from rstar_math.errors import DataError
    from rstar_math.report.schema import load_report

    if not (run / "report.json").exists():
        return None
    try:
        return load_report(run / "report.json").command
    except DataError as error:
        print(f"rstar: {error}\nThe report is made anew; the command that made the run is not known.", file=sys.stderr)
        return None
