"""Benchmarks by name: from files of a folder, and from the hub's own columns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import ProblemSource
from rstar_math.errors import DataError
from rstar_math.problems import hub
from rstar_math.problems.benchmarks import BENCHMARKS, find_benchmark
from rstar_math.problems.load import described, load_problems
from rstar_math.report.benchmarks import benchmark_tables
from rstar_math.report.evaluation import summarise

SHARED = Path(__file__).parents[3] / "shared" / "benchmarks"
needs_files = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no benchmark files in {SHARED}")


@needs_files
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_file_loads_whole_by_the_benchmarks_name(name: str) -> None:
    problems = load_problems(ProblemSource(source=str(SHARED / name)))
    assert problems.name == name
    assert len(problems.problems) == BENCHMARKS[name].num_problems
    assert len({p.id for p in problems.problems}) == len(problems.problems)
    # 9 and 2 are empty, one says N/A, and 5 and 7 are whole solutions
    without = {"omnimath": 15, "gaokao2023en": 2, "collegemath": 7}.get(name, 0)
    assert sum(p.answer is None for p in problems.problems) == without
    line = described(problems)
    assert f"{len(problems.problems)} problems; sha256 {problems.sha256}" in line
    assert ("without a reference" in line) == bool(without)
    assert sum(n for _, n in problems.without) == without


@pytest.mark.slow
@needs_files
def test_twenty_problems_of_each_are_evaluated_by_the_command(tmp_path: Path) -> None:
    rstar = Path(sys.executable).with_name("rstar")
    named = [word for name in BENCHMARKS for word in ("--benchmark", name)]
    sets = ["--from", str(SHARED), "--limit", "20", *named]
    small = ["--workers", "1", "--set", "search.num_rollouts=2", "--set", "search.num_candidates=4"]
    options = ["--strategy", "greedy,mcts", "--out", str(tmp_path / "out"), *sets, *small]
    subprocess.run([rstar, "eval", "--model", "pocket", *options], check=True)
    files = sorted((tmp_path / "out" / "rows").glob("*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    for strategy in ("greedy", "mcts"):
        answered = Counter(row["benchmark"] for row in rows if row["strategy"] == strategy)
        assert answered == dict.fromkeys(BENCHMARKS, 20)
    assert len({(row["benchmark"], row["strategy"], row["problem"]) for row in rows}) == 360
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert all(benchmark.title in summary for benchmark in BENCHMARKS.values())


@needs_files
def test_the_hash_is_that_of_what_was_read() -> None:
    first = load_problems(ProblemSource(source=str(SHARED / "aime2024")))
    again = load_problems(ProblemSource(source=str(SHARED / "aime2024.jsonl")))
    fewer = load_problems(ProblemSource(source=str(SHARED / "aime2024"), num_problems=29))
    assert first.sha256 == again.sha256 != fewer.sha256
    assert "AIME 2024 has 30" in described(fewer)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MATH-500", "math500"),
        ("math_test", "math"),
        ("aime24", "aime2024"),
        ("Gaokao_En_2023", "gaokao2023en"),
        ("OlympiadBench", "olympiadbench"),
        ("omni-math", "omnimath"),
    ],
)
def test_other_names_mean_the_same(name: str, expected: str) -> None:
    found = find_benchmark(name)
    assert found is not None
    assert found.name == expected


def test_an_unknown_name_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither a file nor one of pocket/train.*math500.*omnimath"):
        load_problems(ProblemSource(source="maths500"))
    (tmp_path / "other.jsonl").write_text('{"problem": "q", "answer": "1"}\n')
    with pytest.raises(DataError, match=r"no file of gsm8k in .*other\.jsonl"):
        load_problems(ProblemSource(source=str(tmp_path / "gsm8k")))


HUB_ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "math500": ({"problem": "q", "answer": "1/2", "level": 3, "unique_id": "test/a/1.json"}, "1/2", "test/a/1.json"),
    "math": (
        {"problem": "q", "solution": "so \\boxed{\\frac{1}{2}}.", "level": "Level 1"},
        "\\frac{1}{2}",
        "math-algebra-0",
    ),
    "gsm8k": ({"question": "q", "answer": "1 + 1\n#### 1,024"}, "1024", "gsm8k-main-0"),
    "olympiadbench": ({"question": "q", "final_answer": ["$2$", "$-3$"], "id": 7}, "$2$, $-3$", "7"),
    "amc2023": ({"question": "q", "answer": 27.0, "id": 3}, "27.0", "3"),
}


@pytest.mark.parametrize("name", HUB_ROWS)
def test_rows_of_the_hub_become_problems(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row, answer, problem_id = HUB_ROWS[name]
    asked: list[tuple[str, str, str | None]] = []

    def read(repository: str, split: str, config: str | None = None) -> Any:
        asked.append((repository, split, config))
        return iter([row])

    monkeypatch.setattr(hub, "read_hub", read)
    problems = load_problems(ProblemSource(source=name)).problems
    source = BENCHMARKS[name].hub
    assert asked == [(source.repository, source.split, config) for config in source.configs]
    assert (problems[0].question, problems[0].answer, problems[0].id) == ("q", answer, problem_id)
    assert problems[0].source == source.repository


def test_a_changed_column_at_the_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "read_hub", lambda *_: iter([{"prompt": "q", "answer": "1"}]))
    with pytest.raises(DataError, match=r"HuggingFaceH4/MATH-500 has no column 'problem'"):
        load_problems(ProblemSource(source="math500"))


def test_without_a_connection_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="extra `hub` is not installed")

    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route")

    monkeypatch.setattr("datasets.load_dataset", fail)
    with pytest.raises(DataError, match=r"cannot be loaded from the hub: no route\. .*JSONL file"):
        load_problems(ProblemSource(source="gsm8k"))


def result(benchmark: str, problem: int, strategy: str, correct: bool | None) -> dict[str, Any]:
    numbers = {"tokens_generated": 300, "num_trajectories": 2, "seed": 0, "tier": None, "part": None}
    zero = dict.fromkeys(["tokens_scored", "model_calls", "executions", "cpu_seconds", "seconds"], 0)
    names = {"benchmark": benchmark, "model": "m", "strategy": strategy, "problem": str(problem)}
    return {**names, **numbers, **zero, "correct": correct}


def test_results_stand_beside_the_papers_figures() -> None:
    rows = [result("math500", i, s, i == 0) for i in range(2) for s in ("greedy", "mcts")]
    rows += [result("gsm8k", i, "greedy", None if i else True) for i in range(2)]
    accuracy, tokens = benchmark_tables(summarise(rows))
    assert [c.name for c in accuracy.columns] == [
        "benchmark", "problems", "greedy", "mcts", "base", "policy", "system", "64 traj."
    ]  # fmt: skip
    assert accuracy.rows[0] == ("MATH-500", "2 of 500", "50.0", "50.0", "58.8", "78.4", "89.4", "90.0")
    assert accuracy.rows[1] == ("GSM8K", "1 of 1319", "100.0", "-", "-", "-", "-", "-")
    assert [c.group for c in tokens.columns[2:6]] == ["problem"] * 2 + ["trajectory"] * 2
    assert tokens.rows[1] == ("GSM8K", "1 of 1319", "300", "-", "150", "-", "3,299")
    assert benchmark_tables(summarise([result("pocket/test", 0, "greedy", True)])) == []


def test_the_papers_figures_for_math_stand_beside_both_sets_of_it() -> None:
    paper = BENCHMARKS["math"].paper
    assert paper == BENCHMARKS["math500"].paper
    assert (paper.base, paper.policy, paper.system, paper.system_64) == (58.8, 78.4, 89.4, 90.0)
    table, _ = benchmark_tables(summarise([result("math", 0, "greedy", True)]))
    assert table.rows[0][-4:] == ("58.8", "78.4", "89.4", "90.0")
    assert "MATH-500" in table.note


def test_an_empty_answer_is_no_reference(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"problem": f"q{i}", "answer": a}) + "\n" for i, a in enumerate(["", " ", "0"])))
    assert [p.answer for p in load_problems(ProblemSource(source=str(path))).problems] == [None, None, "0"]
