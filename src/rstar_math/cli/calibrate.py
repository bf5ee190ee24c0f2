"""`rstar calibrate`: what a model says of itself, fitted on problems that it was not trained on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rstar_math.cli.settings import changed, runtime_with
from rstar_math.config import ProblemSource, Recipe
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError
from rstar_math.models import SHIPPED_MODELS, ModelFolders, find_model
from rstar_math.problems.load import load_problems
from rstar_math.progress import for_terminal
from rstar_math.stages.calibrate import Calibrated, calibrate_model
from rstar_math.store.round import RECIPE_FILE, is_run
from rstar_math.workers.pool import WorkerPool


def calibrate_command(
    model_name: str,
    recipe_name: str | None,
    held_out: str | None,
    limit: int | None,
    target_precision: float | None,
    seed: int,
    work: Path | None,
    workers: int | None,
    deterministic: bool,
    changes: Sequence[str],
) -> None:
    """Fits `evaluate_step`, familiarity and the threshold of `sure` for a model, and prints what they are worth."""
    model = find_model(model_name)
    recipe = _recipe_of(model, recipe_name)
    settings = changed(recipe.calibration, changes)
    source = settings.problems or recipe.held_out.problems
    if held_out is not None:
        source = ProblemSource(source=held_out)
    if limit is not None:
        source = source.model_copy(update={"num_problems": limit})
    target = recipe.evaluation.target_precision if target_precision is None else target_precision
    if not 0 < target <= 1:
        raise ConfigError(f"--target-precision is {target}; it must be greater than 0 and at most 1")
    place = nullcontext(str(work)) if work is not None else tempfile.TemporaryDirectory(prefix="rstar-calibrate-")
    runtime = runtime_with(recipe.runtime, workers, deterministic=deterministic)
    with place as folder, WorkerPool(runtime) as pool:
        found = calibrate_model(
            pool,
            model,
            load_problems(recipe.problems),
            load_problems(source),
            settings,
            target,
            Path(folder),
            seed,
            for_terminal(),
        )
    print("\n".join(_lines(found, target)))


def _recipe_of(model: ModelFolders, name: str | None) -> Recipe:
    """The recipe that says what the model was trained on: the one given, that of its run, or the shipped model's."""
    if name is not None:
        return load_recipe(name)
    if model.name in SHIPPED_MODELS:
        return load_recipe("pocket")
    if isinstance(model.policy, Path):
        for folder in list(model.policy.absolute().parents)[:2]:
            if is_run(folder):
                return load_recipe(str(folder / RECIPE_FILE))
    raise ConfigError(f"{model.name} is not in a run: name by --recipe what it was trained on, and what it was not")


def _lines(found: Calibrated, target: float) -> list[str]:
    lines = []
    if found.calibration is not None:
        m = found.calibration.measured
        lines.append(
            f"evaluate_step, on {m.num_steps:,} steps of {m.num_problems} problems by maps fitted on others: "
            f"calibration error {100 * m.expected_calibration_error:.1f} %, Brier score {m.brier:.3f} (one probability "
            f"for all: {m.constant_brier:.3f}), log loss {m.log_loss:.3f} ({m.constant_log_loss:.3f})"
        )
        shown = ", ".join(f"{100 * b.predicted:.0f}: {100 * b.observed:.0f} ({b.num_steps:,})" for b in m.bins)
        lines.append(f"predicted %: ended right % (steps): {shown}")
    source = found.familiarity.source
    lines.append(
        f"familiarity: {source.num_questions:,} questions of {source.trained_on}; outside is a surprise above "
        f"{found.familiarity.limit:.2f} nats a word, exceeded by at most {100 * source.share_outside:g} % of "
        f"{source.num_limit_questions} questions of {source.limit_from}"
    )
    percent = f"{100 * target:g} %"
    if found.threshold is None:
        lines.append(
            f"sure: never. No confidence is shown to be right in {percent} of cases ({100 * found.accuracy:.1f} % of "
            "all answers are right): use more problems or a lower --target-precision"
        )
    else:
        lines.append(
            f"sure: from a confidence of {found.threshold:.4f} on, {100 * found.coverage:.1f} % of the answers; at "
            f"least {percent} of these are right (one-sided 95 % interval)"
        )
    return lines
