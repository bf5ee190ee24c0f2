"""`rstar eval --curve`: what more tokens bring a model, measured and written beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rstar_math.cli.combinations import Asked, evaluate_combinations
from rstar_math.errors import ConfigError
from rstar_math.evaluation.curve import check_has_place, curve_of, lines, store_curve
from rstar_math.models import default_answering, find_model


def measure_curve(out: Path, asked: Asked, workers: int | None, concurrency: int) -> None:
    """Evaluates the policy alone, and the model by its own settings at every budget; writes the curve.

    Raises:
      ConfigError: more than one curve would come of it, or none; or the model is no folder beside which to write.
    """
    if len(asked.models) > 1 or len(asked.benchmarks) > 1 or asked.strategies or asked.method_files or asked.changes:
        raise ConfigError("--curve is of one model, by its own strategy and settings, on one set of problems")
    if len(set(asked.tokens)) < 2 or asked.rollouts or asked.seconds:
        raise ConfigError("--curve needs --tokens twice or more, from few to as many as may pay, and no other budget")
    model = find_model(asked.models[0])
    check_has_place(model)
    own = default_answering(model).strategy
    rows = evaluate_combinations(out, replace(asked, strategies=("greedy", own)), workers, concurrency)
    curve = curve_of(rows, own)
    path = store_curve(model, curve)
    print("\n".join([*lines(curve), str(path)]))
