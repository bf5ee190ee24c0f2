"""Whether a claim holds, decided by intervals over problems. Pure.

A claim is a list of differences that should be positive. It holds where every interval lies above zero, it does not
hold where one lies below, and is within noise otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from rstar_math.metrics import Interval, paired_difference, percentile_interval, resamples, wilson

Verdict = Literal["holds", "does not hold", "within noise"]

Outcomes = Mapping[str, float]
"""Problem id -> share of its answers that are right, in [0, 1]."""

Row = Mapping[str, Any]
"""One result row of `rstar_math.evaluation.rows`."""

NUM_RESAMPLES = 2000
"""Draws of a bootstrap."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One difference that a claim says is positive.

    Attributes:
      label: what is compared.
      difference: with its 95 % interval over problems.
      by_seed: the same difference under each training seed alone.
    """

    label: str
    difference: Interval
    by_seed: Mapping[int, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        if self.difference.low > 0:
            return "holds"
        return "does not hold" if self.difference.high < 0 else "within noise"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper.

    Attributes:
      text: as one sentence.
      evidence: all of it must be positive; empty where nothing could be measured.
      note: what a reader must know to judge it, or "".
    """

    text: str
    evidence: tuple[Evidence, ...]
    note: str = ""

    @property
    def verdict(self) -> Verdict | Literal["not measured"]:
        if not self.evidence:
            return "not measured"
        verdicts = [e.verdict for e in self.evidence]
        if "does not hold" in verdicts:
            return "does not hold"
        return "within noise" if "within noise" in verdicts else "holds"


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing measured under every training seed: a policy, a system, a method at a budget.

    Attributes:
      label: what tables call it.
      rows: result rows by training seed; seeds may have the same problems or problems of their own.
    """

    label: str
    rows: Mapping[int, Sequence[Row]]

    def outcomes(self, tier: str | None = None, score: Callable[[Row], float] | None = None) -> dict[str, float]:
        """Mean outcome of each problem over the seeds that answered it; problems without a reference are left out.

        Problems are in the order of their ids: rows come in the order in which searches ended, and the draws of a
        bootstrap must not hang on that.

        Args:
          tier: of this tier alone.
          score: what an answer is worth in [0, 1]; None: 1 where it is right.
        """
        found: dict[str, list[float]] = {}
        for rows in self.rows.values():
            for row in rows:
                if row["correct"] is not None and tier in (None, row["tier"]):
                    value = float(row["correct"]) if score is None else score(row)
                    found.setdefault(row["problem"], []).append(value)
        return {problem: mean(found[problem]) for problem in sorted(found)}

    def of_seed(self, seed: int) -> Measured:
        """What one seed measured."""
        return Measured(self.label, {seed: self.rows[seed]})

    def accuracy(self, tier: str | None = None) -> Interval | None:
        """Accuracy with its 95 % interval over problems: Wilson for single answers, bootstrap for means over seeds."""
        return interval_of(self.outcomes(tier))

    def accuracy_by_seed(self) -> dict[int, float]:
        """Accuracy under each seed alone."""
        return {seed: mean(self.of_seed(seed).outcomes().values()) for seed in self.rows}

    def tiers(self) -> list[str]:
        """Tiers of the problems, in the order of their names."""
        return sorted({row["tier"] for rows in self.rows.values() for row in rows if row["tier"] is not None})

    def mean(self, column: str) -> float | None:
        """Mean of a column over all rows; None where a row has none."""
        values = [row.get(column) for rows in self.rows.values() for row in rows]
        return None if not values or any(v is None for v in values) else mean(values)


def mean(values: Any) -> float:
    """Mean of an iterable of numbers; 0 of none."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def interval_of(outcomes: Outcomes) -> Interval | None:
    """Mean outcome with its 95 % interval over problems; None of none."""
    values = list(outcomes.values())
    if not values:
        return None
    if all(v in (0.0, 1.0) for v in values):
        return wilson(round(sum(values)), len(values))
    return paired_difference(values, [0.0] * len(values))


def compare(
    better: Measured,
    worse: Measured,
    tier: str | None = None,
    score: Callable[[Row], float] | None = None,
    worse_score: Callable[[Row], float] | None = None,
    label: str | None = None,
) -> Evidence:
    """The paired difference of two measurements on the problems that both have.

    Args:
      better: should be higher.
      worse: should be lower.
      tier: of this tier alone.
      score: what an answer of `better` is worth; None: 1 where it is right.
      worse_score: the same of `worse`; None: as `score`.
      label: None: "better - worse".

    Raises:
      ValueError: no problem is in both.
    """
    worse_score = worse_score or score
    by_seed = {}
    for seed in better.rows:
        if seed in worse.rows:
            values = _paired(
                better.of_seed(seed).outcomes(tier, score), worse.of_seed(seed).outcomes(tier, worse_score)
            )
            by_seed[seed] = mean(a - b for a, b in zip(*values, strict=True))
    values = _paired(better.outcomes(tier, score), worse.outcomes(tier, worse_score))
    return Evidence(label or f"{better.label} - {worse.label}", paired_difference(*values), by_seed)


def combined(
    label: str,
    parts: Sequence[tuple[Measured, Callable[[Row], float] | None]],
    statistic: Callable[[Sequence[float]], float],
) -> Evidence:
    """A statistic of the means of several measurements on the same problems, that should be positive.

    Args:
      label: what is compared.
      parts: `[K]` measurements, and what an answer of each is worth; None: 1 where it is right.
      statistic: from the K means to a number.

    Raises:
      ValueError: no problem is in all of them.
    """
    seeds = [s for s in parts[0][0].rows if all(s in measured.rows for measured, _ in parts)]
    return Evidence(
        label,
        bootstrap([measured.outcomes(score=score) for measured, score in parts], statistic),
        {s: statistic([mean(m.of_seed(s).outcomes(score=score).values()) for m, score in parts]) for s in seeds},
    )


def _paired(a: Outcomes, b: Outcomes) -> tuple[list[float], list[float]]:
    both = [problem for problem in a if problem in b]
    return [a[p] for p in both], [b[p] for p in both]


def rises(label: str, measured: Sequence[Measured], tier: str | None = None) -> tuple[Claim, Claim]:
    """Two claims on a series: its end lies above its start; and every step goes up."""
    steps = [
        compare(after, before, tier, label=f"{after.label} - {before.label}") for before, after in pairwise(measured)
    ]
    whole = compare(measured[-1], measured[0], tier, label=f"{measured[-1].label} - {measured[0].label}")
    first, last = measured[0].label, measured[-1].label
    return (
        Claim(f"{label}: {last} lies above {first}", (whole,)),
        Claim(f"{label}: every step from {first} to {last} goes up", tuple(steps)),
    )


def bootstrap(tables: Sequence[Outcomes], statistic: Callable[[Sequence[float]], float], seed: int = 0) -> Interval:
    """A statistic of several means over the same problems, with its percentile bootstrap interval over problems.

    Args:
      tables: `[K]` outcomes; problems that not all of them have are left out.
      statistic: from the K means to a number.
      seed: of the resampling.

    Raises:
      ValueError: no problem is in all of them.
    """
    problems = sorted(p for p in tables[0] if all(p in table for table in tables))
    if not problems:
        raise ValueError("no problem is in all measurements")
    columns = [[table[p] for p in problems] for table in tables]  # [K][P]
    n = len(problems)
    drawn = [statistic([sum(chosen(column)) / n for column in columns]) for chosen in resamples(n, NUM_RESAMPLES, seed)]
    return percentile_interval(statistic([sum(column) / n for column in columns]), drawn)
