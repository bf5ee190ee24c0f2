"""Files of rows as others have them: of each kind, unreadable, without references, prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from rstar_math.cli.app import app
from rstar_math.config import ProblemSource
from rstar_math.errors import DataError
from rstar_math.problems.files import read_file
from rstar_math.problems.load import described, load_problems, with_references
from rstar_math.types import Problem

Q = "How many pears are in both baskets together?"


WORKED = "Each of the 4 baskets holds 6 pears, so there are 4 * 6 = <<4*6=24>>24 pears.\nHalf of them are 24 / 2 = 12."


def write(path: Path, rows: list[Any]) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


RAW_GSM8K = [{"question": f"{i}. {Q}", "answer": f"{WORKED}\n#### {i},000"} for i in range(1, 5)]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
def test_files_of_each_kind(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"gsm8k_test{ending}", RAW_GSM8K)
    for source in (str(path), str(tmp_path / "gsm8k")):  # by its path, and as the benchmark
        problems = load_problems(ProblemSource(source=source)).problems
        assert [p.answer for p in problems] == ["1000", "2000", "3000", "4000"]
        assert problems[0] == Problem("gsm8k_test-1", f"1. {Q}", "1000", None, "gsm8k_test")


def test_a_list_of_conversations(tmp_path: Path) -> None:
    row = [{"from": "human", "value": Q}, {"from": "assistant", "ground_truth": {"value": "35"}}]
    (read,) = read_file(write(tmp_path / "orz.json", [row]))
    assert (read.problem.question, read.problem.answer) == (Q, "35")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[1]", r"a\.json, row 1: expected a JSON object, got '1'"),
        ("a.json", b"[{", r"a\.json is not valid JSON"),
        ("a.parquet", b"no", r"a\.parquet.* no Parquet file that can be read"),
        ("a.jsonl", b'{"text": "x"}\n', r"a\.jsonl, line 1: needs a text `problem` .*has keys \['text'\]\. Read is"),
        ("a.jsonl", b'{"question": "q", "answer": "x\\ud83d"}\n', r"line 1: the answer has half of a surrogate pair"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_file(tmp_path / name)


def test_a_column_of_solutions_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": f"{i} {Q}", "answer": WORKED} for i in range(3)])
    with pytest.raises(
        DataError, match=r"references of 3 of 3 rows, the first 'mine-1', are whole solutions.*#### ANSWER"
    ):
        read_file(path)
    sentence = "the number of pears that lie in both of the baskets on the table is certainly twelve"
    path = write(tmp_path / "mine.jsonl", [{"question": f"{i} {Q}", "answer": sentence} for i in range(3)])
    with pytest.raises(DataError, match="sentences"):
        read_file(path)


NUMINA = [
    {"problem": f"{i} {Q}", "answer": answer, "question_type": kind, "source": "olympiads", "synthetic": i == 1}
    for i, (answer, kind) in enumerate(
        [("1", "MCQ"), ("2", "MCQ"), ("proof", "proof"), ("notfound", "other"), ("", "other")]
    )
]


def test_rows_without_a_reference_are_said_and_not_trained_on(tmp_path: Path) -> None:
    path = write(tmp_path / "numina.jsonl", NUMINA)
    problems = load_problems(ProblemSource(source=str(path)))
    assert [p.answer for p in problems.problems] == ["1", "2", None, None, None]
    line = described(problems)
    assert "3 without a reference, not graded (the answer is a proof: 1, no answer was found" in line
    assert "1 are synthetic" in line
    assert [p.answer for p in with_references(problems).problems] == ["1", "2"]
    with pytest.raises(DataError, match=r"none of 3 problems has a reference \(the answer is a proof: 1"):
        with_references(load_problems(ProblemSource(source=str(path), skip=2)))


def prepare(source: Path, out: Path, *more: str) -> str:
    done = CliRunner().invoke(app, ["problems", "prepare", str(source), "--overlap", "allow", "--out", str(out), *more])
    assert done.exit_code == 0, done.output
    return done.output


def test_prepare_leaves_them_out_and_counts_them(tmp_path: Path) -> None:
    path, out = write(tmp_path / "numina.parquet", NUMINA), tmp_path / "out.jsonl"
    shown = prepare(path, out)
    assert "2 problems: olympiad: 2" in shown
    for reason in ("the answer is a proof: 1", "no answer was found in the solution (notfound): 1", "no reference: 1"):
        assert reason in shown
    assert "1 problems: olympiad: 1" in prepare(path, out, "--no-synthetic")
    assert "synthetic: 1" in prepare(path, out, "--no-synthetic")


def test_raw_gsm8k_is_measured_against_its_answers(tmp_path: Path) -> None:
    rows = [
        {"question": "What is 3 + 4?", "answer": "We add 3 + 4 = <<3+4=7>>7 pears in this little story.\n#### 7"},
        {"question": "What is 30 + 4?", "answer": "We add 30 + 4 = <<30+4=34>>34 pears in this little story.\n#### 34"},
        {"question": "Why?", "answer": ""},
    ]
    write(tmp_path / "gsm8k.jsonl", rows)
    command = [
        "eval",
        "--model",
        "pocket-base",
        "--strategy",
        "greedy",
        "--benchmark",
        "gsm8k",
        "--from",
        str(tmp_path),
    ]
    done = CliRunner().invoke(app, [*command, "--workers", "1", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 without a reference, not graded (no reference: 1)" in done.output
    (path,) = (tmp_path / "out" / "rows").glob("*.jsonl")
    found = {row["problem"]: row for row in map(json.loads, path.read_text().splitlines())}
    assert [found[f"gsm8k-{i}"]["reference"] for i in (1, 2, 3)] == ["7", "34", None]
    assert [found[f"gsm8k-{i}"]["correct"] is None for i in (1, 2, 3)] == [False, False, True]
