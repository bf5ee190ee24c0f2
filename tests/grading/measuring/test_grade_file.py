"""Grading a file of pairs: verdicts, summary, ledger, and errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rstar_math.errors import ConfigError, DataError
from rstar_math.grading.measuring.accuracy import Pair, accuracy, milliseconds
from rstar_math.grading.measuring.grade_file import grade_file
from rstar_math.grading.measuring.graded_file import summary_json
from rstar_math.types import Verdict

ROWS: list[dict[str, Any]] = [
    {"id": "a", "gold": "1/2", "prediction": "0.5", "equivalent": True, "category": "decimals"},
    {"id": "b", "gold": "1/2", "pred": "0.6", "equivalent": False, "category": "decimals"},
    {"id": "c", "gold": "(1, 2)", "pred": "[1, 2]", "equivalent": True, "category": "lists", "contested": True},
    {"id": "d", "gold": "3", "pred": None, "equivalent": False},
    {"id": "e", "gold": 3, "pred": 3, "equivalent": True},
    {"id": "f", "gold": "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "pred": "Matrix([[1], [2]])", "equivalent": True},
    {"id": "g", "gold": "7", "pred": "8", "equivalent": True},
]


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_verdicts_summary_and_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = _written(tmp_path / "pairs.jsonl", ROWS)
    out, ledger, summary = tmp_path / "out.jsonl", tmp_path / "ledger.jsonl", tmp_path / "summary.json"
    grade_file(pairs, out=out, against="math-verify", ledger=ledger, summary=summary, num_workers=1)
    rows = _read(out)
    assert [row["id"] for row in rows] == list("abcdefg")
    assert [row["equal"] for row in rows] == [True, False, True, False, True, True, False]
    assert [row["right"] for row in rows] == [True, True, True, True, True, True, False]
    assert [row["contested"] for row in rows] == [False, False, True, False, False, False, False]
    assert rows[2]["rule"] == "list_for_tuple"
    told = json.loads(summary.read_text())
    assert told["all"] == {
        "num_pairs": 7,
        "num_labelled": 7,
        "accuracy": 6 / 7,
        "false_accepts": 0,
        "false_rejects": 1,
        "timeouts": 0,
    }
    assert told["non_contested"]["num_pairs"] == 6
    assert told["non_contested"]["accuracy"] == pytest.approx(5 / 6)
    assert told["categories"]["decimals"]["accuracy"] == 1.0
    assert told["categories"]["lists (contested)"]["num_pairs"] == 1
    assert told["policies"]["strict"]["false_rejects"] == 2
    assert told["milliseconds"]["median"] <= told["milliseconds"]["p99"] <= told["milliseconds"]["max"]
    disagreements = _read(ledger)
    assert {row["id"] for row in disagreements} == {row["id"] for row in rows if row["math_verify"] is not row["equal"]}
    assert len(disagreements) == told["math_verify"]["num_disagreements"] > 0
    shown = capsys.readouterr().err
    assert "math-verify alone" in shown
    assert "85.7" in shown


def test_without_labels_there_is_no_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = _written(tmp_path / "pairs.jsonl", [{"gold": "1", "prediction": "1"}, {"gold": "1", "prediction": "2"}])
    graded = grade_file(pairs)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["id"], row["equal"]) for row in rows] == [("1", True), ("2", False)]
    block = summary_json(graded)["all"]
    assert (block["accuracy"], block["false_accepts"]) == (None, None)


def test_a_timeout_is_counted_and_never_a_rejection() -> None:
    pairs = [Pair("1", "a", "b", True), Pair("2", "a", "c", False)]
    verdicts = [Verdict(False, "cpu_limit", 5.0, timed_out=True)] * 2
    counted = accuracy(pairs, verdicts)
    assert (counted.num_right, counted.false_rejects, counted.timeouts, counted.accuracy) == (0, 0, 2, 0.0)


def test_percentiles() -> None:
    times = milliseconds([Verdict(True, "x", seconds=i / 1000) for i in range(1, 201)])
    assert times.median == pytest.approx(100.5)
    assert times.p99 == pytest.approx(198.0)
    assert times.maximum == pytest.approx(200)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"gold": "1"}', "line 2: needs `gold` and `prediction`"),
        ('{"gold": ["1"], "pred": "1"}', r"line 2: `gold` must be text"),
        ('{"gold": "1", "pred": true}', r"line 2: `prediction` must be text"),
        ('{"gold": "1", "pred": "1", "equivalent": "yes"}', r"line 2: `equivalent`"),
        ("{not json", "line 2: not valid JSON"),
    ],
)
def test_a_bad_row_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"gold": "1", "pred": "1"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        grade_file(pairs)


def test_bad_options(tmp_path: Path) -> None:
    pairs = _written(tmp_path / "pairs.jsonl", ROWS)
    with pytest.raises(ConfigError, match=r"'kind'.*default, strict, lenient"):
        grade_file(pairs, policy="kind")
    with pytest.raises(ConfigError, match=r"'sympy'.*math-verify"):
        grade_file(pairs, against="sympy")
    with pytest.raises(ConfigError, match="--against"):
        grade_file(pairs, ledger=tmp_path / "ledger.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(DataError, match="holds no pairs"):
        grade_file(empty)
