"""Tables of an evaluation, and its files: `summary.json`, `summary.md`, `accuracy.png`. Nothing is computed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rstar_math.metrics import Interval
from rstar_math.report.evaluation import Accuracy, Curve, Summary, SummaryRow
from rstar_math.report.table import (
    NONE,
    Column,
    TextTable,
    count,
    percent,
    points,
    seconds,
    to_markdown,
)
from rstar_math.report.terminal import print_table
from rstar_math.store.files import replacing, write_json, write_text

if TYPE_CHECKING:
    from rstar_math.terminal.console import Console

_UNEQUAL, _OFF_BUDGET = "*", "†"
_FEW_METHODS = 3


_TIME: dict[Column, Callable[[SummaryRow], str]] = {
    Column("CPU", "seconds"): lambda r: NONE if r.is_shared else seconds(r.mean.all_cpu_seconds),
    Column("wall", "seconds"): lambda r: NONE if r.is_shared else seconds(r.mean.seconds),
}


def summary_tables(summary: Summary) -> list[TextTable]:
    """Accuracy, difference to the baseline and cost of every line, one table for each budget.

    With more than a few methods each benchmark and model has tables of its own.
    """
    apart = len({r.method for r in summary.rows}) > _FEW_METHODS
    tables: dict[tuple[str, ...], list[SummaryRow]] = {}
    for row in summary.rows:
        key = (row.benchmark, row.model, row.budget) if apart else (row.budget,)
        tables.setdefault(key, []).append(row)
    return [_summary_table(lines) for lines in tables.values()]


def _summary_table(lines: Sequence[SummaryRow]) -> TextTable:
    sizes = {r.num_graded for r in lines}
    heading = _Heading("Accuracy" if len(sizes) > 1 else f"Accuracy on {max(sizes)} problems", lines)
    baselines = {r.difference_to for r in lines} - {None}
    cells: dict[Column, Callable[[SummaryRow], str]] = {}
    if len(sizes) > 1:
        cells[Column("problems")] = lambda r: count(r.num_graded)
    cells |= {
        Column("accuracy, %"): lambda r: _percent_interval(r.accuracy),
        Column(f"over {next(iter(baselines))}" if len(baselines) == 1 else "over the baseline"): _difference,
        Column("generated", "tokens"): lambda r: count(r.mean.tokens_generated) + _OFF_BUDGET * r.is_off_budget,
        Column("scored", "tokens"): lambda r: count(r.mean.tokens_scored),
    } | _TIME
    notes = ["95 % intervals: Wilson; differences are paired over the same problems, bootstrap."]
    if any(r.num_seeds > 1 or r.num_models > 1 for r in lines):
        notes = [
            "95 % intervals: Wilson over problems, each the mean of its answers; differences are paired over the same "
            "problems, bootstrap."
        ]
    if any(r.num_models > 1 for r in lines):
        notes.append("Lines over several models: models and problems are both samples (t).")
    if any(r.is_unequal for r in lines):
        notes.append(
            f"{_UNEQUAL} NOT at equal budgets: mean tokens generated differ by more than 10 % from the baseline's."
        )
    if any(r.is_off_budget for r in lines):
        notes.append(f"{_OFF_BUDGET} less than 90 % or more than 110 % of the budget was spent.")
    if any(r.is_shared for r in lines):
        notes.append("Completions and scores were shared between methods, so that seconds were not measured.")
    if num_dropped := sum(r.num_not_reproduced for r in lines):
        notes.append(f"{num_dropped} trajectories were dropped: run once more, their programs came out otherwise.")
    return heading.table(cells, " ".join(notes))


def _difference(row: SummaryRow) -> str:
    if row.difference is None:
        return NONE
    value = row.difference
    shown = f"{points(value.value)} [{points(value.low)}, {points(value.high)}]"
    return shown + _UNEQUAL * row.is_unequal


def cost_table(summary: Summary) -> TextTable:
    """What one answer costs, on average, in every line."""
    cells: dict[Column, Callable[[SummaryRow], str]] = {
        Column("generated", "tokens"): lambda r: count(r.mean.tokens_generated),
        Column("scored", "tokens"): lambda r: count(r.mean.tokens_scored),
        Column("calls", "model"): lambda r: f"{r.mean.model_calls:.1f}",
        Column("executions"): lambda r: f"{r.mean.executions:.1f}",
        Column("finished", "trajectories"): lambda r: f"{r.mean.num_trajectories:.1f}",
    } | _TIME
    note = "CPU seconds: models, executing and grading. Wall seconds: of one answer, many of which run side by side."
    if any(r.mean.process_cpu_seconds is None for r in summary.rows):
        note = note.replace("models, ", "")
    return _Heading("Cost of one answer, mean", summary.rows).table(cells, note)


def groups_tables(summary: Summary, by: str) -> list[TextTable]:
    """Accuracy by "tier" or by "part": one table for all benchmarks that have the same ones."""
    names_of: dict[str, set[str]] = {}
    for row in summary.rows:
        names_of.setdefault(row.benchmark, set()).update(_groups(row, by))
    alike: dict[tuple[str, ...], list[str]] = {}
    for benchmark, names in names_of.items():
        alike.setdefault(tuple(sorted(names)), []).append(benchmark)
    return [
        _groups_table([r for r in summary.rows if r.benchmark in benchmarks], by, names)
        for names, benchmarks in alike.items()
        if names
    ]


def _groups_table(rows: Sequence[SummaryRow], by: str, names: Sequence[str]) -> TextTable:
    cells: dict[Column, Callable[[SummaryRow], str]] = {}
    for name in names:
        cells[Column(name)] = partial(_accuracy_of_group, by, name)
    cells[Column("problems")] = lambda r: " / ".join(
        str(_groups(r, by)[name].num_problems) if name in _groups(r, by) else "0" for name in names
    )
    return _Heading(f"Accuracy by {by}, %", rows).table(cells)


def _accuracy_of_group(by: str, name: str, row: SummaryRow) -> str:
    groups = _groups(row, by)
    return percent(groups[name].accuracy.value) if name in groups else NONE


def _groups(row: SummaryRow, by: str) -> Mapping[str, Accuracy]:
    return row.tiers if by == "tier" else row.parts


def samples_table(summary: Summary) -> TextTable | None:
    """pass@k, maj@k, best-of-k and vote-of-k of independent samples, at each method's largest budget."""
    curves, seen = [], set()
    for row in _at_most(summary):
        named = {
            "pass@k": row.curves.pass_at_k,
            "maj@k": row.curves.maj_at_k,
            "best-of-k": row.curves.best_of_k,
            "vote-of-k": row.curves.vote_at_k,
        }
        for name, curve in named.items():
            # methods may differ only in how they choose from the same samples
            if curve is not None and (what := (row.benchmark, row.model, name, tuple(curve.items()))) not in seen:
                curves.append((row, name, curve))
                seen.add(what)
    note = (
        "pass@k: the unbiased estimator. best-of-k, vote-of-k: by the values that the method gives its samples. No k "
        "is shown that some problem has fewer samples than."
    )
    return _curves_table("Independent samples, accuracy in % by number of samples", curves, note)


