"""Statistics of evaluations: pass@k, intervals, paired differences, calibration. Pure; numpy only where it pays."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

_MAX_REMEMBERED_VALUES = 2000
"""Values of which 2,000 resamples take some 30 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval, all in the same unit."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Unbiased estimate of the chance that one of k independent samples is right (Chen et al. 2021, equation 1).

    Holds for independent samples only; for the trajectories of one tree report "solved by any of the first N".
    """
    if not 1 <= k <= num_samples:
        raise ValueError(f"k is {k}; it must be between 1 and the number of samples, {num_samples}")
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def maj_at_k(classes: Sequence[int | None], correct: Sequence[bool], k: int) -> float:
    """How often the majority of k independent samples is right: mean over the disjoint runs of k samples in a row.

    Args:
      classes: `[num_samples]` class of each sample's answer; None has no vote. Ties go to the class that came first.
      correct: `[num_samples]` whether the sample is right.
      k: 1 to num_samples.
    """
    return vote_at_k(classes, [1.0] * len(classes), correct, k)


def vote_at_k(classes: Sequence[int | None], weights: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """The same where each sample's vote has a weight."""
    if not 1 <= k <= len(classes):
        raise ValueError(f"k is {k}; it must be between 1 and the number of samples, {len(classes)}")
    right = 0
    starts = range(0, len(classes) - k + 1, k)
    for start in starts:
        votes: dict[int, float] = {}
        is_right: dict[int, bool] = {}
        for i in range(start, start + k):
            if (label := classes[i]) is not None:
                votes[label] = votes.get(label, 0.0) + weights[i]
                is_right[label] = correct[i]
        right += bool(votes) and is_right[max(votes, key=lambda c: votes[c])]
    return right / len(starts)


def best_of_k(values: Sequence[float | None], correct: Sequence[bool], k: int) -> float:
    """How often the sample of highest value among k of the samples is right: exact mean over all subsets of k.

    Args:
      values: `[num_samples]`; None is below every value. Ties go to the earlier sample.
      correct: `[num_samples]` whether the sample is right.
      k: 1 to num_samples.
    """
    n = len(values)
    if not 1 <= k <= n:
        raise ValueError(f"k is {k}; it must be between 1 and the number of samples, {n}")
    order = sorted(range(n), key=lambda i: (-math.inf if (v := values[i]) is None else v, -i), reverse=True)
    # the sample at place r is the best of a subset where the other k - 1 come from the n - 1 - r places behind it
    return sum(math.comb(n - 1 - rank, k - 1) for rank, i in enumerate(order) if correct[i]) / math.comb(n, k)


def wilson(num_correct: float, num_total: float, z: float = 1.959964) -> Interval:
    """Share of successes with the Wilson score interval (95 % by default)."""
    if num_total == 0:
        return Interval(0.0, 0.0, 1.0)
    p = num_correct / num_total
    denominator = 1 + z * z / num_total
    center = (p + z * z / (2 * num_total)) / denominator
    half = z * math.sqrt(p * (1 - p) / num_total + z * z / (4 * num_total * num_total)) / denominator
    return Interval(p, max(0.0, center - half), min(1.0, center + half))


def wilson_of_means(means: Sequence[float], num_answers: int) -> Interval:
    """Accuracy where every problem was answered several times, with the Wilson interval over problems.

    Answers to one problem resemble each other, so they count as fewer than they are: as so many independent ones as
    would give the mean the variance that it has over problems (effective sample size, Korn & Graubard 1998), at least
    one and at most `num_answers` for a problem. Unlike a bootstrap it has a width where all answers are right.

    Args:
      means: `[num_problems]` share of each problem's answers that is right.
      num_answers: answers to each problem.
    """
    n = len(means)
    if n == 0:
        return wilson(0, 0)
    p = sum(means) / n
    effective = float(n)
    if 0 < p < 1 and n > 1:
        variance = sum((m - p) ** 2 for m in means) / (n - 1)
        most = float(n * num_answers)
        effective = min(most, max(effective, n * p * (1 - p) / variance)) if variance > 0 else most
    return wilson(p * effective, effective)


