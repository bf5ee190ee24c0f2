"""Results on the paper's benchmarks beside the paper's figures: accuracy as its table 5, cost as its table 9."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rstar_math.problems.benchmarks import BENCHMARKS, Benchmark, PaperFigures, find_benchmark
from rstar_math.report.evaluation import Summary, SummaryRow
from rstar_math.report.table import NONE, Column, TextTable, count, percent

_PAPER = "paper, Qwen2.5-Math-7B"
_NOTE = (
    "The paper measures its figures for MATH on MATH-500 (section 4.1). A dash in its columns: no source was at hand "
    "when this was written, or the paper does not say."
)


def benchmark_tables(summary: Summary) -> list[TextTable]:
    """One table of accuracy and one of tokens for each model that was measured on a benchmark of the paper."""
    tables = []
    for model in dict.fromkeys(row.model for row in summary.rows):
        rows = {
            (benchmark.name, row.label): row
            for row in summary.rows
            if row.model == model and (benchmark := find_benchmark(row.benchmark)) is not None
        }
        if rows:
            tables += [_accuracy(model, rows), _tokens(model, rows)]
    return tables


_Rows = dict[tuple[str, str], SummaryRow]
"""Lines by benchmark and by method with its budget."""


def _accuracy(model: str, rows: _Rows) -> TextTable:
    def ours(row: SummaryRow) -> str:
        return NONE if row.accuracy is None else percent(row.accuracy.value)

    paper: dict[str, Callable[[PaperFigures], float | None]] = {
        "base": lambda p: p.base,
        "policy": lambda p: p.policy,
        "system": lambda p: p.system,
        "64 traj.": lambda p: p.system_64,
    }
    return _table(f"Benchmarks, accuracy in %: {model}", rows, {"here": ours}, paper, _PAPER, lambda v: f"{v:.1f}")


def _tokens(model: str, rows: _Rows) -> TextTable:
    def per_problem(row: SummaryRow) -> str:
        return count(row.mean.tokens_generated)

    def per_trajectory(row: SummaryRow) -> str:
        mean = row.mean
        return count(mean.tokens_generated / mean.num_trajectories) if mean.num_trajectories else NONE

    ours = {"problem": per_problem, "trajectory": per_trajectory}
    paper: dict[str, Callable[[PaperFigures], float | None]] = {"system": lambda p: p.tokens_per_trajectory}
    title = f"Tokens generated per problem, and per finished trajectory: {model}"
    return _table(title, rows, ours, paper, "paper, trajectory", count)


def _table(
    title: str,
    rows: _Rows,
    ours: Mapping[str, Callable[[SummaryRow], str]],
    paper: Mapping[str, Callable[[PaperFigures], float | None]],
    paper_group: str,
    shown: Callable[[float], str],
) -> TextTable:
    methods = list(dict.fromkeys(method for _, method in rows))
    lines = []
    for benchmark in (b for b in BENCHMARKS.values() if any(name == b.name for name, _ in rows)):
        found = [rows.get((benchmark.name, method)) for method in methods]
        figures = [figure(benchmark.paper) for figure in paper.values()]
        lines.append(
            (
                benchmark.title,
                _sizes(benchmark, [row for row in found if row is not None]),
                *(cell(row) if row is not None else NONE for cell in ours.values() for row in found),
                *(NONE if value is None else shown(value) for value in figures),
            )
        )
    columns = (
        Column("benchmark", is_text=True),
        Column("problems"),
        *(Column(method, group) for group in ours for method in methods),
        *(Column(name, paper_group) for name in paper),
    )
    return TextTable(title, columns, tuple(lines), note=_NOTE)


def _sizes(benchmark: Benchmark, rows: list[SummaryRow]) -> str:
    """How many problems were graded; "of N" where the benchmark has more."""
    graded = max(row.num_graded for row in rows)
    return str(graded) if graded == benchmark.num_problems else f"{graded} of {benchmark.num_problems}"