def found_table(summary: Summary) -> TextTable | None:
    """Solved by any of the first N trajectories of a search, at each method's largest budget."""
    curves = [
        (row, "any of first N", row.curves.solved_by_first)
        for row in _at_most(summary)
        if row.curves.solved_by_first is not None
    ]
    note = "In the order in which they were found; a problem with fewer than N trajectories counts with all it has."
    return _curves_table("Searches, problems solved in % by number of trajectories", curves, note)


def _at_most(summary: Summary) -> list[SummaryRow]:
    """The line of each method with the most tokens."""
    most: dict[tuple[str, str, str], SummaryRow] = {}
    for row in summary.rows:
        key = (row.benchmark, row.model, row.method)
        if key not in most or row.mean.tokens_generated > most[key].mean.tokens_generated:
            most[key] = row
    return list(most.values())


def _curves_table(title: str, curves: Sequence[tuple[SummaryRow, str, Curve]], note: str) -> TextTable | None:
    if not curves:
        return None
    heading = _Heading(title, [row for row, _, _ in curves])
    cells: dict[Column, Callable[[int], str]] = {Column("", is_text=True): lambda i: curves[i][1]}
    for k in sorted({k for _, _, curve in curves for k in curve}):
        cells[Column(str(k))] = partial(_accuracy_at, curves, k)
    return heading.table_by_index(cells, note)