def ranking_credit(margin: float) -> float:
    """What a pair counts that is ranked by a margin of its better side over the other: 1 right, 0 wrong, a tie 0.5."""
    return (margin > 0) + 0.5 * (margin == 0)


Resample = Callable[[Sequence[float]], Sequence[float]]
"""From values to as many of them, drawn with replacement."""


def resamples(num_values: int, num_resamples: int, seed: int) -> Iterable[Resample]:
    """The same draws whenever the arguments are the same; those of few values are remembered, and drawn only once."""
    draw = _remembered_resamples if num_values <= _MAX_REMEMBERED_VALUES else _resamples
    return draw(num_values, num_resamples, seed)


@lru_cache(4)
def _remembered_resamples(num_values: int, num_resamples: int, seed: int) -> tuple[Resample, ...]:
    return tuple(_resamples(num_values, num_resamples, seed))


def _resamples(num_values: int, num_resamples: int, seed: int) -> Iterator[Resample]:
    rng, places = random.Random(seed), list(range(num_values))  # a list: all draws then share its integers
    for _ in range(num_resamples):
        drawn = rng.choices(places, k=num_values)
        yield itemgetter(*drawn) if num_values > 1 else itemgetter(slice(None))


def percentile_interval(value: float, drawn: Sequence[float]) -> Interval:
    """A value with the middle 95 % of what resampling made of it: `drawn`, not empty, in any order."""
    ordered = sorted(drawn)
    return Interval(value, ordered[int(0.025 * len(ordered))], ordered[int(0.975 * len(ordered))])


def paired_difference(a: Sequence[float], b: Sequence[float], num_resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean of a - b over the same problems, with a percentile bootstrap interval over problems.

    Args:
      a, b: `[num_problems]` outcome per problem (1 right, 0 wrong, or a mean over samples), in the same order.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"paired outcomes need the same problems, at least one; got {len(a)} and {len(b)}")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n = len(differences)
    means = [sum(chosen(differences)) / n for chosen in resamples(n, num_resamples, seed)]
    return percentile_interval(sum(differences) / n, means)


def mean_by_group(values: Mapping[str, float], groups: Mapping[str, str | None]) -> dict[str, float]:
    """Mean of `values` (by problem id) in each group and over "all"; groups in the order of their first problem."""
    sums: dict[str, list[float]] = {}
    for key, value in values.items():
        if (group := groups.get(key)) is not None:
            sums.setdefault(group, []).append(value)
    means = {group: sum(v) / len(v) for group, v in sums.items()}
    if values:
        means["all"] = sum(values.values()) / len(values)
    return means


def precision_and_coverage(
    confidences: Sequence[float], correct: Sequence[bool], threshold: float
) -> tuple[float | None, float]:
    """Among answers whose confidence reaches the threshold: the share that is right, and their share of all answers."""
    kept = [c for p, c in zip(confidences, correct, strict=True) if p >= threshold]
    coverage = len(kept) / len(correct) if correct else 0.0
    return (sum(kept) / len(kept) if kept else None), coverage


ONE_SIDED_95 = 1.644854
"""Standard errors below which 5 % of a normal distribution lie."""


def confidence_threshold(
    confidences: Sequence[float], correct: Sequence[bool], target_precision: float
) -> float | None:
    """The lowest confidence from which answers are shown to be right with at least `target_precision`.

    Shown means: the lower end of the one-sided 95 % Wilson interval reaches the target. The share itself, at the best
    of many thresholds, promises more than holds on other problems.

    Returns:
      The threshold; None where the answers are too often wrong, or too few to show it.
    """
    for threshold in sorted(set(confidences)):
        kept = [c for p, c in zip(confidences, correct, strict=True) if p >= threshold]
        if wilson(sum(kept), len(kept), ONE_SIDED_95).low >= target_precision:
            return threshold
    return None
