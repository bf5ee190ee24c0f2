"""The card of a round's models: what they were made from, by which recipe, and what was measured after each round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rstar_math.checkpoints.model_card import FILE_NAME, Origin, head_of, license_line, origin_of, write_card
from rstar_math.config import Recipe
from rstar_math.metrics import Interval, wilson
from rstar_math.problems.load import ProblemSet
from rstar_math.stages.problems import RunProblems
from rstar_math.store.manifest import Manifest
from rstar_math.store.result_rows import read_results
from rstar_math.store.round import Base, Round

_USE = """\
    rstar solve --model {folder} "A box holds 12 eggs. How many eggs are in 7 boxes?"

`policy/` is an ordinary checkpoint of transformers{ppm}. A solution is Python, step by step, which is run in a sandbox:
transformers alone writes the steps, and runs none of them."""


def write_round_card(recipe: Recipe, base_folder: Path, problems: RunProblems, this: Round) -> None:
    """Writes `README.md` into the folder of a round, unless it is there."""
    if (this.folder / FILE_NAME).exists():
        return
    from huggingface_hub.repocard_data import EvalResult

    origin = origin_of(recipe.base_model, base_folder)
    name = f"{recipe.name}-round-{this.number}"
    found = {what: _share(this.results(what)) for what in ("greedy", "system")}
    measured_on = problems.evaluation.name
    results = [
        EvalResult("text-generation", measured_on, measured_on, "accuracy", round(value.value, 4), metric_name=what)
        for what, value in found.items()
        if value is not None
    ]
    head = head_of(origin, model_name=name, eval_results=results or None)
    write_card(this.folder, head, _text(name, origin, recipe, problems, this))


def _text(name: str, origin: Origin, recipe: Recipe, problems: RunProblems, this: Round) -> str:
    has_ppm = "ppm" in Manifest(this.folder)
    ppm = ", and `ppm/` scores steps" if has_ppm else ""
    parts = [
        f"# {name}",
        f"A policy{' with a process preference model (PPM)' if has_ppm else ''} that solves problems by code-augmented "
        f"steps, after round {this.number} of self-evolution as in rStar-Math (arXiv 2501.04519).",
        license_line(origin),
        "## Use",
        _USE.format(folder="FOLDER", ppm=ppm),
        "## What was measured",
        _table(recipe, problems.evaluation, this),
        "Shares in %, with 95 % intervals (Wilson) over problems. Greedy is the policy alone, system policy and PPM "
        "together.",
        "## Data",
        _data(problems),
        "Only reference answers were used: the solutions that it was trained on are its own, verified by running them.",
        "## Recipe",
        f"```yaml\n{_recipe(recipe)}\n```",
        "## Limits",
        "It writes Python that has to be run: only in a sandbox. It is sure of wrong answers too, and was measured on "
        "no other kinds of problems than those above.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(recipe: Recipe, evaluation: ProblemSet, this: Round) -> str:
    rows: list[tuple[str, Interval | None, Interval | None, float | None, int | None, int | None]]
    rows = [("base", _share(Base(this.run).results("greedy")), None, None, None, None)]
    for each in this.since(1):
        stages = Manifest(each.folder)
        rows.append(
            (
                each.name,
                _share(each.results("greedy")),
                _share(each.results("system")),
                stages.share("ppm", "pair_accuracy") if "ppm" in stages else None,
                stages.count("policy", "num_trajectories"),
                stages.count("ppm", "num_pairs") if "ppm" in stages else None,
            )
        )
    title = f"{len(evaluation.problems)} problems of {evaluation.name} (sha256 {evaluation.sha256}), seed {recipe.seed}"
    head = ("", "greedy", "system", "PPM pair accuracy", "trajectories", "pairs")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for label, greedy, system, accuracy, trajectories, pairs in rows:
        cells = [label, _shown(greedy), _shown(system), "" if accuracy is None else f"{100 * accuracy:.1f}"]
        cells += ["" if number is None else f"{number:,}" for number in (trajectories, pairs)]
        lines.append(f"| {' | '.join(cells)} |")
    return f"{title}:\n\n" + "\n".join(lines)


def _data(problems: RunProblems) -> str:
    sets: Sequence[tuple[str, ProblemSet | None]] = [
        ("trained on", problems.training),
        ("steering the PPM", problems.held_out),
        ("measured on", problems.evaluation),
    ]
    return "\n".join(
        f"- {use}: {len(s.problems):,} of {s.name} (sha256 {s.sha256})" for use, s in sets if s is not None
    )


def _recipe(recipe: Recipe) -> str:
    """The keys that the recipe sets; of paths of this machine the last name alone."""

    def public(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: public(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [public(inner) for inner in value]
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    return yaml.safe_dump(public(recipe.model_dump(mode="json", exclude_unset=True)), sort_keys=False).strip()


def _share(path: Path) -> Interval | None:
    graded = [row["correct"] for row in read_results(path) if row["correct"] is not None] if path.exists() else []
    return wilson(sum(graded), len(graded)) if graded else None


def _shown(share: Interval | None) -> str:
    return "" if share is None else f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
