"""What the commands that train say: which rows of a file were skipped, and what was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rstar_math.training.foreign_rows import Readable, RowT


def rows_told(found: Readable[RowT], path: Path) -> list[RowT]:
    """The rows of a file, after a line about those that were skipped."""
    if found.said(path):
        print(found.said(path))
    return found.rows


def print_made(made: dict[str, object], out: Path) -> None:
    """Prints the numbers and texts of a report of training, a line each, and where the model lies."""
    for name, value in made.items():
        if isinstance(value, int | float | str | bool):
            print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    print(out)
