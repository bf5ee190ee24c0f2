"""Evaluation rows summed up: one line per benchmark, model, budget and method, with cost, intervals, differences.

The tables that show it are in `rstar_math.report.evaluation_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from rstar_math.config import BudgetSettings
from rstar_math.errors import DataError
from rstar_math.intervals import Cell, paired, share
from rstar_math.metrics import (
    Interval,
    best_of_k,
    maj_at_k,
    paired_difference,
    pass_at_k,
    precision_and_coverage,
    vote_at_k,
    wilson_of_means,
)
from rstar_math.report.schema import Count, Numbers, Share
from rstar_math.search.strategies import STRATEGIES, CandidateKind

FORMAT_VERSION = 1

UNEQUAL = 0.1
"""Methods whose mean tokens generated differ by more than this share are not compared at equal budgets."""

Row = Mapping[str, Any]
"""One result row of `rstar_math.evaluation.rows` (docs/formats.md)."""

_NEEDED = (
    "benchmark",
    "model",
    "strategy",
    "problem",
    "tier",
    "part",
    "seed",
    "correct",
    "tokens_generated",
    "tokens_scored",
    "model_calls",
    "executions",
    "cpu_seconds",
    "seconds",
    "num_trajectories",
)


class Accuracy(Numbers):
    """Share of right answers, with its 95 % interval."""

    num_problems: Count
    accuracy: Interval


class Sure(Numbers):
    """The answers that reach the model's confidence threshold."""

    coverage: Share = Field(description="their share of all answers")
    precision: Share | None = Field(description="share of them that is right; null where there are none")


class Means(Numbers):
    """What one answer costs, on average."""

    tokens_generated: float
    tokens_scored: float
    model_calls: float
    executions: float
    cpu_seconds: float
    seconds: float
    num_trajectories: float
    process_cpu_seconds: float | None = Field(
        default=None, description="of the search processes; null where not measured"
    )

    @property
    def all_cpu_seconds(self) -> float:
        """CPU seconds of search processes (where they were measured), step programs and grading."""
        return self.cpu_seconds + (self.process_cpu_seconds or 0.0)


Curve = dict[int, Share]
"""Share of the problems by number of candidates."""


class Curves(Numbers):
    """What the first candidates alone would have given."""

    pass_at_k: Curve | None = Field(default=None, description="independent samples: one of k is right (unbiased)")
    maj_at_k: Curve | None = Field(default=None, description="independent samples: the majority of k is right")
    best_of_k: Curve | None = Field(
        default=None, description="independent samples: the one of k with the highest value is"
    )
    vote_at_k: Curve | None = Field(
        default=None, description="independent samples: the answer of k with the most value is"
    )
    solved_by_first: Curve | None = Field(
        default=None, description="trees: one of the first N trajectories is right; of problems with fewer, one of all"
    )


class SummaryRow(Numbers):
    """One model with one method on one benchmark at one budget."""

    benchmark: str
    model: str
    strategy: str
    num_problems: Count = Field(description="problems answered")
    num_graded: Count = Field(description="problems that have a reference; accuracy is over these")
    num_seeds: Count = Field(description="answers per problem; the accuracy of a problem is their mean")
    accuracy: Interval | None = Field(
        description="95 %: Wilson; over problems, of which each counts as its mean, where there are several answers; "
        "in a pooled line over models and problems"
    )
    tiers: dict[str, Accuracy]
    parts: dict[str, Accuracy]
    sure: Sure | None = Field(description="null where the model has no threshold for this strategy")
    mean: Means
    difference: Interval | None = Field(
        description="accuracy minus the baseline's on the same problems, paired, 95 %; in a pooled line over models too"
    )
    difference_p: Share | None = Field(
        default=None, description="two-sided p of the difference, over models and problems; null where not pooled"
    )
    difference_to: str | None = Field(description="that baseline; null in its own line")
    num_paired: Count = Field(description="problems that the difference is over")
    method: str
    scorer: str | None = Field(default=None, description="reward model; null where the rows do not name it")
    budget: str = Field(default="", description="limit of one answer; empty without any")
    budget_used: float | None = Field(default=None, ge=0, description="mean share of the limit that was spent")
    is_unequal: bool = Field(
        default=False,
        description="mean tokens generated differ by more than 10 % from the baseline's on the same problems",
    )
    num_models: Count = Field(default=1, description="models of this line; more than one: pooled")
    curves: Curves = Field(default_factory=Curves)
    is_shared: bool = Field(default=False, description="completions were shared between methods: seconds say nothing")
    num_not_reproduced: Count = Field(
        default=0,
        description="trajectories chosen and dropped: run once more, their programs came out otherwise",
    )

    @property
    def label(self) -> str:
        """Method and budget."""
        return f"{self.method}, {self.budget}" if self.budget else self.method

    @property
    def is_off_budget(self) -> bool:
        """Whether less than 90 % or more than 110 % of the limit was spent."""
        return self.budget_used is not None and abs(self.budget_used - 1) > UNEQUAL


