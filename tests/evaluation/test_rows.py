"""Evaluation over the fakes: rows at equal budgets, candidates that tell how the choice was made, resuming."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rstar_math.workers.pool
from rstar_math.cli.combinations import Asked, evaluate_combinations
from rstar_math.config import AnsweringSettings, BudgetSettings, RuntimeSettings, SearchSettings
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.errors import ConfigError
from rstar_math.evaluation.methods import Method
from rstar_math.evaluation.rows import evaluate, evaluate_method
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.models import ModelFolders
from rstar_math.progress import Progress
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench
from rstar_math.workers.jobs import Job, Result, Task, work
from rstar_math.workers.pool import WorkerPool

PROBLEMS = [Problem(f"p{i}", f"Question {i}?", str(i % 3), tier="gsm" if i % 2 else "math") for i in range(6)]
MODEL = ModelFolders("fake", Path("policy"), Path("ppm"))


class InlinePool(WorkerPool):
    """Does the work of a pool in this process, over the fakes, and starts nothing."""

    def __init__(self, runtime: RuntimeSettings | None = None) -> None:
        self._workers = []
        self._runtime = runtime or RuntimeSettings()
        self.done: list[str] = []

    def run(self, job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        for task in tasks:
            self.done.append(task.problem.id)
            reward_model = FakeRewardModel() if job.reward_model else None
            bench = Workbench(FakeEngine(FakePolicy()), FakeExecutor(), FakeGrader(), reward_model)
            yield task, asyncio.run(work(job, task, bench))


def method(name: str, strategy: str, *, scored: bool = True, tokens: int | None = None, **answering: Any) -> Method:
    search = SearchSettings(num_rollouts=3, num_candidates=4, terminal_value="ppm", use_ppm=scored, max_step_tokens=40)
    settings = AnsweringSettings(strategy=strategy, search=search, budget=BudgetSettings(tokens=tokens), **answering)
    folder = Path("ppm") if scored else None
    return Method(name, settings, "ppm" if scored else "none", folder)


def rows_of(tmp_path: Path, ready: Method, pool: InlinePool | None = None) -> list[dict[str, Any]]:
    path = tmp_path / f"{ready.name}.jsonl"
    return evaluate_method(pool or InlinePool(), MODEL, ready, PROBLEMS, path, 0, "fake/test", Progress())


def test_methods_spend_the_same_tokens(tmp_path: Path) -> None:
    ready = [
        method("maj", "sample", scored=False, tokens=400, selector="majority"),
        method("vote", "sample", tokens=400, selector="vote"),
        method("mcts", "mcts", tokens=400),
    ]
    means = {}
    for each in ready:
        rows = rows_of(tmp_path, each)
        assert all(row["budget"] == {"tokens": 400} for row in rows)
        means[each.name] = sum(row["tokens_generated"] for row in rows) / len(rows)
    assert all(0.85 * 400 < mean < 1.15 * 400 for mean in means.values()), means


def test_the_candidates_of_samples_say_how_the_majority_went(tmp_path: Path) -> None:
    decided = 0
    for row in rows_of(tmp_path, method("maj", "sample", scored=False, tokens=800, selector="majority")):
        found = row["candidates"]
        assert len(found["classes"]) == len(found["correct"]) == len(found["values"]) == row["num_rollouts"] > 8
        assert sum(c is not None for c in found["classes"]) <= row["num_trajectories"] < row["num_rollouts"]
        assert row["any_correct"] == any(found["correct"])
        right = {c for c, correct in zip(found["classes"], found["correct"], strict=True) if correct}
        assert len(right) <= 1  # equivalent answers are right together
        votes = Counter(c for c in found["classes"] if c is not None).most_common(2)
        if len(votes) == 1 or votes[0][1] > votes[1][1]:
            decided += 1
            assert row["correct"] == (votes[0][0] in right)
        assert set(found["values"]) == {None}
    assert decided


def test_the_candidates_of_a_tree_say_which_was_best(tmp_path: Path) -> None:
    for row in rows_of(tmp_path, method("mcts", "mcts", tokens=600, selector="best")):
        found = row["candidates"]
        assert len(found["classes"]) == row["num_trajectories"] <= row["num_rollouts"]
        best = max(range(len(found["values"])), key=lambda i: found["values"][i] or 0.0)
        assert found["correct"][best] == row["correct"]


def test_rows_are_not_made_again_and_budgets_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def ask(tokens: int | None) -> list[str]:
        pool = InlinePool()
        ready = method("maj", "sample", scored=False, tokens=tokens, selector="majority")
        evaluate_method(pool, MODEL, ready, PROBLEMS, path, 0, "fake/test", Progress())
        return pool.done

    assert len(ask(200)) == len(PROBLEMS)
    assert len(ask(400)) == len(PROBLEMS)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-2]) + "\n" + lines[-2][:40])  # killed while it wrote
    assert ask(200) == []
    assert ask(400) == [PROBLEMS[-2].id, PROBLEMS[-1].id]
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert len(set(keys)) == len(keys) == 2 * len(PROBLEMS)


def test_a_strategy_alone_is_a_method_of_its_own_name(tmp_path: Path) -> None:
    settings = method("", "mcts").settings
    rows = evaluate(InlinePool(), MODEL, settings, PROBLEMS, tmp_path / "rows", 0, "fake/test", Progress())
    assert {(r["method"], r["scorer"], r["budget"]) for r in rows} == {("mcts", "ppm", None)}
    assert rows[0]["key"] == "fake/test|fake|mcts|0|p0"


def test_a_problem_without_reference_has_candidates_that_are_not_graded(tmp_path: Path) -> None:
    ready = method("maj", "sample", scored=False, selector="majority")
    problems = [Problem("q", "Question?")]
    path = tmp_path / "rows.jsonl"
    (row,) = evaluate_method(InlinePool(), MODEL, ready, problems, path, 0, "fake/test", Progress())
    assert (row["correct"], row["any_correct"]) == (None, None)
    assert set(row["candidates"]["correct"]) == {None}
    assert any(c is not None for c in row["candidates"]["classes"])


METHODS = """
baseline: vote
methods:
  - {name: greedy, strategy: greedy}
  - {name: vote, strategy: sample, answering: {selector: vote, search: {num_rollouts: 1}}}
  - {name: paper, strategy: mcts, answering: {selector: best, aggregate: last, search: {num_rollouts: 1000}}}
