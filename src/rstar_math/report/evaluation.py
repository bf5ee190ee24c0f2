"""Evaluation rows summed up: one line per benchmark, model and strategy, with cost, intervals, paired differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from rstar_math.errors import DataError
from rstar_math.metrics import Interval, paired_difference, precision_and_coverage, wilson
from rstar_math.report.schema import Count, Numbers, Share
from rstar_math.report.table import (
    NONE,
    Column,
    TextTable,
    count,
    percent,
    points,
    seconds,
    to_markdown,
    to_rich,
    wide_enough,
)
from rstar_math.store.files import write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

FORMAT_VERSION = 1

Row = Mapping[str, Any]
"""One result row of `rstar_math.evaluate` (docs/formats.md)."""

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


class SummaryRow(Numbers):
    """One model with one strategy on one benchmark."""

    benchmark: str
    model: str
    strategy: str
    num_problems: Count = Field(description="problems answered")
    num_graded: Count = Field(description="problems that have a reference; accuracy is over these")
    num_seeds: Count = Field(description="answers per problem; the accuracy of a problem is their mean")
    accuracy: Interval | None = Field(description="95 %: Wilson, or bootstrap over problems where num_seeds > 1")
    tiers: dict[str, Accuracy]
    parts: dict[str, Accuracy]
    sure: Sure | None = Field(description="null where the model has no threshold for this strategy")
    mean: Means
    difference: Interval | None = Field(description="accuracy minus the first strategy's on the same problems, paired")
    difference_to: str | None = Field(description="that first strategy; null in its own line")
    num_paired: Count = Field(description="problems that the difference is over")


class Summary(Numbers):
    """All lines of an evaluation."""

    format: int = FORMAT_VERSION
    rows: tuple[SummaryRow, ...]


def summarise(rows: Iterable[Row]) -> Summary:
    """Sums up result rows; lines stand in the order in which (benchmark, model, strategy) first appear.

    Each strategy is compared with the first strategy of the same benchmark and model.

    Raises:
      DataError: a row lacks a column, or the same problem was answered twice under one seed.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for number, row in enumerate(rows, start=1):
        missing = [name for name in _NEEDED if name not in row]
        if missing:
            raise DataError(f"result row {number} has no {', '.join(missing)}; was it written by `rstar eval`?")
        groups.setdefault((row["benchmark"], row["model"], row["strategy"]), []).append(row)
    first: dict[tuple[str, str], str] = {}
    summary = []
    for (benchmark, model, strategy), members in groups.items():
        compared = first.setdefault((benchmark, model), strategy)
        other = groups[benchmark, model, compared] if compared != strategy else None
        summary.append(_summary_row(benchmark, model, strategy, members, compared, other))
    return Summary(rows=tuple(summary))


def _summary_row(
    benchmark: str, model: str, strategy: str, rows: Sequence[Row], first: str, other: Sequence[Row] | None
) -> SummaryRow:
    answers = {(r["problem"], r["seed"]) for r in rows}
    if len(answers) < len(rows):
        raise DataError(
            f"{benchmark}, {model}, {strategy}: {len(rows) - len(answers)} of {len(rows)} rows answer a problem again "
            "under the same seed; give each run of `rstar eval` an --out of its own"
        )
    outcomes = _outcomes(rows)
    difference, paired = None, list[str]()
    if other is not None:
        before = _outcomes(other)
        paired = [p for p in outcomes if p in before]
        if paired:
            difference = paired_difference([outcomes[p] for p in paired], [before[p] for p in paired])
    judged = [r for r in rows if r.get("sure") is not None and r["correct"] is not None]
    sure = None
    if judged:
        precision, coverage = precision_and_coverage(
            [float(r["sure"]) for r in judged], [bool(r["correct"]) for r in judged], threshold=1.0
        )
        sure = Sure(coverage=coverage, precision=precision)
    return SummaryRow(
        benchmark=benchmark,
        model=model,
        strategy=strategy,
        num_problems=len({r["problem"] for r in rows}),
        num_graded=len(outcomes),
        num_seeds=len({r["seed"] for r in rows}),
        accuracy=_interval(outcomes, rows) if outcomes else None,
        tiers=_accuracies(rows, "tier"),
        parts=_accuracies(rows, "part"),
        sure=sure,
        mean=Means(**{name: sum(r[name] for r in rows) / len(rows) for name in Means.model_fields}),
        difference=difference,
        difference_to=first if other is not None else None,
        num_paired=len(paired),
    )


def _outcomes(rows: Sequence[Row]) -> dict[str, float]:
    """Mean outcome by problem over its seeds; problems without a reference are left out."""
    found: dict[str, list[bool]] = {}
    for row in sorted(rows, key=lambda r: (r["problem"], r["seed"])):
        if row["correct"] is not None:
            found.setdefault(row["problem"], []).append(row["correct"])
    return {problem: sum(outcomes) / len(outcomes) for problem, outcomes in found.items()}


def _interval(outcomes: Mapping[str, float], rows: Sequence[Row]) -> Interval:
    values = list(outcomes.values())
    if len({r["seed"] for r in rows}) > 1:  # means over seeds are no counts: Wilson does not hold
        return paired_difference(values, [0.0] * len(values))
    return wilson(round(sum(values)), len(values))


