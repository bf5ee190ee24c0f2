"""Whether a claim holds, decided by intervals over training seeds and problems. Pure.

A claim is a list of differences that should be positive. It holds where all of them are shown to be, it does not hold
where one is shown to be negative, and is within noise otherwise. Shown means p of at most 0.05, two-sided, corrected
for the number of claims that the same table makes (Holm). A table that makes many may name a few of them primary in
its code, before it is measured: these are corrected for their own number, and so are the others.
`rstar_math.intervals` says what p is of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from rstar_math.intervals import LEVEL, Cell, Estimate, Statistic, estimate, holm, paired, share
from rstar_math.metrics import Interval

Verdict = Literal["holds", "does not hold", "within noise", "not measured"]

Row = Mapping[str, Any]
"""One result row of `rstar_math.evaluation.rows`."""

NO_WORSE = 0.02
"""The margin where a claim says "no worse": a loss of fewer points does not count."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One difference that a claim says is positive.

    Attributes:
      label: what is compared.
      estimate: of the difference.
    """

    label: str
    estimate: Estimate

    @property
    def difference(self) -> Interval:
        """The difference with its 95 % interval, corrected for nothing."""
        return self.estimate.interval

    @property
    def by_seed(self) -> Mapping[int, float]:
        """The same difference under each training seed alone."""
        return self.estimate.by_seed


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper.

    Attributes:
      text: as one sentence.
      evidence: all of it must be positive; empty where nothing could be measured.
      note: what a reader must know to judge it, or "".
      margin: None, or the claim is another one: one of the differences at least is positive, and none lies below
        -`margin`.
      may_be_level: with a margin, none need be positive: the claim is "no worse" alone.
      primary: whether it is one of the few that the table stands or falls with.
    """

    text: str
    evidence: tuple[Evidence, ...]
    note: str = ""
    margin: float | None = None
    may_be_level: bool = False
    primary: bool = False

    @property
    def p_holds(self) -> float:
        """p of the claim being wrong: the largest of its differences, all of which must be shown (Berger 1982).

        With a margin, the smallest of the differences, corrected for their number, and the largest of the margins;
        the latter alone where all may be level.
        """
        found = [e.estimate for e in self.evidence]
        if not found:
            return 1.0
        if self.margin is None:
            return max(e.p_above() for e in found)
        no_worse = max(e.p_above(-self.margin) for e in found)
        return no_worse if self.may_be_level else max(no_worse, min(holm([e.p_above() for e in found])))

    @property
    def p_fails(self) -> float:
        """p of the claim being right: the smallest of its differences, corrected for their number."""
        return min(holm([e.estimate.p_below(-(self.margin or 0.0)) for e in self.evidence]), default=1.0)

    @property
    def p(self) -> float:
        """The smaller one of both: what is corrected for the number of claims."""
        return min(self.p_holds, self.p_fails)

    @property
    def method(self) -> str:
        """What its intervals and p are of."""
        return "; ".join(dict.fromkeys(e.estimate.method for e in self.evidence))


@dataclass(frozen=True, slots=True)
class Decision:
    """A claim, decided beside the other claims of its table.

    Attributes:
      claim: it.
      verdict: of it.
      p: corrected by Holm.
      num_claims: that the correction is over: all of the table, or its primary ones, or the others.
    """

    claim: Claim
    verdict: Verdict
    p: float
    num_claims: int


def decided(claims: Sequence[Claim]) -> tuple[Decision, ...]:
    """Every claim of a table with its verdict.

    The chance of one wrong verdict among the primary claims is 5 % at most, and so is it among the others.
    """
    corrected: dict[int, float] = {}
    sizes = {}
    for primary in (True, False):
        measured = [claim for claim in claims if claim.evidence and claim.primary is primary]
        corrected |= zip(map(id, measured), holm([claim.p for claim in measured]), strict=True)
        sizes[primary] = len(measured)
    found = []
    for claim in claims:
        p = corrected.get(id(claim), 1.0)
        verdict: Verdict = "within noise" if claim.evidence else "not measured"
        if claim.evidence and p <= 1 - LEVEL:
            verdict = "holds" if claim.p_holds <= claim.p_fails else "does not hold"
        found.append(Decision(claim, verdict, p, sizes[claim.primary]))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing measured under every training seed: a policy, a system, a method at a budget.

    Attributes:
      label: what tables call it.
      rows: result rows by training seed; seeds may have the same problems or problems of their own.
    """

    label: str
    rows: Mapping[int, Sequence[Row]]

    def cells(self, tier: str | None = None, score: Callable[[Row], float] | None = None) -> dict[Cell, float]:
        """Outcome of each problem under each seed; problems without a reference are left out.

        Args:
          tier: of this tier alone.
          score: what an answer is worth in [0, 1]; None: 1 where it is right.
        """
        return {
            (seed, row["problem"]): float(row["correct"]) if score is None else score(row)
            for seed, rows in self.rows.items()
            for row in rows
            if row["correct"] is not None and tier in (None, row["tier"])
        }

    def outcomes(self, tier: str | None = None, score: Callable[[Row], float] | None = None) -> dict[str, float]:
        """Mean outcome of each problem over the seeds that answered it, in the order of ids; arguments as `cells`."""
        found: dict[str, list[float]] = {}
        for (_, problem), value in self.cells(tier, score).items():
            found.setdefault(problem, []).append(value)
        return {problem: mean(found[problem]) for problem in sorted(found)}

    def accuracy(self, tier: str | None = None) -> Interval | None:
        """Accuracy with its 95 % interval over seeds and problems; None where no problem has a reference."""
        return share(self.cells(tier))

    def accuracy_by_seed(self) -> dict[int, float]:
        """Accuracy under each seed alone."""
        found: dict[int, list[float]] = {seed: [] for seed in self.rows}
        for (seed, _), value in self.cells().items():
            found[seed].append(value)
        return {seed: mean(values) for seed, values in found.items()}

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


def compare(
    better: Measured,
    worse: Measured,
    tier: str | None = None,
    score: Callable[[Row], float] | None = None,
    worse_score: Callable[[Row], float] | None = None,
    label: str | None = None,
) -> Evidence:
    """The paired difference of two measurements, over the seeds and problems that both have.

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
    found = paired(better.cells(tier, score), worse.cells(tier, worse_score or score))
    return Evidence(label or f"{better.label} - {worse.label}", found)


def combined(
    label: str, parts: Sequence[tuple[Measured, Callable[[Row], float] | None]], statistic: Statistic
) -> Evidence:
    """A statistic of the means of several measurements, that should be positive.

    Args:
      label: what is compared.
      parts: `[K]` measurements, and what an answer of each is worth; None: 1 where it is right. What not all of them
        measured is left out.
      statistic: from the K means to a number.

    Raises:
      ValueError: no problem is in all of them.
    """
    columns = [measured.cells(score=score) for measured, score in parts]
    return Evidence(label, estimate(beside(columns), statistic))


def beside(columns: Sequence[Mapping[Cell, float]]) -> dict[Cell, list[float]]:
    """`[K]` values of each cell that all of K columns have."""
    return {cell: [column[cell] for column in columns] for cell in columns[0] if all(cell in c for c in columns)}


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
