"""Calibration of a reward model: from raw logits to probabilities, by a logistic fit on held-out steps.

The arithmetic alone; `training.ppm.calibrate` applies it to a folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rstar_math.errors import DataError
from rstar_math.training.ppm_file import Calibration

MAX_NEWTON_STEPS = 100
RIDGE = 1e-6
"""Weight of slope^2 / 2 and intercept^2 / 2 in the fit: enough to keep it finite where all logits are equal."""


def fit_calibration(logits: Sequence[float], outcomes: Sequence[float]) -> Calibration:
    """Fits p = sigmoid(slope * logit + intercept) by maximum likelihood, with Platt's smoothed targets.

    The smoothing, (n_pos + 1) / (n_pos + 2) for 1 and 1 / (n_neg + 2) for 0, keeps the fit finite where the logits
    separate the outcomes, or where all outcomes are the same.

    Args:
      logits: `[N]` raw logits.
      outcomes: `[N]` 1 where the step led to a correct answer, 0 where it did not.

    Raises:
      DataError: nothing to fit, unequal lengths, or an outcome other than 0 and 1.
    """
    x = np.asarray(logits, np.float64)
    y = np.asarray(outcomes, np.float64)
    if len(x) != len(y) or len(x) == 0:
        raise DataError(f"calibration needs as many outcomes as logits, and some; got {len(y)} and {len(x)}")
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError(f"calibration outcomes must be 0 or 1; found {y[~np.isin(y, (0.0, 1.0))][0]}")
    num_positive = y.sum()
    num_negative = len(y) - num_positive
    target = np.where(y == 1, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))

    def objective(theta: npt.NDArray[np.float64]) -> float:
        z = features @ theta
        return float((np.logaddexp(0.0, z) - target * z).sum() + 0.5 * RIDGE * theta @ theta)

    features = np.stack([x, np.ones_like(x)], axis=1)  # [N, 2]
    theta = np.zeros(2)
    for _ in range(MAX_NEWTON_STEPS):
        p = _sigmoid(features @ theta)
        gradient = features.T @ (p - target) + RIDGE * theta
        hessian = (features * (p * (1 - p))[:, None]).T @ features + RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and objective(theta - size * step) > objective(theta):
            size /= 2
        theta = theta - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    error = expected_calibration_error(_sigmoid(features @ theta), y)
    return Calibration(float(theta[0]), float(theta[1]), error, len(x))


def expected_calibration_error(
    probabilities: npt.NDArray[np.float64], outcomes: npt.NDArray[np.float64], num_bins: int = 10
) -> float:
    """Mean distance, weighted by count, of predicted and observed frequency over `num_bins` equal-width bins."""
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, weights=probabilities - outcomes, minlength=num_bins)  # [num_bins] summed over a bin
    return float(np.abs(gaps).sum() / len(probabilities))


def _sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.exp(-np.logaddexp(0.0, -z))