def _accuracies(rows: Sequence[Row], column: str) -> dict[str, Accuracy]:
    found = {}
    for name in sorted({r[column] for r in rows if r[column] is not None}):
        members = [r for r in rows if r[column] == name]
        outcomes = _outcomes(members)
        if outcomes:
            found[name] = Accuracy(num_problems=len(outcomes), accuracy=_interval(outcomes, members))
    return found


def summary_table(summary: Summary) -> TextTable:
    """Accuracy and difference of every line."""
    rows = [
        (
            *_heading(summary, i),
            count(r.num_graded),
            _percent_interval(r.accuracy),
            NONE if r.difference is None else _points_interval(r.difference),
        )
        for i, r in enumerate(summary.rows)
    ]
    columns = (*_HEADING, Column("problems"), Column("accuracy, %"), Column("over the first strategy"))
    note = "95 % intervals: Wilson; differences are paired over the same problems, bootstrap."
    return TextTable("Accuracy", columns, tuple(rows), note=note, sections=_sections(summary))


def cost_table(summary: Summary) -> TextTable:
    """What one answer costs, on average, in every line."""
    rows = [
        (
            *_heading(summary, i),
            count(r.mean.tokens_generated),
            count(r.mean.tokens_scored),
            f"{r.mean.model_calls:.1f}",
            f"{r.mean.executions:.1f}",
            seconds(r.mean.cpu_seconds),
            seconds(r.mean.seconds),
        )
        for i, r in enumerate(summary.rows)
    ]
    columns = (
        *_HEADING,
        Column("generated", "tokens"),
        Column("scored", "tokens"),
        Column("calls", "model"),
        Column("executions"),
        Column("CPU", "seconds"),
        Column("wall", "seconds"),
    )
    note = "CPU seconds: executing and grading. Wall seconds: of one answer, many of which run side by side."
    return TextTable("Cost of one answer, mean", columns, tuple(rows), note=note, sections=_sections(summary))


def groups_table(summary: Summary, by: str) -> TextTable | None:
    """Accuracy by "tier" or by "part"; None where no row names any."""
    tables = [r.tiers if by == "tier" else r.parts for r in summary.rows]
    names = sorted({name for t in tables for name in t})
    if not names:
        return None
    rows = []
    for i, found in enumerate(tables):
        cells = [percent(found[name].accuracy.value) if name in found else NONE for name in names]
        sizes = [str(found[name].num_problems) if name in found else "0" for name in names]
        rows.append((*_heading(summary, i), *cells, " / ".join(sizes)))
    columns = (*_HEADING, *(Column(n) for n in names), Column("problems"))
    return TextTable(f"Accuracy by {by}, %", columns, tuple(rows), sections=_sections(summary))


_HEADING = (Column("benchmark", is_text=True), Column("model", is_text=True), Column("strategy", is_text=True))


def _heading(summary: Summary, i: int) -> tuple[str, str, str]:
    """Benchmark, model and strategy of a line; what the line above says is not said again."""
    row = summary.rows[i]
    same = i > 0 and (summary.rows[i - 1].benchmark, summary.rows[i - 1].model) == (row.benchmark, row.model)
    return ("", "", row.strategy) if same else (row.benchmark, row.model, row.strategy)


def _sections(summary: Summary) -> tuple[int, ...]:
    names = [(r.benchmark, r.model) for r in summary.rows]
    return tuple(i for i in range(len(names) - 1) if names[i] != names[i + 1])


def sure_lines(summary: Summary) -> list[str]:
    """What the confidence threshold gave, as text."""
    lines = []
    for r in summary.rows:
        if r.sure is not None:
            right = "" if r.sure.precision is None else f", of which {percent(r.sure.precision)} % are right"
            lines.append(
                f"{r.benchmark}, {r.model}, {r.strategy}: sure of {percent(r.sure.coverage)} % of the answers{right}."
            )
    return lines


def evaluation_tables(summary: Summary) -> list[TextTable]:
    """All tables of an evaluation, in the order in which they are read."""
    from rstar_math.report.benchmarks import benchmark_tables

    found = (
        *benchmark_tables(summary),
        summary_table(summary),
        groups_table(summary, "tier"),
        groups_table(summary, "part"),
        cost_table(summary),
    )
    return [table for table in found if table is not None]


def print_evaluation(console: Console, rows: Iterable[Row]) -> None:
    """Prints the tables of an evaluation."""
    summary = summarise(rows)
    with wide_enough(console):
        for table in evaluation_tables(summary):
            console.print(to_rich(table))
            console.print()
    for line in sure_lines(summary):
        console.print(line, markup=False, highlight=False)


def summary_markdown(summary: Summary) -> str:
    """The tables of an evaluation as Markdown."""
    return "\n".join([*(to_markdown(t) for t in evaluation_tables(summary)), *sure_lines(summary)])


def write_evaluation(folder: Path, rows: Iterable[Row]) -> None:
    """Writes `summary.json` and `summary.md`, each whole or not at all."""
    summary = summarise(rows)
    write_json(folder / "summary.json", json.loads(summary.model_dump_json()))
    write_text(folder / "summary.md", summary_markdown(summary))


def _percent_interval(value: Interval | None) -> str:
    return NONE if value is None else f"{percent(value.value)} [{percent(value.low)}, {percent(value.high)}]"


def _points_interval(value: Interval) -> str:
    return f"{points(value.value)} [{points(value.low)}, {points(value.high)}]"
