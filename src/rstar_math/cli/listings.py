"""`rstar recipes`, `rstar strategies`, `rstar benchmarks`: what there is by name, with a line on each."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Mapping

_WIDEST = 100


def recipes() -> None:
    """List the recipes of the package, with a line on each."""
    from rstar_math.config.reading import shipped_fragments, shipped_recipes
    from rstar_math.evaluation.methods import shipped_methods

    _print("Recipes, for rstar evolve, explain and reproduce:", {n: _described(n) for n in shipped_recipes()})
    _print("Fragments, to be extended beside a recipe:", {n: _described(n) for n in shipped_fragments()})
    _print("Files of methods, for rstar eval --methods:", {n: _described(f"methods/{n}") for n in shipped_methods()})


def strategies() -> None:
    """List the strategies of search, with a line on each."""
    from rstar_math.search.strategies import STRATEGIES

    lines = {name: (inspect.getdoc(s.grow) or "").partition("\n")[0] for name, s in STRATEGIES.items()}
    lines["FILE.py:FUNCTION"] = "Your own, an async function (docs/extending.md)."
    _print("Strategies, for --strategy of rstar solve and eval:", lines)


def benchmarks() -> None:
    """List the sets of problems that have a name."""
    from rstar_math.problems.benchmarks import BENCHMARKS
    from rstar_math.problems.load import POCKET_SPLITS

    lines = {f"pocket/{split}": "Problems of the pocket world, made when they are needed." for split in POCKET_SPLITS}
    lines["composed/SPLIT"] = (
        "Problems of the composed world, made when they are needed; composed/SPLIT/5-6 is one tier."
    )
    for b in BENCHMARKS.values():
        lines[b.name] = f"{b.title}, {b.num_problems:,} problems{f'; {b.note}' if b.note else ''}."
    lines["FILE.jsonl"] = "Your own (docs/formats.md)."
    _print("Sets of problems, for --benchmark of rstar eval:", lines)


def _described(name: str) -> str:
    """The first sentence of the comment that a file of the package begins with."""
    from rstar_math.config.reading import RECIPES

    lines = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    head = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    text = " ".join(line.lstrip("# ") for line in lines[:head])
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _print(title: str, lines: Mapping[str, str]) -> None:
    """A title and an entry for each name; what is said of it folds beside the name."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    indent = " " * (max(map(len, lines)) + 4)
    print(title)
    for name, text in lines.items():
        print(textwrap.fill(text, width, initial_indent=f"  {name}".ljust(len(indent)), subsequent_indent=indent))
    print()