"""


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """Methods, problems and a pool over the fakes for the command."""
    monkeypatch.setattr(rstar_math.workers.pool, "WorkerPool", InlinePool)
    (tmp_path / "methods.yaml").write_text(METHODS)
    problems = [{"problem": p.question, "answer": p.answer, "id": p.id, "tier": p.tier} for p in PROBLEMS]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(p) + "\n" for p in problems))
    return Asked(
        models=["pocket"],
        benchmarks=[str(tmp_path / "problems.jsonl")],
        method_files=[str(tmp_path / "methods.yaml")],
        tokens=[400, 800],
    )


def test_one_command_measures_methods_budgets_and_seeds(
    inline: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    evaluate_combinations(tmp_path / "out", replace(inline, seeds=[0, 1]), workers=1, concurrency=4)
    value = json.loads((tmp_path / "out" / "summary.json").read_text())
    lines = {(r["budget"], r["method"]): r for r in value["rows"]}
    assert list(lines) == [(b, m) for b in ("400 tokens", "800 tokens") for m in ("greedy", "vote", "paper")]
    for (budget, name), line in lines.items():
        assert (line["num_problems"], line["num_seeds"]) == (6, 2)
        assert line["difference_to"] == (None if name == "vote" else "vote")
        assert line["is_unequal"] == (name == "greedy"), (budget, name)
        assert (line["curves"]["pass_at_k"] is not None) == (name == "vote")
        assert (line["curves"]["solved_by_first"] is not None) == (name == "paper")
    assert (tmp_path / "out" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "NOT at equal budgets" in text
    rows = tmp_path / "out" / "rows"
    before = {p: p.read_bytes() for p in rows.iterdir()}
    assert len(before) == 2 * 2 * 2 * 3
    evaluate_combinations(tmp_path / "out", replace(inline, seeds=[0, 1]), workers=1, concurrency=4)
    assert before == {p: p.read_bytes() for p in rows.iterdir()}


def test_what_cannot_be_measured_is_refused_before_anything_runs(inline: Asked, tmp_path: Path) -> None:
    from dataclasses import replace

    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"tokens": [0]}, "--tokens: tokens is 0"),
        ({"baseline": "nobody"}, "baseline is 'nobody'"),
        ({"strategies": ["greedy"]}, "two methods are called 'greedy'"),
        ({"limit": 0}, "--limit is 0"),
        ({"shared": True, "seconds": [1.0]}, "--shared and --seconds"),
        ({"changes": ["search.nothing=1"]}, "search.nothing is not a known key"),
    ]
    for wrong, message in wrongs:
        with pytest.raises(ConfigError, match=message):
            evaluate_combinations(tmp_path / "out", replace(inline, **wrong), workers=1, concurrency=4)
    assert not (tmp_path / "out").exists()


def test_what_is_shared_is_timed_by_nobody(inline: Asked, tmp_path: Path) -> None:
    from dataclasses import replace

    evaluate_combinations(tmp_path / "out", replace(inline, shared=True), workers=1, concurrency=4)
    rows = [
        json.loads(line) for p in (tmp_path / "out" / "rows").glob("*.jsonl") for line in p.read_text().splitlines()
    ]
    assert all(row["shared"] for row in rows)
    markdown = (tmp_path / "out" / "summary.md").read_text()
    assert "seconds were not measured" in markdown
    evaluate_combinations(tmp_path / "out", inline, workers=1, concurrency=4)  # timed rows are others
    assert "seconds were not measured" not in (tmp_path / "out" / "summary.md").read_text()
