"""The fit of the fitted choice: weights that are known are found again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rstar_math.config import FittedSettings
from rstar_math.training.posterior import FoundTrajectories, fit_posterior, found_in

TRUE_WEIGHT = 2.0
SHARPNESS = 1.2


def drawn(num_problems: int, seed: int, none_right: float = -9.0) -> list[FoundTrajectories]:
    """Problems in which a trajectory is right as often as the posterior of known weights says."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(num_problems):
        log_score, logprob = -rng.exponential(2.0, 6), -rng.gamma(2.0, 2.0, 6)
        weights = np.exp(np.append(SHARPNESS * (log_score + TRUE_WEIGHT * logprob), none_right))
        right = rng.choice(7, p=weights / weights.sum())
        found.append(FoundTrajectories(log_score, logprob, np.arange(6) == right, np.arange(6)))
    return found


def confidence_of(found: FoundTrajectories, settings: FittedSettings) -> tuple[float, bool]:
    weight = settings.sharpness * (found.log_score + settings.policy_weight * found.logprob)
    best = int(weight.argmax())
    assert settings.none_right is not None
    total = np.logaddexp(np.logaddexp.reduce(weight), settings.none_right)
    return float(np.exp(weight[best] - total)), bool(found.is_right[best])


def test_known_weights_are_found_again() -> None:
    fitted = fit_posterior(drawn(1500, 0), FittedSettings())
    assert fitted.policy_weight == pytest.approx(TRUE_WEIGHT, rel=0.15)
    assert fitted.sharpness == pytest.approx(SHARPNESS, rel=0.2)
    assert fitted.none_right == pytest.approx(-9.0, abs=1.5)


def test_the_confidence_is_the_share_of_right_answers_on_other_problems() -> None:
    fitted = fit_posterior(drawn(1500, 1), FittedSettings())
    judged = [confidence_of(found, fitted) for found in drawn(2000, 2)]
    for low, high in ((0.0, 0.6), (0.6, 0.9), (0.9, 1.0)):
        inside = [(c, ok) for c, ok in judged if low <= c <= high]
        predicted, observed = np.mean([c for c, _ in inside]), np.mean([ok for _, ok in inside])
        assert len(inside) > 100
        assert predicted == pytest.approx(observed, abs=0.07)


def test_a_policy_that_knows_nothing_has_little_weight() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        log_score, logprob = -rng.exponential(2.0, 5), -rng.gamma(2.0, 2.0, 5)
        found.append(FoundTrajectories(log_score, logprob, np.arange(5) == log_score.argmax(), np.arange(5)))
    assert fit_posterior(found, FittedSettings()).policy_weight < 0.1


@pytest.mark.parametrize("is_right", [True, False])
def test_problems_that_are_all_alike_are_survived(is_right: bool) -> None:
    one = FoundTrajectories(np.array([-0.1]), np.array([-1.0]), np.array([is_right]), np.array([0]))
    start = FittedSettings(policy_weight=0.7)
    fitted = fit_posterior([one] * 30, start)
    assert fitted.policy_weight == 0.7  # nobody could learn it
    assert fitted.none_right is not None
    assert abs(fitted.none_right) < 100
    confidence, _ = confidence_of(one, fitted)
    assert (confidence > 0.9) == is_right
    assert 0.005 < confidence < 0.995  # thirty of thirty show no more


def test_without_problems_nothing_changes() -> None:
    start = FittedSettings(policy_weight=0.7, score_scale=3.0)
    assert fit_posterior([], start) is start


def test_the_scale_of_the_scores_stays() -> None:
    assert fit_posterior(drawn(20, 3), FittedSettings(score_scale=3.0)).score_scale == 3.0


def row(**changes: Any) -> dict[str, Any]:
    candidates = {
        "classes": [0, 0, 0, 1, None],
        "correct": [True, True, True, False, False],
        "values": [1.0, 1.0, 1.0, 0.5, None],
        "log_scores": [-0.5, -0.5001, -0.6, -2.0, None],
        "logprobs": [-1.0, -1.0001, -1.5, -3.0, None],
    }
    return {"candidates": candidates | changes}


def test_trajectories_of_a_row() -> None:
    found = found_in(row())
    assert found is not None
    assert found.logprob.tolist() == pytest.approx([-1.0, -1.5, -3.0], abs=1e-3)  # the second is the first once more
    assert found.log_score.tolist() == pytest.approx([-0.5, -0.6, -2.0], abs=1e-3)
    assert found.is_right.tolist() == [True, True, False]
    assert found.answer.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": [None] * 5},
        {"log_scores": [None, -0.5, -0.6, -2.0, None]},
        {"logprobs": [0.0, -1.0, -1.5, -3.0, None]},
        {"correct": [None] * 5},
    ],
)
def test_a_row_that_nothing_can_be_learnt_from(changes: dict[str, Any]) -> None:
    assert found_in(row(**changes)) is None


def test_a_tie_of_all_trajectories_is_no_error() -> None:
    same = FoundTrajectories(np.zeros(3), np.full(3, -2.0), np.array([True, False, False]), np.arange(3))
    fitted = fit_posterior([same], FittedSettings())
    assert math.isfinite(fitted.policy_weight)
