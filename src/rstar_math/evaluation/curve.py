"""Accuracy against tokens, from the rows of an evaluation at several budgets; written beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rstar_math.config.curve import EFFORTS, Curve, CurvePoint
from rstar_math.config.reading import check
from rstar_math.errors import ConfigError
from rstar_math.models import ModelFolders, default_answering, write_curve


def curve_of(rows: Sequence[dict[str, Any]], strategy: str) -> Curve:
    """The curve of one model and one strategy on one set of problems.

    Args:
      rows: result rows of problems with references, at two budgets of tokens or more; those of greedy decoding at the
        largest budget say what the policy does alone.
      strategy: the rows that the curve is of.

    Raises:
      ConfigError: the rows are of several models or sets of problems, or of fewer than two budgets.
    """
    rows = [row for row in rows if row["correct"] is not None and set(row["budget"] or ()) == {"tokens"}]
    alone = [row for row in rows if row["strategy"] == "greedy"]
    rows = [row for row in rows if row["strategy"] == strategy]
    by_budget: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_budget.setdefault(row["budget"]["tokens"], []).append(row)
    if len(by_budget) < 2:
        raise ConfigError(f"a curve needs two budgets of tokens or more, and there are {len(by_budget)}: give --tokens")
    for column in ("model", "benchmark"):
        if len({row[column] for row in rows}) > 1:
            raise ConfigError(f"a curve is of one {column}; there are {', '.join(sorted({r[column] for r in rows}))}")
    points = []
    for tokens, found in sorted(by_budget.items()):
        spent = np.array([row["tokens_generated"] for row in found])
        points.append(
            CurvePoint(
                tokens=tokens,
                accuracy=_accuracy(found) or 0.0,
                tokens_p50=float(np.percentile(spent, 50)),
                tokens_p95=float(np.percentile(spent, 95)),
            )
        )
    return check(
        Curve,
        {
            "benchmark": rows[0]["benchmark"],
            "num_problems": len({row["problem"] for row in rows}),
            "seeds": sorted({row["seed"] for row in rows}),
            "strategy": strategy,
            "alone": _accuracy([row for row in alone if row["budget"]["tokens"] == max(by_budget)]),
            "points": points,
        },
        "curve",
    )


def _accuracy(rows: Sequence[dict[str, Any]]) -> float | None:
    return sum(row["correct"] for row in rows) / len(rows) if rows else None


def check_has_place(model: ModelFolders) -> None:
    """Checks, before anything is measured, that a curve can be written beside the model.

    Raises:
      ConfigError: it is no folder with policy/.
    """
    is_folder = isinstance(model.policy, Path) and model.policy.name == "policy"
    if not is_folder or Path(model.name).name == "policy":  # a checkpoint that happens to be called so
        raise ConfigError(f"{model.name} is not a folder with policy/, beside which a curve could be stored")


def store_curve(model: ModelFolders, curve: Curve) -> Path:
    """Writes the curve into `answering.json` beside the model; gives its path.

    Raises:
      ConfigError: the model has no folder of its own, or another strategy than the curve's.
    """
    check_has_place(model)
    assert isinstance(model.policy, Path)
    if curve.strategy != default_answering(model).strategy:
        raise ConfigError(
            f"a curve is of the model's own strategy, {default_answering(model).strategy}; it was searched by "
            f"{curve.strategy}"
        )
    return write_curve(model, curve)


def lines(curve: Curve) -> list[str]:
    """What `rstar eval --curve` prints."""
    found = [f"accuracy against tokens, {curve.strategy} on {curve.num_problems} problems of {curve.benchmark}:"]
    if curve.alone is not None:
        found.append(f"  the policy alone {100 * curve.alone:5.1f} %")
    found += [f"  {p.tokens:>8,} tokens  {100 * p.accuracy:5.1f} %" for p in curve.points]
    efforts = [f"{effort} {curve.tokens_for(effort):,}" for effort in EFFORTS if effort != "none"]
    return [*found, f"reasoning_effort: {', '.join(efforts)}"]
