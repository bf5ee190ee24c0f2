"""What can be reproduced by name, and `reproduce` itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rstar_math.config import Recipe
from rstar_math.errors import ConfigError
from rstar_math.paper import figures, tables
from rstar_math.paper.laboratory import Laboratory
from rstar_math.paper.methods_compared import table8
from rstar_math.paper.result import Result
from rstar_math.paper.solved_problems import table2
from rstar_math.progress import Progress

NAMES: dict[str, Callable[[Laboratory], Result]] = {
    "table1": tables.table1,
    "table2": table2,
    "table3": tables.table3,
    "table4": tables.table4,
    "table5": tables.table5,
    "table6": tables.table6,
    "table7": tables.table7,
    "table8": table8,
    "table9": tables.table9,
    "table10": tables.table10,
    "figure3": figures.figure3,
    "figure4": figures.figure4,
    "figure5": figures.figure5,
    "figure6": figures.figure6,
    "figure7": figures.figure7,
}
"""One function for each table and figure."""

ALL = "all"

_CHEAP_FIRST = ("table2", "table3", "table6", "table9", "figure4", "table4", "figure5", "table7")
"""`all` begins with what the runs alone give, so that the first tables are there early."""


def chosen(names: Sequence[str]) -> list[str]:
    """The names asked for, `all` spelt out, in the order in which they are made.

    Raises:
      ConfigError: there is no such name.
    """
    unknown = [name for name in names if name not in (*NAMES, ALL)]
    if unknown:
        raise ConfigError(f"there is no {unknown[0]!r} to reproduce; choose from {', '.join(NAMES)}, {ALL}")
    wanted = list(NAMES) if ALL in names else [name for name in NAMES if name in names]
    return sorted(wanted, key=lambda n: _CHEAP_FIRST.index(n) if n in _CHEAP_FIRST else len(_CHEAP_FIRST))


def reproduce(
    names: Sequence[str], recipe: Recipe, folder: Path, progress: Progress, tell: Callable[[Result], None]
) -> list[Result]:
    """Makes tables and figures; runs what is missing, and writes each as soon as it is there.

    Args:
      names: of tables and figures, or `all`.
      recipe: what is reproduced, with its settings `reproduce`.
      folder: for everything that is made; run again, it goes on.
      progress: hears of every stage.
      tell: is given each result when it is written.

    Raises:
      UserError: names, recipe, problems or models are unfit.
    """
    results = []
    wanted = chosen(names)
    with Laboratory(recipe, folder, progress) as lab:
        for name in wanted:
            began = time.monotonic()
            result = NAMES[name](lab)
            result.write(folder)
            lab.log("result", name=name, seconds=time.monotonic() - began)
            results.append(result)
            tell(result)
    return results
