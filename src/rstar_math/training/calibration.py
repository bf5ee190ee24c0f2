"""Calibration of a reward model: from raw logits to the probability that the policy goes on to a right answer.

The arithmetic alone; `rstar_math.stages.calibrate` draws the solutions, and `training.ppm.calibrate` scores them.

A model trained on preferences only ranks the candidates of one node. Its logits have no common zero: at the end of a
program they lie four lower than at an answer that is as likely right. So the map looks at the kind of the step, at its
logit, at the steps before it and at their number (measured against one slope and one intercept in docs/log.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from rstar_math.checkpoints.ppm_file import (
    Calibration,
    LogOdds,
    Reliability,
    ReliabilityBin,
    StepKind,
    path_log_probability,
)
from rstar_math.errors import DataError
from rstar_math.training.prefixes import Prefix

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NUM_FOLDS = 5
NUM_BINS = 10
MAX_NEWTON_STEPS = 100
RIDGE = 1.0
"""Weight of the squared distance to the common fit (there: to 0): a kind with few steps is drawn to all of them."""

_KINDS: tuple[StepKind, ...] = get_args(StepKind)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A solution that a policy drew, and how it ended: one fresh rollout below each of its steps.

    Attributes:
      problem: id of the problem.
      prefixes: each a step longer than the one before; but the end of a program stands for two of the same depth, one
        without its output ("code") and one with it ("output").
      is_right: whether it ended in a right answer.
    """

    problem: str
    prefixes: tuple[Prefix, ...]
    is_right: bool


@dataclass(frozen=True, slots=True)
class Examples:
    """The prefixes of many solutions as the fit sees them.

    Attributes:
      features: `[N, 4]`, in the order of `LogOdds`: 1, logit, log-probability of the path, depth.
      kind: `[N]` numbers of kinds.
      outcome: `[N]` 1 right, 0 wrong.
      problem: `[N]` ids.
    """

    features: Array
    kind: Integers
    outcome: Array
    problem: npt.NDArray[np.str_]


def examples_of(solutions: Sequence[Drawn], logits: Mapping[str, float]) -> Examples:
    """An example for each prefix of each solution, so that steps count as often as the policy makes them.

    Args:
      solutions: in any order, which has no influence on the examples.
      logits: of each prefix, by its text.

    Raises:
      DataError: there is none.
    """
    rows: list[tuple[tuple[float, float, float, float], int, float, str]] = []
    for solution in solutions:
        on_path: list[float] = []
        for prefix in solution.prefixes:
            logit = logits[prefix.text]
            if prefix.kind == "step":
                on_path.append(logit)
            features = (1.0, logit, path_log_probability(on_path), float(prefix.depth))
            rows.append((features, _KINDS.index(prefix.kind), float(solution.is_right), solution.problem))
    if not rows:
        raise DataError("nothing to calibrate on: no solution with a step was drawn")
    features, kind, outcome, problem = zip(*sorted(rows, key=lambda row: (row[3], *row[:3])), strict=True)
    return Examples(np.array(features), np.array(kind), np.array(outcome), np.array(problem))


def fit_calibration(examples: Examples, temperature: float, num_rollouts: int) -> Calibration:
    """Fits the map on all examples, and measures it by cross-fitting: no problem is judged by a map that saw it.

    Args:
      examples: steps that the policy made for held-out problems.
      temperature, num_rollouts: how they were drawn, for the record.

    Raises:
      DataError: they are of fewer than two problems.
    """
    problems, number = np.unique(examples.problem, return_inverse=True)
    if len(problems) < 2:
        raise DataError(f"a calibration needs solutions of at least 2 problems, got those of {len(problems)}")
    fold = number % NUM_FOLDS
    probability, constant = np.zeros(len(fold)), np.zeros(len(fold))
    for f in np.unique(fold):
        inside = fold != f
        weights = _fit_kinds(examples.features[inside], examples.kind[inside], examples.outcome[inside])
        probability[~inside] = _probability(weights, examples.features[~inside], examples.kind[~inside])
        constant[~inside] = (examples.outcome[inside].sum() + 1) / (inside.sum() + 2)
    weights = _fit_kinds(examples.features, examples.kind, examples.outcome)
    return Calibration(
        weights={name: LogOdds(*map(float, row)) for name, row in zip(_KINDS, weights, strict=True)},
        max_depth=int(examples.features[:, 3].max()),
        temperature=temperature,
        num_rollouts=num_rollouts,
        measured=reliability(probability, examples.outcome, constant, len(problems)),
    )


def reliability(probability: Array, outcome: Array, constant: Array, num_problems: int) -> Reliability:
    """Holds probabilities against outcomes.

    Args:
      probability: `[N]` predicted, in (0, 1).
      outcome: `[N]` 1 or 0, or a share of rollouts.
      constant: `[N]` what a forecast that knows nothing of the step would say.
      num_problems: that they come from.
    """
    bin_of = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    found = [(probability[bin_of == b], outcome[bin_of == b]) for b in np.unique(bin_of)]
    return Reliability(
        expected_calibration_error=expected_calibration_error(probability, outcome),
        brier=float(((probability - outcome) ** 2).mean()),
        log_loss=_log_loss(probability, outcome),
        constant_brier=float(((constant - outcome) ** 2).mean()),
        constant_log_loss=_log_loss(constant, outcome),
        num_problems=num_problems,
        num_steps=len(outcome),
        bins=tuple(ReliabilityBin(float(p.mean()), float(y.mean()), len(y)) for p, y in found),
    )


def expected_calibration_error(probability: Array, outcome: Array, num_bins: int = NUM_BINS) -> float:
    """Mean distance, weighted by count, of predicted and observed frequency over `num_bins` equal-width bins."""
    bins = np.minimum((probability * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, weights=probability - outcome, minlength=num_bins)  # [num_bins] summed over a bin
    return float(np.abs(gaps).sum() / len(probability))


def _probability(weights: Array, features: Array, kind: Integers) -> Array:
    return _sigmoid((features * weights[kind]).sum(axis=1))


def _fit_kinds(features: Array, kind: Integers, outcome: Array) -> Array:
    """`[kinds, 4]` weights of each kind: drawn to those of all kinds together, as these are to 0."""
    common = _fit(features, outcome, np.zeros(features.shape[1]))
    return np.stack([_fit(features[kind == k], outcome[kind == k], common) for k in range(len(_KINDS))])


def _fit(features: Array, outcome: Array, centre: Array) -> Array:
    """Weights `[F]` of a logistic regression by Newton's method, with a ridge around `centre`."""

    def objective(weights: Array) -> float:
        z = features @ weights
        away = weights - centre
        return float((np.logaddexp(0.0, z) - outcome * z).sum() + 0.5 * RIDGE * away @ away)

    weights = centre.copy()
    for _ in range(MAX_NEWTON_STEPS):
        p = _sigmoid(features @ weights)
        gradient = features.T @ (p - outcome) + RIDGE * (weights - centre)
        hessian = (features * (p * (1 - p))[:, None]).T @ features + RIDGE * np.eye(len(centre))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and objective(weights - size * step) > objective(weights):
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return weights


def _log_loss(probability: Array, outcome: Array) -> float:
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return float(-(outcome * np.log(p) + (1 - outcome) * np.log1p(-p)).mean())


def _sigmoid(z: Array) -> Array:
    p: Array = np.exp(-np.logaddexp(0.0, -z))
    return p
