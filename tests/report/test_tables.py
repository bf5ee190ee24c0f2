"""The tables of a report: what they say, and that they fit a terminal of 100 columns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rstar_math.report.from_run import _pair_baselines
from rstar_math.report.schema import NOT_REPRODUCED, BaseNumbers, Report, RoundNumbers
from rstar_math.report.table import (
    Column,
    TextTable,
    compact,
    percent,
    seconds,
    to_html,
    to_markdown,
)
from rstar_math.report.tables import (
    accuracy_table,
    cost_table,
    dropped_lines,
    growth_table,
    print_report,
    report_tables,
    solved_table,
)
from rstar_math.store.manifest import Manifest
from rstar_math.terminal.console import Console
from tests.report.made_up import report


def printed(shown: Report, width: int = 100) -> str:
    stream = io.StringIO()
    print_report(Console(stream, width=width), shown)
    return stream.getvalue()


def test_the_terminal_shows_everything_in_100_columns() -> None:
    text = printed(report())
    assert "…" not in text  # nothing was cut off
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    for said in (
        "Accuracy on held-out problems, %",
        "+20.0 [+15.0, +25.0]",
        "control",
        "an answer counts as sure",
        "91.3 % of them",
        "at least 90.0 % of them are right",
        "1.2 % of these questions count as outside",
        "calibration error 3.1 %",
        "Dropped or degraded in round 2: trajectories not reproduced 3",
    ):
        assert said in text or said in " ".join(text.split())
    assert "rows too long" not in text  # none was dropped for that


def test_what_no_fresh_execution_reproduced_is_shown_even_where_it_is_nothing() -> None:
    rounds = [r.model_copy(update={"dropped": {NOT_REPRODUCED: 0}}) for r in report().rounds[:1]]
    lines = dropped_lines(report().model_copy(update={"rounds": rounds}))
    assert lines == ["Dropped or degraded in round 1: trajectories that a fresh execution did not reproduce 0"]


def test_a_narrow_console_cuts_no_number() -> None:
    text = printed(report(), width=60)
    assert "…" not in text
    assert "112k" in text


def test_accuracy_stands_in_the_row_of_its_round() -> None:
    rows = accuracy_table(report()).rows
    assert rows[0] == ("base", "80.0", "24.0", "9.0", "37.7", "-", "-", "-", "-")
    assert rows[4] == ("round 4", "98.0", "90.0", "61.0", "83.0", "99.0", "96.0", "78.0", "91.0")


def test_solved_stands_beside_the_control() -> None:
    table = solved_table(report())
    assert table is not None
    assert table.rows[9:] == (
        ("round 4", "so far", "100.0", "100.0", "79.0", "93.0"),
        ("", "this round", "100.0", "98.0", "72.0", "90.0"),
        ("", "control", "97.0", "68.0", "35.0", "66.7"),
    )


def test_a_run_without_rounds_or_values_can_be_shown() -> None:
    base = BaseNumbers(num_problems={"all": 3})
    empty = Report(recipe="bare", seed=0, base=base, rounds=())
    assert [t.title for t in report_tables(empty)] == ["Accuracy on held-out problems, %"]
    one = Report(recipe="bare", seed=0, base=base, rounds=(RoundNumbers(round=1),))
    assert accuracy_table(one).rows == (("base", "-", "-"), ("round 1", "-", "-"))
    assert growth_table(one) is None
    assert solved_table(one) is None
    cost = cost_table(one)
    assert cost is not None
    assert cost.rows == (("1", "0", "0", "0", "0", "0", "0.00", "-", "-", "-"),)
    assert "round 1" in printed(one)


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    base = BaseNumbers(policy_greedy={"[red]hard": 0.5, "all": 0.5}, num_problems={"[red]hard": 2, "all": 2})
    assert "[red]hard" in printed(Report(recipe="x", seed=0, base=base, rounds=()))


@pytest.mark.parametrize(
    ("number", "shown"),
    [(None, "-"), (0, "0"), (950, "950"), (12_345, "12.3k"), (112_345, "112k"), (4_000_000, "4.00M"), (2.5e9, "2.50G")],
)
def test_compact_counts(number: float | None, shown: str) -> None:
    assert compact(number) == shown


def test_percent_and_seconds() -> None:
    assert [percent(v) for v in (None, 0.0, 0.12345, 1.0)] == ["-", "0.0", "12.3", "100.0"]
    assert [seconds(v) for v in (None, 0.123, 12.34, 1234.5)] == ["-", "0.12", "12.3", "1,234"]


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        TextTable("t", (Column("a"), Column("b")), (("1",),))


def test_html_and_markdown_escape() -> None:
    table = TextTable("<b>", (Column("a|b", "g"), Column("<i>", is_text=True)), (("1|2", "<script>"),), note="&")
    html, markdown = to_html(table), to_markdown(table)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<caption>&lt;b&gt;</caption>" in html
    assert markdown.splitlines()[2:5] == ["| g a\\|b | \\<i> |", "|---:|---|", "| 1\\|2 | \\<script> |"]


def test_rules_that_a_run_did_not_measure_are_left_out(tmp_path: Path) -> None:
    made = Manifest(tmp_path)
    made.finish(
        "ppm",
        pair_accuracy_by_length=0.25,
        pair_accuracy_by_logprob=0.0,
        pair_accuracy_by_logprob_per_token=None,
    )
    assert _pair_baselines(made) == {"length": 0.25, "logprob": 0.0}
    made.finish("ppm", pair_accuracy_by_length=None)  # a run of an earlier version, without pairs
    assert _pair_baselines(made) is None
