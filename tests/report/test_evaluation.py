"""Evaluation summaries: accuracies, intervals, paired differences and costs, worked by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rstar_math.errors import DataError
from rstar_math.metrics import Interval
from rstar_math.report.evaluation import summarise
from rstar_math.report.evaluation_tables import (
    evaluation_tables,
    print_evaluation,
    summary_markdown,
    summary_tables,
    write_evaluation,
)


def row(problem: int, correct: bool | None, strategy: str = "greedy", **changes: Any) -> dict[str, Any]:
    return {
        "benchmark": "pocket/test",
        "model": "pocket",
        "strategy": strategy,
        "seed": 0,
        "problem": f"p{problem}",
        "tier": "gsm" if problem % 2 else "math",
        "part": "seen" if problem < 3 else "novel",
        "answer": "1",
        "correct": correct,
        "confidence": 0.5,
        "sure": None,
        "tokens_generated": 100 * problem,
        "tokens_scored": 0,
        "model_calls": 2,
        "executions": 3,
        "cpu_seconds": 0.5,
        "seconds": 1.5,
        "num_trajectories": 1,
        **changes,
    }


GREEDY = [row(1, True), row(2, False), row(3, False), row(4, None)]
MCTS = [
    row(3, False, "mcts", sure=False, tokens_scored=50),
    row(2, True, "mcts", sure=True, tokens_scored=50),
    row(1, True, "mcts", sure=False, tokens_scored=50),
    row(5, True, "mcts", sure=True, tokens_scored=50),
]


def test_accuracy_is_over_the_problems_with_a_reference() -> None:
    greedy = summarise(GREEDY).rows[0]
    assert (greedy.num_problems, greedy.num_graded) == (4, 3)
    assert greedy.accuracy is not None
    # Wilson, 1 of 3: (1/3 + z^2/6 -+ z sqrt((2/9)/3 + z^2/36)) / (1 + z^2/3), z = 1.96
    assert greedy.accuracy.value == pytest.approx(1 / 3)
    assert greedy.accuracy.low == pytest.approx(0.0615, abs=1e-4)
    assert greedy.accuracy.high == pytest.approx(0.7923, abs=1e-4)
    assert greedy.mean.tokens_generated == 250
    assert (greedy.mean.cpu_seconds, greedy.mean.seconds) == (0.5, 1.5)


def test_tiers_and_parts_are_counted_apart() -> None:
    greedy = summarise(GREEDY).rows[0]
    assert {t: (a.num_problems, a.accuracy.value) for t, a in greedy.tiers.items()} == {"gsm": (2, 0.5), "math": (1, 0)}
    assert {p: (a.num_problems, a.accuracy.value) for p, a in greedy.parts.items()} == {
        "seen": (2, 0.5),
        "novel": (1, 0),
    }


def test_the_difference_is_paired_over_the_problems_that_both_answered() -> None:
    greedy, mcts = summarise([*GREEDY, *MCTS]).rows
    assert greedy.difference is None
    assert greedy.difference_to is None
    assert mcts.difference_to == "greedy"
    assert mcts.num_paired == 3  # p5 was not answered greedily, p4 has no reference
    assert mcts.difference is not None
    assert mcts.difference.value == pytest.approx(1 / 3)
    assert mcts.difference.low == 0.0
    assert mcts.difference.high == 1.0


def test_what_the_model_is_sure_of() -> None:
    greedy, mcts = summarise([*GREEDY, *MCTS]).rows
    assert greedy.sure is None
    assert mcts.sure is not None
    assert (mcts.sure.coverage, mcts.sure.precision) == (0.5, 1.0)


def test_several_seeds_count_as_one_problem_each() -> None:
    rows = [row(p, p == 1 or seed == 0, seed=seed) for p in (1, 2) for seed in (0, 1)]
    summary = summarise(rows).rows[0]
    assert (summary.num_problems, summary.num_seeds, summary.num_graded) == (2, 2, 2)
    assert summary.accuracy == Interval(0.75, 0.5, 1.0)  # problems 1.0 and 0.5, resampled


def test_models_and_benchmarks_are_not_mixed() -> None:
    summary = summarise([*GREEDY, row(1, False, model="other"), row(1, True, "mcts", model="other")])
    assert [(r.model, r.strategy, r.difference_to) for r in summary.rows] == [
        ("pocket", "greedy", None),
        ("other", "greedy", None),
        ("other", "mcts", "greedy"),
    ]


def test_rows_without_references_have_no_accuracy() -> None:
    summary = summarise([row(1, None), row(2, None)])
    assert summary.rows[0].accuracy is None
    assert summary_tables(summary)[0].rows[0][:4] == ("greedy", "0", "-", "-")


def test_a_row_that_lacks_a_column_is_an_error() -> None:
    broken = row(2, True)
    del broken["tokens_scored"], broken["tier"]
    with pytest.raises(DataError, match="result row 2 has no tier, tokens_scored"):
        summarise([row(1, True), broken])


def test_a_problem_answered_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="1 of 2 rows answer a problem again"):
        summarise([row(1, True), row(1, False)])


def test_the_tables_fit_a_terminal() -> None:
    stream = io.StringIO()
    print_evaluation(Console(file=stream, width=100), summarise([*GREEDY, *MCTS]))
    text = stream.getvalue()
    assert "…" not in text
    assert "33.3 [6.1, 79.2]" in text
    assert "+33.3 [+0.0, +100.0]" in text
    assert "sure of 50.0 % of the answers, of which 100.0 % are right" in text


def test_benchmarks_with_other_tiers_have_tables_of_their_own() -> None:
    rows = [row(i, True, benchmark=b, tier=f"{b} level {i % 5}") for b in ("a", "b", "c") for i in range(10)]
    rows += [{**r, "benchmark": "a-again"} for r in rows if r["benchmark"] == "a"]
    rows += [row(i, True, benchmark="d", tier=None) for i in range(3)]
    summary = summarise(rows)
    found = [t for t in evaluation_tables(summary) if t.title.startswith("Accuracy by tier")]
    assert [len(table.rows) for table in found] == [2, 1, 1]
    assert [table.title.rpartition("%: ")[2] for table in found] == ["pocket", "b, pocket", "c, pocket"]
    assert all(len(table.columns) <= 9 for table in found)


def test_the_files_are_json_and_markdown(tmp_path: Path) -> None:
    summary = summarise([*GREEDY, *MCTS])
    write_evaluation(tmp_path, summary)
    value = json.loads((tmp_path / "summary.json").read_text())
    assert value["rows"][1]["difference"]["value"] == pytest.approx(1 / 3)
    markdown = (tmp_path / "summary.md").read_text()
    assert markdown == summary_markdown(summary)
    assert markdown.count("\n|---|") == len(evaluation_tables(summary)) == 4
