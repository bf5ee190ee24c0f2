"""The layers of the package: what may import what. The tests read this list, and the README's table is made from it.

python -m tests.layers        prints the table
python -m tests.layers --write  writes it into README.md
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


@dataclass(frozen=True, slots=True)
class Layer:
    """Modules that may import one another and what lies below.

    Attributes:
      number: 0 is the lowest.
      what: a few words for the README.
      names: rooms and files below `src/rstar_math/`; the longest name that fits a module counts.
    """

    number: int
    what: str
    names: tuple[str, ...]


LAYERS = (
    Layer(6, "the command `rstar`, a file for each command", ("cli", "serve", "view")),
    Layer(
        5,
        "the rounds, their stages, evaluation, search processes, the Python API, reports, the paper's tables",
        (
            *("evolve", "stages", "evaluation", "workers", "api", "report", "paper", "doctor", "cluster"),
            *("config.explain", "problems.synthesis"),
        ),
    ),
    Layer(
        4,
        "models, sandbox, grader, training, problem sets, files, the pocket world",
        (
            *("engines", "execution", "grading", "training", "checkpoints", "problems", "store", "pocket"),
            *("models", "progress", "intervals", "terminal", "config.reading", "config.yaml_text"),
        ),
    ),
    Layer(3, "strategies, and the tutor: straight-line async code", ("search", "tutor")),
    Layer(
        2,
        "what a search asks of the world, and a user's own files",
        ("engines.base", "execution.base", "grading.base", "lean_torch", "plugins"),
    ),
    Layer(
        1,
        "pure: no files, no clocks, nothing awaited",
        (
            *("tree", "steps", "metrics", "selection", "config", "search.choice", "search.posterior"),
            *("execution.observation", "terminal.visible"),
        ),
    ),
    Layer(0, "what everybody speaks of", ("types", "errors")),
)


def table() -> str:
    """The layers as a table of Markdown."""
    package = Path(__file__).parents[1] / "src" / "rstar_math"

    def shown(name: str) -> str:
        path = name.replace(".", "/")
        return f"`{path}/`" if (package / path).is_dir() else f"`{path}.py`"

    there = [
        [n for n in layer.names if (p := package / n.replace(".", "/")).is_dir() or p.with_suffix(".py").exists()]
        for layer in LAYERS
    ]
    rows = [
        f"| {layer.number} | {' '.join(map(shown, names))} | {layer.what} |"
        for layer, names in zip(LAYERS, there, strict=True)
    ]
    return "\n".join(["| layer | below `src/rstar_math/` | |", "|---|---|---|", *rows])


def readme_with_table(text: str) -> str:
    """The README with the table of today."""
    before, _, rest = text.partition("| layer | below")
    after = rest[rest.index("\n\n") :] if "\n\n" in rest else "\n"
    return before + table() + after


if __name__ == "__main__":
    if "--write" in sys.argv:
        README.write_text(readme_with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
