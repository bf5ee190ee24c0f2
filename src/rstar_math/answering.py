"""From finished trajectories to one answer: best score, score-weighted vote, majority (section 4; METHOD.md 6). Pure.

Whether two answers mean the same is a question for the grader; the functions here are given its classes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.config import AggregateName, SelectorName
from rstar_math.types import Trajectory


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen trajectory, and the share in [0, 1] of all weight that its class of equivalent answers has."""

    index: int
    share: float


def aggregate(scores: Sequence[float], how: AggregateName) -> float:
    """One value in [0, 1] for a trajectory from the scores in (-1, 1) of its steps.

    A score s counts as (1 + s) / 2. `last`: the finished trajectory's own score. `product`: as if the steps were
    independent.
    """
    values = [(1.0 + s) / 2.0 for s in scores]
    if how == "last":
        return values[-1]
    if how == "mean":
        return sum(values) / len(values)
    if how == "min":
        return min(values)
    return math.prod(values)


def choose(
    trajectories: Sequence[Trajectory], classes: Sequence[int], selector: SelectorName, how: AggregateName
) -> Choice | None:
    """Chooses among trajectories that have an answer.

    Args:
      trajectories: finished trajectories; those whose answer is None are never chosen.
      classes: `[len(trajectories)]` label of each answer's class of equivalent answers.
      selector: `best` takes the highest aggregate score, `vote` the class with the largest sum of scores, `majority`
        the largest class. Without PPM scores, `best` and `vote` fall back to `majority`.
      how: the aggregate of step scores.

    Returns:
      The choice, or None where no trajectory has an answer. Ties go to the earlier trajectory.
    """
    indices = [i for i, t in enumerate(trajectories) if t.answer is not None]
    if not indices:
        return None
    scored = all(trajectories[i].ppm_scores for i in indices)
    weight = {i: aggregate(trajectories[i].ppm_scores, how) if scored else 1.0 for i in indices}
    votes: dict[int, float] = defaultdict(float)
    for i in indices:
        votes[classes[i]] += 1.0 if selector == "majority" else weight[i]
    if selector == "best" and scored:
        index = max(indices, key=lambda i: (weight[i], -i))
    else:
        winner = max(votes, key=lambda c: (votes[c], -min(i for i in indices if classes[i] == c)))
        index = max((i for i in indices if classes[i] == winner), key=lambda i: (weight[i], -i))
    total = sum(votes.values())
    return Choice(index, votes[classes[index]] / total if total > 0 else 0.0)
