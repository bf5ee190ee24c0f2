"""Which way to search and to choose is best at a budget of generated tokens, on validation problems.

    python perf/methods.py [--model RUN] [--tokens 300 --tokens 600 --tokens 1200] [--problems 200] [--out FOLDER]

Every method has as many settings to choose from as every other (`GRID`). The fitted choice is fitted, the settings are
chosen, on one half of the validation problems; what is printed was measured on the other half, which nobody looked at.
Test problems are not touched. Rows stay in FOLDER, and a stopped measurement goes on there.

Columns: share of right answers; the difference to the baseline in points with a paired 95 % interval over problems;
tokens generated and tokens scored for an answer; CPU seconds of search, models and step programs together. Beside other
work on the machine CPU seconds are too high for all methods alike.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rstar_math.config import BudgetSettings, MethodSettings, RuntimeSettings
from rstar_math.evaluation.methods import Method, prepare
from rstar_math.evaluation.rows import evaluate_method
from rstar_math.metrics import paired_difference
from rstar_math.models import ModelFolders, find_model
from rstar_math.pocket.splits import pocket_problems
from rstar_math.progress import Progress, for_terminal
from rstar_math.store.files import fingerprint
from rstar_math.training.posterior import fit_posterior, found_in
from rstar_math.types import Problem
from rstar_math.workers.pool import WorkerPool

MANY = 100_000
"""Rollouts of a tree that ends with its budget."""

BASELINE = "samples, vote"

GRID: Mapping[str, tuple[str, str, Sequence[Mapping[str, Any]]]] = {
    "samples, vote": ("sample", "vote", [{"num_rollouts": 4, "temperature": t} for t in (0.5, 0.7, 1.0)]),
    "samples, fitted": ("sample", "fitted", [{"num_rollouts": 4, "temperature": t} for t in (0.5, 0.7, 1.0)]),
    "MCTS, fitted": ("mcts", "fitted", [{"num_rollouts": MANY, "num_candidates": n} for n in (3, 4, 8)]),
    "diverse beam, fitted": (
        *("diverse_beam", "fitted"),
        [{"beam_width": w, "num_candidates": n} for w, n in ((2, 4), (2, 8), (4, 8))],
    ),
    "forest, fitted": ("forest", "fitted", [{"num_rollouts": MANY, "num_candidates": n} for n in (3, 4, 8)]),
    "mass, fitted": (
        "mass",
        "fitted",
        [{"num_rollouts": MANY, "num_candidates": 8, "mass": m} for m in (0.6, 0.8, 0.9)],
    ),
    "entropy, fitted": ("entropy", "fitted", [{"num_rollouts": MANY, "num_candidates": n} for n in (4, 6, 8)]),
    "particles, fitted": (
        *("particles", "fitted"),
        [{"num_candidates": n, "particle_weight": w} for n, w in ((4, 2.5), (4, 5.0), (8, 5.0))],
    ),
}
"""Method -> strategy, selector, settings of the search to choose from: three for each."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is measured."""

    pool: WorkerPool
    model: ModelFolders
    out: Path
    progress: Progress


@dataclass(frozen=True, slots=True)
class Measured:
    """What a method does with the problems: outcome of each, and means over all."""

    right: list[bool]
    tokens_generated: float
    tokens_scored: float
    cpu_seconds: float

    @property
    def accuracy(self) -> float:
        return sum(self.right) / len(self.right)


def main() -> None:
    """Measures and prints a table for each budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket", help="a model with a PPM: a run, or a folder")
    parser.add_argument("--tokens", type=int, action="append", help="budgets; default 300, 600 and 1200")
    parser.add_argument("--problems", type=int, default=200, help="problems for each half")
    parser.add_argument("--method", action="append", help="only these of the grid; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("runs/methods"), help="folder of the rows")
    asked = parser.parse_args()
    problems = pocket_problems("validation", 2 * asked.problems, seed=7)
    tuning, judging = problems[: asked.problems], problems[asked.problems :]
    with for_terminal() as progress, WorkerPool(RuntimeSettings(num_workers=1)) as pool:
        place = Place(pool, find_model(asked.model), asked.out, progress)
        for tokens in asked.tokens or (300, 600, 1200):
            found = {name: tuned(place, name, tokens, tuning, judging) for name in asked.method or GRID}
            print("\n".join(table(found, tokens)))


def tuned(
    place: Place, name: str, tokens: int, tuning: Sequence[Problem], judging: Sequence[Problem]
) -> tuple[Measured, str]:
    """A method with the settings that are best on one half, measured on the other; and these settings in words."""
    strategy, selector, grid = GRID[name]
    best: tuple[float, Method, str] | None = None
    for search in grid:
        asked = MethodSettings(name=name, strategy=strategy, answering={"selector": selector, "search": dict(search)})
        method = prepare(asked, place.model, BudgetSettings(tokens=tokens))
        rows = answers(place, method, tuning)
        words = ", ".join(f"{key} {value}" for key, value in search.items() if value != MANY)
        if selector == "fitted":
            fitted = fit_posterior([f for row in rows if (f := found_in(row)) is not None], method.settings.fitted)
            words += f", policy_weight {fitted.policy_weight}"
            method = replace(method, settings=method.settings.model_copy(update={"fitted": fitted}))
            rows = answers(place, method, tuning)
        accuracy = measured(rows).accuracy
        if best is None or accuracy > best[0]:
            best = accuracy, method, words
    assert best is not None
    return measured(answers(place, best[1], judging)), best[2]


def answers(place: Place, method: Method, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The result rows of a method on some problems."""
    key = fingerprint({"settings": method.settings.model_dump(mode="json"), "problems": [p.id for p in problems]})
    path = place.out / f"{method.strategy}-{key}.jsonl"
    return evaluate_method(place.pool, place.model, method, problems, path, 0, "pocket/validation", place.progress)


def measured(rows: Sequence[Mapping[str, Any]]) -> Measured:
    """Means over result rows."""

    def mean(*keys: str) -> float:
        return sum(row[key] or 0.0 for row in rows for key in keys) / len(rows)

    right = [bool(row["correct"]) for row in rows]
    return Measured(right, mean("tokens_generated"), mean("tokens_scored"), mean("cpu_seconds", "process_cpu_seconds"))


def table(found: Mapping[str, tuple[Measured, str]], tokens: int) -> list[str]:
    """A table in Markdown, the best method first."""
    num = len(next(iter(found.values()))[0].right)
    lines = [
        f"\n{tokens} tokens, {num} problems",
        "| method | right % | difference | generated | scored | CPU s | settings |",
        "|---|---|---|---|---|---|---|",
    ]
    baseline = found.get(BASELINE)
    for name, (result, words) in sorted(found.items(), key=lambda item: -item[1][0].accuracy):
        difference = ""
        if baseline is not None and name != BASELINE:
            d = paired_difference([*map(float, result.right)], [*map(float, baseline[0].right)])
            difference = f"{100 * d.value:+.1f} [{100 * d.low:.1f}, {100 * d.high:.1f}]"
        lines.append(
            f"| {name} | {100 * result.accuracy:.1f} | {difference} | {result.tokens_generated:.0f} | "
            f"{result.tokens_scored:.0f} | {result.cpu_seconds:.2f} | {words} |"
        )
    return lines


if __name__ == "__main__":
    main()