def _accuracy_at(curves: Sequence[tuple[SummaryRow, str, Curve]], k: int, line: int) -> str:
    return percent(curves[line][2].get(k))


class _Heading:
    """The first columns of a table: what differs between its lines. What is the same in all stands in the title."""

    def __init__(self, title: str, lines: Sequence[SummaryRow]) -> None:
        self.lines = lines
        parts: dict[str, Callable[[SummaryRow], str]] = {
            "benchmark": lambda r: r.benchmark,
            "model": lambda r: r.model,
            "budget": lambda r: r.budget,
        }
        self._parts = {name: of for name, of in parts.items() if len({of(r) for r in lines}) > 1}
        same = [of(lines[0]) for name, of in parts.items() if name not in self._parts and of(lines[0])]
        self._title = f"{title}: {', '.join(same)}" if same else title

    def table(self, cells: Mapping[Column, Callable[[SummaryRow], str]], note: str = "") -> TextTable:
        """The table with further columns, each a function of the line."""
        return self.table_by_index({c: partial(self._of_line, of) for c, of in cells.items()}, note)

    def table_by_index(self, cells: Mapping[Column, Callable[[int], str]], note: str = "") -> TextTable:
        """The table with further columns, each a function of the line's position."""
        columns = (*(Column(name, is_text=True) for name in (*self._parts, "method")), *cells)
        rows = [(*self._names(i), *(of(i) for of in cells.values())) for i in range(len(self.lines))]
        outer = [[of(r) for of in self._parts.values()] for r in self.lines]
        sections = tuple(i for i in range(len(outer) - 1) if outer[i] != outer[i + 1])
        return TextTable(self._title, columns, tuple(rows), note=note, sections=sections)

    def _of_line(self, of: Callable[[SummaryRow], str], i: int) -> str:
        return of(self.lines[i])

    def _names(self, i: int) -> list[str]:
        """The names of a line; what the line above says is not said again."""
        here = [of(self.lines[i]) for of in self._parts.values()]
        above = [of(self.lines[i - 1]) for of in self._parts.values()] if i else []
        if here == above:
            here = [""] * len(here)
        return [*here, self.lines[i].method]


def sure_lines(summary: Summary) -> list[str]:
    """What the confidence threshold gave, as text."""
    lines = []
    for r in summary.rows:
        if r.sure is not None:
            right = "" if r.sure.precision is None else f", of which {percent(r.sure.precision)} % are right"
            lines.append(
                f"{r.benchmark}, {r.model}, {r.label}: sure of {percent(r.sure.coverage)} % of the answers{right}."
            )
    return lines


def evaluation_tables(summary: Summary) -> list[TextTable]:
    """All tables of an evaluation, in the order in which they are read."""
    from rstar_math.report.benchmarks import benchmark_tables

    found = (
        *benchmark_tables(summary),
        *summary_tables(summary),
        samples_table(summary),
        found_table(summary),
        *groups_tables(summary, "tier"),
        *groups_tables(summary, "part"),
        cost_table(summary),
    )
    return [table for table in found if table is not None]


def print_evaluation(console: Console, summary: Summary) -> None:
    """Prints the tables of an evaluation."""
    for table in evaluation_tables(summary):
        print_table(console, table)
        console.print()
    for line in sure_lines(summary):
        console.print(line)


def summary_markdown(summary: Summary) -> str:
    """The tables of an evaluation as Markdown."""
    return "\n".join([*(to_markdown(t) for t in evaluation_tables(summary)), *sure_lines(summary)])


def write_evaluation(folder: Path, summary: Summary) -> None:
    """Writes `summary.json`, `summary.md` and `accuracy.png`, each whole or not at all."""
    from rstar_math.report.evaluation_plot import tokens_png

    write_json(folder / "summary.json", json.loads(summary.model_dump_json()))
    write_text(folder / "summary.md", summary_markdown(summary))
    picture = tokens_png(summary)
    if picture is not None:
        with replacing(folder / "accuracy.png") as temporary:
            temporary.write_bytes(picture)


def _percent_interval(value: Interval | None) -> str:
    return NONE if value is None else f"{percent(value.value)} [{percent(value.low)}, {percent(value.high)}]"
