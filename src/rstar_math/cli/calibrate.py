"""`rstar calibrate`: what a model says of itself, fitted on problems that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.options import Deterministic, Seed, Set, Workers

if TYPE_CHECKING:
    from rstar_math.config import Recipe
    from rstar_math.models import ModelFolders
    from rstar_math.stages.calibrate import Calibrated


def calibrate(
    model: Annotated[str, typer.Argument(help="pocket, a run, or a folder with policy/ and perhaps ppm/.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="Says what the model was trained on; default: the recipe of its run."),
    ] = None,
    problems: Annotated[
        str | None, typer.Option(help="Problems that it was not trained on; default: as the recipe says.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many of these problems.")] = None,
    target_precision: Annotated[
        float | None, typer.Option(help="Share of right answers among those called sure; default: the recipe's.")
    ] = None,
    seed: Seed = 0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for what is drawn; run again to go on. Default: a temporary one.")
    ] = None,
    workers: Workers = None,
    deterministic: Deterministic = False,
    settings: Set = None,
) -> None:
    """Fit what a model says of itself: evaluate_step, familiar questions, and when an answer is sure."""
    import tempfile
    from contextlib import nullcontext

    from rstar_math.cli.settings import changed, runtime_with
    from rstar_math.config import ProblemSource
    from rstar_math.errors import ConfigError
    from rstar_math.models import find_model
    from rstar_math.problems.load import load_problems
    from rstar_math.progress import for_terminal
    from rstar_math.stages.calibrate import calibrate_model
    from rstar_math.workers.pool import WorkerPool

    found = find_model(model)
    whole = _recipe_of(found, recipe)
    how = changed(whole.calibration, settings or [])
    source = how.problems or whole.held_out.problems
    if problems is not None:
        source = ProblemSource(source=problems)
    if limit is not None:
        source = source.model_copy(update={"num_problems": limit})
    target = whole.evaluation.target_precision if target_precision is None else target_precision
    if not 0 < target <= 1:
        raise ConfigError(f"--target-precision is {target}; it must be greater than 0 and at most 1")
    place = nullcontext(str(work)) if work is not None else tempfile.TemporaryDirectory(prefix="rstar-calibrate-")
    runtime = runtime_with(whole.runtime, workers, deterministic=deterministic)
    with place as folder, WorkerPool(runtime) as pool:
        made = calibrate_model(
            pool,
            found,
            load_problems(whole.problems),
            load_problems(source),
            how,
            target,
            Path(folder),
            seed,
            for_terminal(),
        )
    print("\n".join(_lines(made, target)))


def _recipe_of(model: ModelFolders, name: str | None) -> Recipe:
    """The recipe that says what the model was trained on: the one given, that of its run, or the shipped model's."""
    from rstar_math.config.reading import load_recipe
    from rstar_math.errors import ConfigError
    from rstar_math.models import SHIPPED_MODELS
    from rstar_math.store.round import RECIPE_FILE, is_run

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
    if found.answering.selector == "fitted":
        fitted = found.answering.fitted
        lines.append(
            f"choice: log sigmoid of the steps' logits + {fitted.policy_weight:.3g} * log-probability under the policy "
            f"(sharpness {fitted.sharpness:.3g}, none right {fitted.none_right})"
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