class Summary(Numbers):
    """All lines of an evaluation."""

    format: int = FORMAT_VERSION
    rows: tuple[SummaryRow, ...]


def summarise(rows: Iterable[Row], baseline: str | None = None, *, pooled: bool = False) -> Summary:
    """Sums up result rows; lines stand in the order in which benchmarks, models, budgets and methods first appear.

    Args:
      rows: result rows.
      baseline: each method is compared with this one of the same benchmark, model and budget; None, or where it is
        missing: with the first.
      pooled: adds a line over all models for each benchmark, budget and method: the accuracy of a problem is its mean
        over the models, and models and problems are both samples (`rstar_math.intervals`).

    Raises:
      DataError: a row lacks a column, or the same problem was answered twice under one seed.
    """
    groups: dict[_Line, list[Row]] = {}
    for number, row in enumerate(rows, start=1):
        missing = [name for name in _NEEDED if name not in row]
        if missing:
            raise DataError(f"result row {number} has no {', '.join(missing)}; was it written by `rstar eval`?")
        line = _Line(row["benchmark"], row["model"], _budget(row), row.get("method") or row["strategy"])
        groups.setdefault(line, []).append(row)
    num_models = len({line.model for line in groups})
    if pooled and num_models > 1:
        for line, members in list(groups.items()):
            groups.setdefault(line._replace(model=f"all {num_models} models"), []).extend(members)
    places = [list(dict.fromkeys(values)) for values in zip(*groups, strict=True)]
    ordered = sorted(groups, key=lambda line: [place.index(part) for place, part in zip(places, line, strict=True)])
    summary = []
    for line in ordered:
        beside = [other for other in ordered if other[:3] == line[:3]]
        compared = next((other for other in beside if other.method == baseline), beside[0])
        other = groups[compared] if compared != line else None
        summary.append(_summary_row(line, groups[line], compared.method, other))
    return Summary(rows=tuple(summary))


class _Line(NamedTuple):
    """What one line of the summary is about, in the order of sorting."""

    benchmark: str
    model: str
    budget: str
    method: str


def _budget(row: Row) -> str:
    return BudgetSettings.model_validate(row["budget"]).name if row.get("budget") else ""


def _summary_row(line: _Line, rows: Sequence[Row], baseline: str, other: Sequence[Row] | None) -> SummaryRow:
    answers = {(r["problem"], r["seed"], r["model"]) for r in rows}
    if len(answers) < len(rows):
        raise DataError(
            f"{', '.join(part for part in line if part)}: {len(rows) - len(answers)} of {len(rows)} rows answer a "
            "problem again under the same seed; give each run of `rstar eval` an --out of its own"
        )
    outcomes = _outcomes(rows)
    difference, difference_p, both, is_unequal = None, None, list[str](), False
    if other is not None:
        before = _outcomes(other)
        both = sorted(p for p in outcomes if p in before)  # the order in which searches ended must not matter
        if both:
            difference = paired_difference([outcomes[p] for p in both], [before[p] for p in both])
            if _is_pooled(rows):
                models = sorted({r["model"] for r in [*rows, *other]})
                found = paired(_cells(rows, models), _cells(other, models))
                difference, difference_p = found.interval, found.p_value()
            tokens = [_mean([r for r in of if r["problem"] in set(both)], "tokens_generated") for of in (rows, other)]
            is_unequal = abs(tokens[0] - tokens[1]) > UNEQUAL * max(tokens)
    judged = [r for r in rows if r.get("sure") is not None and r["correct"] is not None]
    sure = None
    if judged:
        precision, coverage = precision_and_coverage(
            [float(r["sure"]) for r in judged], [bool(r["correct"]) for r in judged], threshold=1.0
        )
        sure = Sure(coverage=coverage, precision=precision)
    means: dict[str, float | None] = {
        name: _mean(rows, name) for name in Means.model_fields if name != "process_cpu_seconds"
    }
    if all(r.get("process_cpu_seconds") is not None for r in rows):
        means["process_cpu_seconds"] = _mean(rows, "process_cpu_seconds")
    return SummaryRow(
        benchmark=line.benchmark,
        model=line.model,
        strategy=rows[0]["strategy"],
        num_problems=len({r["problem"] for r in rows}),
        num_graded=len(outcomes),
        num_seeds=len({r["seed"] for r in rows}),
        accuracy=_interval(outcomes, rows) if outcomes else None,
        tiers=_accuracies(rows, "tier"),
        parts=_accuracies(rows, "part"),
        sure=sure,
        mean=Means.model_validate(means),
        difference=difference,
        difference_p=difference_p,
        difference_to=baseline if other is not None else None,
        num_paired=len(both),
        method=line.method,
        scorer=rows[0].get("scorer"),
        budget=line.budget,
        budget_used=_budget_used(rows),
        is_unequal=is_unequal,
        num_models=len({r["model"] for r in rows}),
        curves=_curves(rows),
        is_shared=any(r.get("shared") for r in rows),
        num_not_reproduced=sum(r.get("num_not_reproduced", 0) for r in rows),
    )


