"""Problem files: known by id, malformed rows named by their line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import ProblemSource
from rstar_math.errors import DataError
from rstar_math.problems.load import load_problems, read_problems
from rstar_math.types import Problem

BENCHMARKS = Path(__file__).parents[3] / "shared" / "benchmarks"
NUM_ROWS = {"aime2024": 30, "amc2023": 40, "gaokao2023en": 385, "gsm8k": 1319, "math500": 500, "olympiadbench": 675}


def _write(folder: Path, *rows: object) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_of_every_shape(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        {"problem": "Same?", "answer": "1"},
        {"question": "Same?", "answer": 2, "id": 0, "level": 5, "source": "book", "part": "novel"},
        {"problem": "Open?", "id": "x", "tier": "gsm", "answer": 0.5},
        {"problem": "Nobody knows?", "answer": None, "id": ""},
    )
    assert read_problems(path) == [
        Problem("mine-1", "Same?", "1", None, "mine", None),
        Problem("0", "Same?", "2", "5", "book", "novel"),
        Problem("x", "Open?", "0.5", "gsm", "mine", None),
        Problem("mine-4", "Nobody knows?", None, None, "mine", None),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": "1"}, r"mine\.jsonl, line 2: needs a text `problem` \(or `question`\), has keys \['answer'\]"),
        ({"problem": "  "}, "line 2: needs a text `problem`"),
        ({"problem": 3}, "line 2: needs a text `problem`"),
        ({"problem": "Q?", "answer": ["1"]}, r"line 2: `answer` must be text or a number, got \['1'\]"),
        ({"problem": "Q?", "answer": True}, "line 2: `answer` must be text or a number, got True"),
        ({"problem": "Q?", "id": "first"}, "line 2: id 'first' stands already on line 1"),
        ({"problem": "half a smile \ud83d?"}, "line 2: the question has half of a surrogate pair"),
        ({"problem": "Q?", "answer": "\udc00"}, "line 2: the answer has half of a surrogate pair"),
        ({"problem": "Q?", "id": "\ud800"}, "line 2: the id has half of a surrogate pair"),
        ({"problem": "Q?", "tier": "\ud800"}, "line 2: the tier has half of a surrogate pair"),
        ({"problem": "Q?", "source": "\ud800"}, "line 2: the source has half of a surrogate pair"),
        ([1], "line 2: expected a JSON object"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, row: Any, message: str) -> None:
    path = _write(tmp_path, {"problem": "Q?", "answer": "1", "id": "first"}, row)
    with pytest.raises(DataError, match=message):
        read_problems(path)


def test_files_without_problems(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no problems"):
        read_problems(_write(tmp_path))
    with pytest.raises(DataError, match=r"no problems at .*: it is neither a file nor one of pocket/train"):
        load_problems(ProblemSource(source="nowhere.jsonl"))
    with pytest.raises(DataError, match="cannot read"):
        load_problems(ProblemSource(source=str(tmp_path)))
    with pytest.raises(DataError, match="no pocket split 'tran'; choose from train, validation, test"):
        load_problems(ProblemSource(source="pocket/tran"))


def test_the_first_so_many(tmp_path: Path) -> None:
    path = _write(tmp_path, *({"problem": f"{i}?", "answer": i} for i in range(5)))
    some = load_problems(ProblemSource(source=str(path), num_problems=2))
    assert (some.name, [p.question for p in some.problems]) == ("mine", ["0?", "1?"])
    with pytest.raises(DataError, match="has 5 problems; num_problems asks for 6"):
        load_problems(ProblemSource(source=str(path), num_problems=6))
    everything = load_problems(ProblemSource(source=str(path)))
    rest = load_problems(ProblemSource(source=str(path), skip=2))
    assert some.problems + rest.problems == everything.problems
    assert load_problems(ProblemSource(source=str(path), skip=1, num_problems=1)).problems == everything.problems[1:2]
    with pytest.raises(DataError, match="num_problems after skip: 4 asks for 6"):
        load_problems(ProblemSource(source=str(path), skip=4, num_problems=2))
    assert len(everything.problems) == 5
    assert everything.sha256 != some.sha256
    assert load_problems(ProblemSource(source=str(path))) == everything


@pytest.mark.parametrize("name", NUM_ROWS)
def test_benchmark_files_load(name: str) -> None:
    path = BENCHMARKS / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"the benchmark file is not here: {path}")
    problems = read_problems(path)
    assert len(problems) == NUM_ROWS[name]
    # two references of Gaokao are empty: no reference
    assert sum(p.answer is None for p in problems) == (2 if name == "gaokao2023en" else 0)
    assert len({p.id for p in problems}) == len(problems)


def test_slices_of_a_pocket_split_follow_one_another() -> None:
    whole = load_problems(ProblemSource(source="pocket/test", num_problems=12))
    end = load_problems(ProblemSource(source="pocket/test", num_problems=5, skip=7))
    assert end.problems == whole.problems[7:]
