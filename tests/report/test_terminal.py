"""Tables on terminals of any width: every heading, name and value is there, whole, and no line is too long."""

from __future__ import annotations

import io
import re

import pytest

from rstar_math.report.evaluation import summarise
from rstar_math.report.evaluation_tables import evaluation_tables
from rstar_math.report.table import Column, TextTable
from rstar_math.report.tables import print_report, report_tables
from rstar_math.report.terminal import print_table
from rstar_math.terminal.console import Console
from tests.report.made_up import report
from tests.report.test_evaluation import at, found

WIDTHS = (40, 60, 80, 100, 120, 200)


def printed(table: TextTable, width: int) -> str:
    stream = io.StringIO()
    print_table(Console(stream, width=width), table)
    return stream.getvalue()


def evaluation() -> list[TextTable]:
    """Long names and wide cells: five methods, two models, two budgets, the paper's benchmarks, samples with curves."""
    rows = []
    for budget in (1_000, 1_200):
        for model in ("runs/a-rather-long-name-of-a-run", "https://127.0.0.1:8000/v1?model=some-org/some-model"):
            for method in (
                "greedy",
                "best-of-N, ORM",
                "score-weighted vote, PPM",
                "MCTS, PPM, vote",
                "forest, settled",
            ):
                candidates = found((0, True, 0.5), (1, False, 0.25), (0, True, 0.125), (0, True, 0.5))
                for i in range(7):
                    rows.append(
                        at(budget, i, i % 3 == 0, method, 987 * budget, model=model, process_cpu_seconds=12.5)
                        | {
                            "benchmark": "math500",
                            "strategy": "sample",
                            "candidates": candidates,
                            "tier": f"tier{i % 3}",
                        }
                    )
    return evaluation_tables(summarise(rows))


def squeezed(text: str) -> str:
    return re.sub(r"[\s─]+", "", text)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", [*report_tables(report()), *evaluation()], ids=lambda t: t.title[:30])
def test_no_width_loses_or_cuts_a_value(table: TextTable, width: int) -> None:
    text = printed(table, width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    first = next(i for i, column in enumerate(table.columns) if not column.is_text)
    for column, *values in zip(table.columns[first:], *(row[first:] for row in table.rows), strict=True):
        for value in values:  # on one line each, however narrow
            assert re.search(rf"(^|\s){re.escape(value)}($|\s)", text, re.MULTILINE), (column, value)
        words = {*column.name.split(), *column.group.split()}
        assert words <= set(re.sub(r":(?=\s)", "", text).split()), column
    for name in {word for row in table.rows for cell in row[:first] for word in cell.split() if len(word) <= 10}:
        assert name in text
    assert squeezed(table.note) in squeezed(text)
    assert squeezed(table.title) in squeezed(text)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_value_stands_in_its_row(width: int) -> None:
    """The last cell of every column is another number, so that blocks must not mix up columns or rows."""
    columns = (Column("name", is_text=True), *(Column(f"c{i}", f"group {i // 3}") for i in range(9)))
    rows = tuple((f"row-{r}", *(f"{r}.{c}" for c in range(9))) for r in range(3))
    text = printed(TextTable("t", columns, rows), width)
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, *values = line.split() or [""]
        if name.startswith("row-"):
            found.setdefault(name, []).extend(values)
    assert found == {name: list(values) for name, *values in rows}


def test_groups_stay_together_where_they_can() -> None:
    columns = (Column("", is_text=True), *(Column(n, g) for g in ("policy", "system") for n in ("gsm", "math", "all")))
    text = printed(TextTable("t", columns, (("base", *["12.3"] * 6),)), 34)
    blocks = text.split("\n\n")
    assert ["policy" in blocks[0], "system" in blocks[0]] == [True, False]
    assert ["policy" in blocks[1], "system" in blocks[1]] == [False, True]


def test_where_no_column_fits_every_value_has_a_line() -> None:
    columns = (Column("model", is_text=True), Column("method", is_text=True), Column("accuracy, %"))
    rows = (("pocket", "greedy", "33.3 [6.1, 79.2]"), ("", "mcts", "66.7 [20.8, 93.9]"))
    assert printed(TextTable("Accuracy", columns, rows), 34).splitlines() == [
        "Accuracy",
        "pocket, greedy",
        "  accuracy, %: 33.3 [6.1, 79.2]",
        "pocket, mcts",
        "  accuracy, %: 66.7 [20.8, 93.9]",
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_whole_report_fits(width: int) -> None:
    stream = io.StringIO()
    print_report(Console(stream, width=width), report())
    assert max(len(line.rstrip()) for line in stream.getvalue().splitlines()) <= width
    assert "91.3 %" in " ".join(stream.getvalue().split())


@pytest.mark.parametrize("title", ["[red]x[/red]", "a " * 60])
def test_titles_are_shown_as_they_are(title: str) -> None:
    text = printed(TextTable(title, (Column("", is_text=True), Column("n")), (("a", "1"),)), 60)
    assert squeezed(title) in squeezed(text)