def _mean(rows: Sequence[Row], column: str) -> float:
    total: float = sum(r[column] for r in rows)
    return total / len(rows)


def _budget_used(rows: Sequence[Row]) -> float | None:
    """Mean share spent of the limit that was used up furthest; None without a limit."""
    spent = {"tokens": "tokens_generated", "rollouts": "num_rollouts", "seconds": "seconds"}
    limits: Mapping[str, float] = rows[0].get("budget") or {}
    return max((_mean(rows, spent[name]) / limit for name, limit in limits.items()), default=None)


def _curves(rows: Sequence[Row]) -> Curves:
    """What the first candidates of each answer give, mean over answers."""
    graded = [r["candidates"] for r in rows if r.get("candidates") is not None and r["correct"] is not None]
    kind = _candidate_kind(rows[0])
    if not graded or kind == "single":
        return Curves()
    counts = [len(c["correct"]) for c in graded]
    if kind == "found":
        return Curves(
            solved_by_first={
                n: sum(any(c["correct"][:n]) for c in graded) / len(graded) for n in _doubling(max(counts))
            }
        )
    # an answer with fewer samples than k says nothing about k, and to leave it out would favour easy problems
    ks = _doubling(min(counts))
    valued = all(v is not None or c is None for r in graded for v, c in zip(r["values"], r["classes"], strict=True))

    def curve(of: Callable[[Row, int], float]) -> Curve | None:
        return {k: sum(of(c, k) for c in graded) / len(graded) for k in ks} or None

    return Curves(
        pass_at_k=curve(lambda c, k: pass_at_k(len(c["correct"]), sum(c["correct"]), k)),
        maj_at_k=curve(lambda c, k: maj_at_k(c["classes"], c["correct"], k)),
        best_of_k=curve(lambda c, k: best_of_k(c["values"], c["correct"], k)) if valued else None,
        vote_at_k=curve(lambda c, k: vote_at_k(c["classes"], [v or 0.0 for v in c["values"]], c["correct"], k))
        if valued
        else None,
    )


def _candidate_kind(row: Row) -> CandidateKind:
    """What the candidates of a row are; rows written before they said so are known by their strategy's name."""
    known = STRATEGIES.get(row["strategy"])
    kind: CandidateKind = row.get("candidate_kind") or (known.candidates if known else "found")
    return kind


def _doubling(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`."""
    return [1 << i for i in range(most.bit_length())] if most else []


def _outcomes(rows: Sequence[Row]) -> dict[str, float]:
    """Mean outcome by problem over its seeds and models; problems without a reference are left out."""
    found: dict[str, list[bool]] = {}
    for row in sorted(rows, key=lambda r: (r["problem"], r["seed"])):
        if row["correct"] is not None:
            found.setdefault(row["problem"], []).append(row["correct"])
    return {problem: sum(outcomes) / len(outcomes) for problem, outcomes in found.items()}


def _is_pooled(rows: Sequence[Row]) -> bool:
    return len({r["model"] for r in rows}) > 1


def _cells(rows: Sequence[Row], models: Sequence[str]) -> dict[Cell, float]:
    """Mean outcome of each problem under each model of a pooled line, by the model's place among `models`."""
    by_model: dict[int, list[Row]] = {}
    for row in rows:
        by_model.setdefault(models.index(row["model"]), []).append(row)
    return {(model, problem): value for model, of in by_model.items() for problem, value in _outcomes(of).items()}


def _interval(outcomes: Mapping[str, float], rows: Sequence[Row]) -> Interval:
    if _is_pooled(rows):
        found = share(_cells(rows, sorted({r["model"] for r in rows})))
        assert found is not None, "there are outcomes"
        return found
    return wilson_of_means(list(outcomes.values()), len({(r["seed"], r["model"]) for r in rows}))


def _accuracies(rows: Sequence[Row], column: str) -> dict[str, Accuracy]:
    found = {}
    for name in sorted({r[column] for r in rows if r[column] is not None}):
        members = [r for r in rows if r[column] == name]
        outcomes = _outcomes(members)
        if outcomes:
            found[name] = Accuracy(num_problems=len(outcomes), accuracy=_interval(outcomes, members))
    return found
