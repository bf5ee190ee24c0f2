"""Fits the fitted choice (`search.posterior`) on problems that were answered: how much the policy's word counts.

The weights of score and log-probability come from a conditional logit: among the trajectories of one problem, the right
ones shall be probable. Their ratio is `policy_weight`, which alone decides the choice. Then follow the two numbers of
the confidence, so that it is the share of answers that are right. Each is drawn to a neutral value as if by one or two
further problems, so that a few problems, or problems that are all solved, do no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rstar_math.config import FittedSettings

Array = npt.NDArray[np.float64]

_MOST = 1e6
_SPREAD = 1.5
"""Standard deviation of the normal prior of log(weight): within a factor of 4.5 of 1, as likely as not much further."""


@dataclass(frozen=True, slots=True)
class FoundTrajectories:
    """The distinct finished trajectories of one problem.

    Attributes:
      log_score: `[N]` sums of log sigmoid(logit), <= 0.
      logprob: `[N]` log-probabilities under the policy, <= 0.
      is_right: `[N]` whether the answer is right.
      answer: `[N]` labels of equivalent answers.
    """

    log_score: Array
    logprob: Array
    is_right: npt.NDArray[np.bool_]
    answer: npt.NDArray[np.int64]


def found_in(row: Mapping[str, Any]) -> FoundTrajectories | None:
    """The trajectories of a result row; None where none was finished, or scores or log-probabilities are missing."""
    found = row["candidates"]
    rows = zip(found["log_scores"], found["logprobs"], found["correct"], found["classes"], strict=True)
    finished = [r for r in rows if r[3] is not None]
    if not finished or any(s is None or logprob in (None, 0.0) or right is None for s, logprob, right, _ in finished):
        return None
    # equal texts have equal scores up to what a batch does to the last digits
    distinct = {(round(r[0], 2), round(r[1], 2), r[3]): r for r in finished}
    score, logprob, right, label = zip(*distinct.values(), strict=True)
    return FoundTrajectories(np.array(score), np.array(logprob), np.array(right), np.array(label))


def fit_posterior(problems: Sequence[FoundTrajectories], settings: FittedSettings) -> FittedSettings:
    """Fits `policy_weight`, `sharpness` and `none_right`.

    Args:
      problems: of one model and one way to search; none of them training problems.
      settings: has the scale of the scores; the rest is what stands where nothing can be learnt.

    Returns:
      The fitted settings; `settings` as they are where there is no problem.
    """
    if not problems:
        return settings
    policy_weight = settings.policy_weight
    contested = [p for p in problems if p.is_right.any() and not p.is_right.all()]
    if contested:
        fitted = _minimum(lambda at: _choice_loss(math.exp(at[0]), math.exp(at[1]), contested) + _prior(at), 0.0)
        policy_weight = math.exp(fitted[1])
    chosen = [_of_choice(p, policy_weight) for p in problems]
    middle = float(np.median([c.weight.max() for c in chosen]))
    sharpness, none_right = _minimum(
        lambda at: _confidence_loss(math.exp(at[0]), at[1], chosen) + _prior(at[:1]), min(middle, 0.0)
    )
    return settings.model_copy(
        update={
            "policy_weight": float(f"{policy_weight:.4g}"),
            "sharpness": float(f"{math.exp(sharpness):.4g}"),
            "none_right": float(f"{none_right:.4g}"),
        }
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the choice knows of one problem: S `[N]` of each trajectory, and whether it has the chosen answer."""

    weight: Array
    is_chosen: npt.NDArray[np.bool_]
    is_right: bool


def _of_choice(found: FoundTrajectories, policy_weight: float) -> _Chosen:
    weight = found.log_score + policy_weight * found.logprob
    best = int(weight.argmax())
    return _Chosen(weight, found.answer == found.answer[best], bool(found.is_right[best]))


def _choice_loss(score_weight: float, policy_weight: float, problems: Sequence[FoundTrajectories]) -> float:
    """Negative log-probability of the right trajectories among all of each problem."""
    loss = 0.0
    for p in problems:
        weight = score_weight * (p.log_score + policy_weight * p.logprob)
        loss -= np.logaddexp.reduce(weight[p.is_right]) - np.logaddexp.reduce(weight)
    return min(float(loss), _MOST)


def _confidence_loss(sharpness: float, none_right: float, chosen: Sequence[_Chosen]) -> float:
    """Log loss of the confidence; one answer more, half right and half wrong, is added, spread over all problems."""
    loss, extra = 0.0, 0.0
    for c in chosen:
        weight = sharpness * c.weight
        all_of_it = np.logaddexp(np.logaddexp.reduce(weight), none_right)
        log_right = np.logaddexp.reduce(weight[c.is_chosen]) - all_of_it
        others = weight[~c.is_chosen]
        log_wrong = np.logaddexp.reduce(np.append(others, none_right)) - all_of_it
        loss -= log_right if c.is_right else log_wrong
        extra -= 0.5 * (log_right + log_wrong)
    return min(float(loss + extra / len(chosen)), _MOST)


def _prior(logs: Sequence[float]) -> float:
    return sum(x * x for x in logs) / (2 * _SPREAD**2)


def _minimum(loss: Callable[[Sequence[float]], float], second: float) -> tuple[float, float]:
    """Where a loss of two numbers is least, from (0, `second`) on."""
    from scipy.optimize import minimize

    found = minimize(loss, [0.0, second], method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 2000})
    first, other = map(float, found.x)
    return first, other
