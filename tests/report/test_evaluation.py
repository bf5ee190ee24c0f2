"""Evaluation summaries: accuracies, intervals, paired differences and costs, worked by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from rstar_math.errors import DataError
from rstar_math.report.evaluation import summarise
from rstar_math.report.evaluation_tables import (
    evaluation_tables,
    print_evaluation,
    summary_markdown,
    summary_tables,
    write_evaluation,
)
from rstar_math.terminal.console import Console


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
    # problems 1.0 and 0.5: p (1 - p) = 3/16, variance 1/8, so 2 * 3/2 = 3 independent answers; Wilson by hand as above
    assert summary.accuracy is not None
    assert summary.accuracy.value == 0.75
    assert (summary.accuracy.low, summary.accuracy.high) == pytest.approx((0.2561, 0.9632), abs=1e-4)


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
    assert summary_tables(summary)[0].rows[0][:3] == ("greedy", "-", "-")


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
    print_evaluation(Console(stream, width=100), summarise([*GREEDY, *MCTS]))
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


def at(budget: int, problem: int, correct: bool, method: str, tokens: int, **changes: Any) -> dict[str, Any]:
    return row(
        problem,
        correct,
        changes.pop("strategy", "mcts"),
        method=method,
        scorer="ppm",
        budget={"tokens": budget},
        tokens_generated=tokens,
        **changes,
    )


def test_methods_are_compared_at_the_same_budget_with_the_baseline() -> None:
    rows = [
        *[at(100, p, p == 1, "a", 99) for p in (1, 2)],
        *[at(100, p, True, "b", 101) for p in (1, 2)],
        *[at(200, p, False, "a", 201) for p in (1, 2)],
        *[at(200, p, True, "b", 199) for p in (1, 2)],
    ]
    lines = {(r.budget, r.method): r for r in summarise(rows, "b").rows}
    assert list(lines) == [("100 tokens", "a"), ("100 tokens", "b"), ("200 tokens", "a"), ("200 tokens", "b")]
    small, large = lines["100 tokens", "a"], lines["200 tokens", "a"]
    assert small.difference is not None
    assert large.difference is not None
    assert (small.difference_to, small.difference.value, large.difference.value) == ("b", -0.5, -1.0)
    assert lines["100 tokens", "b"].difference is None
    assert not any(r.is_unequal or r.is_off_budget for r in lines.values())
    assert [r.budget_used for r in lines.values()] == [0.99, 1.01, 1.005, 0.995]


@pytest.mark.parametrize(
    ("tokens", "is_unequal", "is_off_budget"),
    [(100, False, False), (91, False, False), (89, True, True), (109, False, False), (113, True, True)],
)
def test_unequal_budgets_are_said(tokens: int, is_unequal: bool, is_off_budget: bool) -> None:
    rows = [at(100, 1, True, "a", 100), at(100, 1, True, "b", tokens)]
    summary = summarise(rows)
    line = summary.rows[1]
    assert (line.is_unequal, line.is_off_budget) == (is_unequal, is_off_budget)
    (table,) = summary_tables(summary)
    assert ("NOT at equal budgets" in table.note) == is_unequal
    assert ("of the budget was spent" in table.note) == is_off_budget
    difference, generated = table.rows[1][2:4]
    assert difference.endswith("*") == is_unequal
    assert generated.endswith("†") == is_off_budget


def test_without_budgets_the_comparison_says_so_too() -> None:
    (table,) = summary_tables(summarise([row(1, True), row(1, True, "mcts", tokens_generated=500)]))
    assert "NOT at equal budgets" in table.note


def test_models_of_several_training_seeds_are_pooled() -> None:
    rows = [at(100, p, p <= right, "a", 100, model=m) for m, right in (("r0", 1), ("r1", 2)) for p in (1, 2, 3)]
    summary = summarise(rows, pooled=True)
    assert [(r.model, r.num_models) for r in summary.rows] == [("r0", 1), ("r1", 1), ("all 2 models", 2)]
    pooled = summary.rows[2].accuracy
    assert pooled is not None
    assert pooled.value == pytest.approx(1 / 2)  # problems 1, 1/2, 0
    # problems alone: 1/4 * 6/5 / (1/12) = 3.6 independent answers; two models that differ say less than three answers
    assert pooled.low < 0.1253 < 0.8747 < pooled.high
    assert summarise(rows).rows == summary.rows[:2]


def test_differences_of_pooled_models_take_models_as_a_sample() -> None:
    def rows(*gains: int) -> list[dict[str, Any]]:
        """Each model answers 20 problems, 5 of them rightly; the other method so many more."""
        return [
            at(100, p, p < 5 + gain * (method == "b"), method, 100, model=f"r{i}")
            for method in "ab"
            for i, gain in enumerate(gains)
            for p in range(20)
        ]

    alike, apart = (summarise(rows(*gains), pooled=True).rows[-1] for gains in ((5, 5, 5), (0, 5, 10)))
    assert (alike.model, alike.method, alike.num_models) == ("all 3 models", "b", 3)
    for pooled in (alike, apart):
        assert pooled.difference is not None
        assert pooled.difference.value == pytest.approx(0.25)
    assert alike.difference is not None
    assert apart.difference is not None
    assert apart.difference.low < 0 < alike.difference.low
    assert alike.difference_p is not None
    assert apart.difference_p is not None
    assert alike.difference_p < 0.05 < apart.difference_p
    (note,) = {table.note for table in summary_tables(summarise(rows(5, 5), pooled=True)) if "all 2" in str(table.rows)}
    assert "models and problems are both samples" in note


def found(*samples: tuple[int | None, bool, float | None]) -> dict[str, Any]:
    classes, correct, values = zip(*samples, strict=True)
    return {"classes": list(classes), "correct": list(correct), "values": list(values)}


def test_what_the_first_candidates_give() -> None:
    candidates = [
        found((0, False, 0.9), (1, True, 0.2), (1, True, 0.3), (None, False, None)),
        found((0, True, 0.5), (1, False, 0.4), (None, False, None)),
    ]
    sampled = [at(100, p, True, "s", 100, strategy="sample", candidates=c) for p, c in enumerate(candidates)]
    curves = summarise(sampled).rows[0].curves
    assert curves.pass_at_k == pytest.approx({1: (1 / 2 + 1 / 3) / 2, 2: (5 / 6 + 2 / 3) / 2})
    assert curves.maj_at_k == pytest.approx({1: (1 / 2 + 1 / 3) / 2, 2: (1 / 2 + 1) / 2})
    assert curves.best_of_k is not None
    assert curves.best_of_k[2] == pytest.approx((3 / 6 + 2 / 3) / 2)
    assert curves.solved_by_first is None
    grown = [at(100, p, True, "m", 100, candidates=c) for p, c in enumerate(candidates)]
    curves = summarise(grown).rows[0].curves
    assert (curves.pass_at_k, curves.solved_by_first) == (None, {1: 0.5, 2: 1.0, 4: 1.0})
    text = summary_markdown(summarise([*sampled, *grown]))
    assert "pass@k" in text
    assert "any of first N" in text


def test_samples_without_values_have_no_best() -> None:
    candidates = found((0, True, None), (1, False, None))
    curves = summarise([at(100, 1, True, "s", 100, strategy="sample", candidates=candidates)]).rows[0].curves
    assert curves.maj_at_k is not None
    assert (curves.best_of_k, curves.vote_at_k) == (None, None)


def test_a_wide_table_is_not_cut_on_a_narrow_terminal() -> None:
    rows = [
        at(budget, p, p == 1, method, budget, model=model, process_cpu_seconds=12.5)
        for model in ("runs/a-rather-long-name", "runs/another-long-name")
        for budget in (1000, 2000)
        for method in ("best-of-N, ORM", "score-weighted vote, PPM")
        for p in (1, 2)
    ]
    stream = io.StringIO()
    print_evaluation(Console(stream, width=60), summarise(rows))
    assert stream.getvalue().count("13.0") == 2 * 8  # CPU seconds stand behind every line of both tables


def test_the_picture_is_a_png_and_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    rows = [at(b, p, p == 1, m, b, process_cpu_seconds=1.0) for b in (100, 1000) for m in ("a", "b") for p in (1, 2)]
    pictures = []
    for name in ("one", "two"):
        write_evaluation(tmp_path / name, summarise(rows))
        pictures.append((tmp_path / name / "accuracy.png").read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")
    write_evaluation(tmp_path / "other", summarise([row | {"correct": True} for row in rows]))
    assert (tmp_path / "other" / "accuracy.png").read_bytes() != pictures[0]
    write_evaluation(tmp_path / "none", summarise([row | {"correct": None} for row in rows]))
    assert not (tmp_path / "none" / "accuracy.png").exists()
