"""Intervals and tests where training seeds and problems are both a sample. Pure.

The same recipe under another seed gives another model, and the same models on other problems give another figure. An
interval that resamples problems alone says nothing of the first; one that resamples three seeds is far too narrow,
because three draws hold too little of the spread. Here the variance of a statistic is taken from the jackknife over
clusters in two ways (Cameron, Gelbach & Miller 2011; MacKinnon, Nielsen & Webb 2024):

    variance = seeds left out one by one + problems left out one by one - single cells left out one by one

and the interval is one of Student's t with Satterthwaite's degrees of freedom. Where each seed has problems of its own
the last two terms cancel, and what is left is the t-interval over seeds. No interval is narrower than the one over
problems alone. `perf/intervals.py` shows the coverage with 3 and 5 seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rstar_math.metrics import Interval, wilson

Cell = tuple[int, str]
"""A training seed (or the number of a model) and a problem."""

Statistic = Callable[[Sequence[float]], float]
"""From the means of K columns to a number."""

LEVEL = 0.95
"""Confidence of every interval, and 1 - the largest p that decides."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with what is known of its chance.

    Attributes:
      value: over all cells.
      error: standard error, with seeds and problems as samples; with one seed that over problems.
      freedom: Satterthwaite's degrees of freedom of `error`, >= 1.
      problem_error: standard error over problems alone, the seeds taken as they are.
      num_seeds, num_problems: in the cells.
      by_seed: the statistic under each seed alone.
    """

    value: float
    error: float
    freedom: float
    problem_error: float
    num_seeds: int
    num_problems: int
    by_seed: Mapping[int, float] = field(default_factory=dict)

    @property
    def interval(self) -> Interval:
        """With 95 % confidence: the wider one of that over both and that over problems alone."""
        half = max(_quantile(freedom) * error for error, freedom in self._scales())
        return Interval(self.value, self.value - half, self.value + half)

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided p of the statistic being `null`; at most 0.05 exactly where `interval` leaves `null` out."""
        distance = abs(self.value - null)
        return max(2 * _tail(distance / error, freedom) for error, freedom in self._scales())

    def p_above(self, null: float = 0.0) -> float:
        """The same where the statistic lies above `null`, and 1 where it does not."""
        return self.p_value(null) if self.value > null else 1.0

    def p_below(self, null: float = 0.0) -> float:
        """The same where it lies below."""
        return self.p_value(null) if self.value < null else 1.0

    @property
    def method(self) -> str:
        """What the interval and p are of, in a few words."""
        return "t over problems, one seed" if self.num_seeds == 1 else f"t over {self.num_seeds} seeds and problems"

    def _scales(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (self.error, self.freedom), (self.problem_error, max(1.0, self.num_problems - 1))


def first(means: Sequence[float]) -> float:
    """The mean of the first column."""
    return means[0]


def difference(means: Sequence[float]) -> float:
    """The mean of the first column minus that of the second."""
    return means[0] - means[1]


def ratio(means: Sequence[float]) -> float:
    """The first column as a share of the second; 0 of nothing."""
    return means[0] / means[1] if means[1] else 0.0


def estimate(cells: Mapping[Cell, Sequence[float]], statistic: Statistic = first) -> Estimate:
    """A statistic of means over cells, with seeds and problems as samples.

    Args:
      cells: `[K]` values of every cell that was measured; seeds may share their problems, have their own, or both.
      statistic: from the K means over cells to a number; it must be defined where a seed or a problem is left out.

    Raises:
      ValueError: there are no cells.
    """
    if not cells:
        raise ValueError("no cells: no problem is in all measurements")
    ordered = sorted(cells)  # sums must not hang on the order in which searches ended
    rows = [cells[cell] for cell in ordered]
    totals = _sums(rows)
    n = len(rows)
    value = statistic([total / n for total in totals])
    seeds, problems = _groups(ordered, rows, 0), _groups(ordered, rows, 1)

    def left_out(groups: Iterable[tuple[Sequence[float], int]]) -> float:
        listed = list(groups)
        if len(listed) < 2:
            return 0.0
        values = [statistic([(t - s) / (n - m) for t, s in zip(totals, sums, strict=True)]) for sums, m in listed]
        return (len(values) - 1) / len(values) * sum((v - value) ** 2 for v in values)

    # one outcome in n that differs is the least that n outcomes can tell from none
    over_problems = max(left_out(problems.values()), 1 / n**2)
    by_seed = {int(seed): statistic([s / m for s in sums]) for seed, (sums, m) in seeds.items()}
    if len(seeds) == 1:
        error, freedom = math.sqrt(over_problems), max(1.0, len(problems) - 1)
    else:
        of_seeds, of_problems = left_out(seeds.values()), 0.0
        if len(problems) < n:  # some problem was met under several seeds
            of_problems = max(0.0, over_problems - left_out((row, 1) for row in rows))
        variance = of_seeds + of_problems
        error = math.sqrt(variance) or 1 / n
        spread = of_seeds**2 / (len(seeds) - 1) + of_problems**2 / max(1, len(problems) - 1)
        freedom = variance**2 / spread if spread else len(seeds) - 1.0
    return Estimate(value, error, freedom, math.sqrt(over_problems), len(seeds), len(problems), by_seed)


def paired(a: Mapping[Cell, float], b: Mapping[Cell, float], statistic: Statistic = difference) -> Estimate:
    """The mean difference of two measurements, over the cells that both have.

    Raises:
      ValueError: no cell is in both.
    """
    return estimate({cell: (a[cell], b[cell]) for cell in a if cell in b}, statistic)


def share(cells: Mapping[Cell, float]) -> Interval | None:
    """A mean of outcomes in [0, 1], with an interval that stays there: Wilson's, of as many answers as the cells weigh.

    Answers under one seed, and answers to one problem, resemble each other: they count as so many independent ones as
    would give the mean its variance (Korn & Graubard 1998), with t in place of 1.96. One answer to each problem under
    one seed gives the plain Wilson interval.

    Args:
      cells: outcome of each cell.

    Returns:
      None of no cells.
    """
    if not cells:
        return None
    found = estimate({cell: (value,) for cell, value in cells.items()})
    n, p = len(cells), found.value
    if not 0 < p < 1:
        return wilson(p * found.num_problems, found.num_problems)
    weight = p * (1 - p) * n / max(1, n - 1)
    over_problems = weight / found.problem_error**2
    parts = [wilson(p * over_problems, over_problems)]
    if found.num_seeds > 1:
        over_both = weight / found.error**2
        parts.append(wilson(p * over_both, over_both, _quantile(found.freedom)))
    return Interval(p, min(part.low for part in parts), max(part.high for part in parts))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979): one false decision among all of them in 5 % at most.

    Args:
      p_values: `[M]`, of any dependence.

    Returns:
      `[M]` corrected ones in the same order, at most 1.
    """
    corrected = [1.0] * len(p_values)
    most = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = most
    return corrected


def _tail(t: float, freedom: float) -> float:
    """Share of Student's t above `t`."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))


def _quantile(freedom: float) -> float:
    """What the middle `LEVEL` of Student's t lies below."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def _groups(
    cells: Sequence[Cell], rows: Sequence[Sequence[float]], place: int
) -> dict[int | str, tuple[list[float], int]]:
    """Sums of the K columns and the number of cells, by seed (place 0) or problem (place 1)."""
    members: dict[int | str, list[Sequence[float]]] = {}
    for cell, row in zip(cells, rows, strict=True):
        members.setdefault(cell[place], []).append(row)
    return {key: (_sums(of), len(of)) for key, of in members.items()}


def _sums(rows: Sequence[Sequence[float]]) -> list[float]:
    return [math.fsum(column) for column in zip(*rows, strict=True)]
