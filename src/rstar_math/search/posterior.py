"""How probable finished trajectories are by reward model and policy together: the fitted choice. Pure.

The highest score of many trajectories belongs to the one that fools the reward model best, and the more there are, the
likelier there is one. A reward model that was trained on preferences weighs evidence over what the policy proposes: a
trajectory is as probable as the policy makes it, times what the reward model says of its steps:

    S = sum over steps of log sigmoid(logit) + policy_weight * log p(trajectory under the policy)

The choice is the largest S. It needs no vote, and no further token. Beyond the rStar-Math paper, which takes the
highest score; measured against it, and against votes, in docs/log.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rstar_math.config import FittedSettings
from rstar_math.types import Trajectory

_NEAR_ONE = 1.0 - 1e-12


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed after some trajectories were found.

    Attributes:
      index: the most probable trajectory.
      confidence: probability in [0, 1] that its answer is right, as far as the settings were fitted.
    """

    index: int
    confidence: float


def log_score(trajectory: Trajectory, score_scale: float) -> float | None:
    """Sum of log sigmoid(logit) over the steps, <= 0: how probable it is that all steps are good; None without scores.

    Args:
      trajectory: a finished solution.
      score_scale: logit = score_scale * atanh(score).
    """
    if not trajectory.ppm_scores:
        return None
    clipped = (max(-_NEAR_ONE, min(_NEAR_ONE, score)) for score in trajectory.ppm_scores)
    return sum(log_sigmoid(score_scale * math.atanh(score)) for score in clipped)


def log_posterior(trajectory: Trajectory, settings: FittedSettings) -> float | None:
    """S, <= 0, up to a constant of the problem; None without scores, or where the policy gives no log-probabilities."""
    scored = log_score(trajectory, settings.score_scale)
    if scored is None or (trajectory.logprob == 0.0 and settings.policy_weight > 0):
        return None
    return scored + settings.policy_weight * trajectory.logprob


def posterior(
    trajectories: Sequence[Trajectory], classes: Sequence[int], indices: Sequence[int], settings: FittedSettings
) -> Posterior | None:
    """The most probable of some trajectories.

    A trajectory that was drawn several times counts once: its probability already says how often it comes. The
    confidence is the weight of all trajectories with the same answer, among all that were found and `none_right`.

    Args:
      trajectories: finished trajectories.
      classes: `[len(trajectories)]` label of each answer's class of equivalent answers.
      indices: of those that may be chosen, not empty.
      settings: fitted on validation problems.

    Returns:
      The choice; None where S is not known for all of them. Ties go to the earlier trajectory.
    """
    known = {i: s for i in indices if (s := log_posterior(trajectories[i], settings)) is not None}
    if len(known) < len(indices):
        return None
    index = max(known, key=lambda i: (known[i], -i))
    distinct = dict[tuple[str, ...], int]()
    for i in indices:
        distinct.setdefault(tuple(step.text for step in trajectories[i].steps), i)
    weights = {i: settings.sharpness * known[i] for i in distinct.values()}
    same = log_sum_exp(w for i, w in weights.items() if classes[i] == classes[index])
    others = [w for i, w in weights.items() if classes[i] != classes[index]]
    if settings.none_right is not None:
        others.append(settings.none_right)
    confidence = 1.0 / (1.0 + math.exp(min(700.0, log_sum_exp(others) - same))) if others else 1.0
    return Posterior(index, confidence)


def log_sigmoid(x: float) -> float:
    """log(1 / (1 + exp(-x))), <= 0."""
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


def log_sum_exp(values: Iterable[float]) -> float:
    """log of the sum of exp(value); there must be one."""
    found = list(values)
    most = max(found)
    return most + math.log(sum(math.exp(v - most) for v in found))
