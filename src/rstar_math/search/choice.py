"""From finished trajectories to one answer: best score, score-weighted vote, majority, or the most probable one. Pure.

Section 4 of the paper; METHOD.md, section 6. The last is `search/posterior.py`.

Whether two answers mean the same is a question for the grader; the functions here are given its classes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.config import AggregateName, AnsweringSettings, FittedSettings, SelectorName, WeightName
from rstar_math.search.posterior import log_posterior, posterior
from rstar_math.types import Solution, Trajectory


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen trajectory.

    Attributes:
      index: its position.
      share: the share in [0, 1] of all votes that its class of equivalent answers has; `fitted`: how probable it is
        that the answer is right.
      lead: how probable it is that its answer would stay ahead if trajectories, each one vote, went on coming; in
        [0, 1]. Scores do not count: the product of many small ones would hold a vote open that everybody agrees on.
        `fitted`: as `share`.
    """

    index: int
    share: float
    lead: float


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


def value(trajectory: Trajectory, weight: WeightName, how: AggregateName) -> float | None:
    """What a trajectory is worth, in [0, 1]; None where that is not known.

    Args:
      trajectory: a finished solution.
      weight: `score`: its steps' scores, put together; `logprob`: the policy's probability of a token of it (geometric
        mean), the baseline that needs no training.
      how: the aggregate of step scores.
    """
    if weight == "logprob":
        return math.exp(trajectory.logprob / trajectory.num_tokens) if trajectory.num_tokens else None
    return aggregate(trajectory.ppm_scores, how) if trajectory.ppm_scores else None


def choose(
    trajectories: Sequence[Trajectory],
    classes: Sequence[int],
    selector: SelectorName,
    how: AggregateName,
    weight: WeightName = "score",
    num_voters: int | None = None,
    fitted: FittedSettings | None = None,
) -> Choice | None:
    """Chooses among trajectories that have an answer.

    Args:
      trajectories: finished trajectories; those whose answer is None are never chosen.
      classes: `[len(trajectories)]` label of each answer's class of equivalent answers.
      selector: `best` takes the highest value, `vote` the class with the largest sum of values, `majority` the largest
        class, `fitted` the most probable trajectory by scores and policy. Where values are missing, `best` and `vote`
        fall back to `majority`; where log-probabilities are, `fitted` to `vote`.
      how: the aggregate of step scores.
      weight: what a trajectory's value is.
      num_voters: only so many trajectories with the highest value vote; None: all. `fitted` looks at all of them.
      fitted: of the selector `fitted`; None: the defaults.

    Returns:
      The choice, or None where no trajectory has an answer. Ties go to the earlier trajectory.
    """
    indices = [i for i, t in enumerate(trajectories) if t.answer is not None]
    if not indices:
        return None
    if selector == "fitted":
        if (found := posterior(trajectories, classes, indices, fitted or FittedSettings())) is not None:
            return Choice(found.index, found.confidence, found.confidence)
        selector = "vote"
    known = {i: v for i in indices if (v := value(trajectories[i], weight, how)) is not None}
    valued = len(known) == len(indices)
    worth = known if valued else dict.fromkeys(indices, 1.0)
    if num_voters is not None:
        indices = sorted(sorted(indices, key=lambda i: (-worth[i], i))[:num_voters])
    votes: dict[int, float] = defaultdict(float)
    for i in indices:
        votes[classes[i]] += 1.0 if selector == "majority" else worth[i]
    if selector == "best" and valued:
        index = max(indices, key=lambda i: (worth[i], -i))
    else:
        winner = max(votes, key=lambda c: (votes[c], -min(i for i in indices if classes[i] == c)))
        index = max((i for i in indices if classes[i] == winner), key=lambda i: (worth[i], -i))
    total = sum(votes.values())
    counts = Counter(classes[i] for i in indices)
    leader = counts.pop(classes[index])
    return Choice(
        index,
        share=votes[classes[index]] / total if total > 0 else 0.0,
        lead=lead_probability(leader, max(counts.values(), default=0)),
    )


def chosen_from(
    trajectories: Sequence[Trajectory], classes: Sequence[int], settings: AnsweringSettings
) -> Choice | None:
    """`choose` by the settings of an answer."""
    return choose(
        trajectories,
        classes,
        settings.selector,
        settings.aggregate,
        settings.weight,
        settings.num_voters,
        settings.fitted,
    )


def worths(trajectories: Sequence[Trajectory | None], settings: AnsweringSettings) -> list[float | None]:
    """What trajectories are worth in the choice, in [0, 1], beside one another; None where that is not known.

    Those without an answer, and None, are worth nothing. `fitted`: exp(S), as a share of the largest.
    """
    finished = [t if t is not None and t.answer is not None else None for t in trajectories]
    if settings.selector == "fitted":
        known = [log_posterior(t, settings.fitted) if t is not None else None for t in finished]
        if all((s is None) == (t is None) for s, t in zip(known, finished, strict=True)):
            most = max((s for s in known if s is not None), default=0.0)
            return [None if s is None else math.exp(s - most) for s in known]
    return [None if t is None else value(t, settings.weight, settings.aggregate) for t in finished]


def is_sure(
    solution: Solution, settings: AnsweringSettings, own: AnsweringSettings | None, threshold: float | None
) -> bool | None:
    """Whether an answer counts as sure. The one place where this is decided, for `solve`, `eval` and reports.

    Args:
      solution: the answer, with the confidence that it has, and whether the question is outside of what the model was
        trained on.
      settings: how the question was answered.
      own: the model's own settings, with which the threshold was chosen; None where nobody measured.
      threshold: confidence in [0, 1] from which answers count as sure; None where nobody measured.

    Returns:
      False for a question from outside: samples of a policy agree on nonsense. None where nobody measured what the
      confidence is worth, or which questions are outside: a share of the vote under other settings, or under another
      budget, is not what the threshold was chosen for.
    """
    if solution.outside:
        return False
    if threshold is None or solution.outside is None or settings != own:
        return None
    return solution.answer is not None and solution.confidence >= threshold


def lead_probability(leader: float, runner_up: float, num_points: int = 256) -> float:
    """How probable it is that the leading answer would stay ahead of the runner-up if the vote went on for ever.

    The probability that p > 1/2 under Beta(leader + 1, runner_up + 1), the belief about the leader's share of the two
    after so many votes (adaptive consistency, Aggarwal et al. 2023). Votes may be fractions.
    """

    def density(p: float) -> float:
        return math.exp(leader * math.log(p) + runner_up * math.log1p(-p))

    def integral(low: float, high: float) -> float:
        width = (high - low) / num_points  # midpoints: the density may be steep at the ends
        return width * sum(density(low + (k + 0.5) * width) for k in range(num_points))

    above, below = integral(0.5, 1.0), integral(0.0, 0.5)
    return above / (above + below)
