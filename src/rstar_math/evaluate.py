"""Evaluation: strategies and models on problems that have references, one row per problem, resumable.

The row schema is final: later work only adds columns (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rstar_math.config import AnsweringSettings
from rstar_math.models import ModelFolders
from rstar_math.progress import Progress
from rstar_math.store.rows import RowStore
from rstar_math.types import Problem
from rstar_math.workers import Answered, AnswerJob, Task, WorkerPool


def evaluate(
    pool: WorkerPool,
    model: ModelFolders,
    strategy: str,
    settings: AnsweringSettings,
    problems: Sequence[Problem],
    path: Path,
    seed: int,
    benchmark: str,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Answers every problem and grades the answers.

    Args:
      pool: where the work is done.
      model: the policy, and its PPM where the strategy uses one.
      strategy: name of a strategy.
      settings: how it searches and chooses.
      problems: with references; a problem without one gets `correct: null`.
      path: JSON Lines file of rows; rows that stand there already are not made again.
      seed: of every search.
      benchmark: name of the set of problems, for the rows.
      progress: hears of every problem.

    Returns:
      One row per problem, in the order of `problems`.
    """
    uses_ppm = strategy != "greedy" and (settings.search.use_ppm or settings.search.terminal_value == "ppm")
    job = AnswerJob(model.policy, model.ppm if uses_ppm else None, strategy, settings)
    with RowStore(path) as rows:
        keys = {p.id: f"{benchmark}|{model.name}|{strategy}|{seed}|{p.id}" for p in problems}
        todo = [Task(p, seed) for p in problems if keys[p.id] not in rows]
        progress.start(f"{benchmark}, {model.name}, {strategy}", len(problems), len(problems) - len(todo))
        for task, result in pool.run(job, todo):
            assert isinstance(result, Answered)
            row = to_row(task.problem, result, benchmark, model, strategy, seed)
            rows.append({"key": keys[task.problem.id], **row})
            progress.advance(result.solution.cost.tokens_generated, result.correct)
        progress.finish()
        return [rows[keys[p.id]] for p in problems]


def to_row(
    problem: Problem, answered: Answered, benchmark: str, model: ModelFolders, strategy: str, seed: int
) -> dict[str, Any]:
    """The result row of one problem."""
    solution = answered.solution
    confident = model.threshold is not None and strategy == "mcts"
    return {
        "benchmark": benchmark,
        "model": model.name,
        "strategy": strategy,
        "seed": seed,
        "problem": problem.id,
        "tier": problem.tier,
        "part": problem.part,
        "reference": problem.answer,
        "answer": solution.answer,
        "correct": answered.correct,
        "any_correct": answered.any_correct,
        "grading_timed_out": answered.timed_out,
        "confidence": solution.confidence,
        "sure": solution.confidence >= model.threshold if confident and model.threshold is not None else None,
        "num_trajectories": len(solution.candidates),
        "solution": "".join(s.text + s.observation for s in solution.reasoning_trace),
        **asdict(solution.cost),
    }


def accuracy_by(rows: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    """Accuracy of rows by the value of a column, and over "all"; a missing reference leaves a row out."""
    graded = [r for r in rows if r["correct"] is not None]
    groups: dict[str, list[bool]] = {}
    for row in graded:
        if row[key] is not None:
            groups.setdefault(row[key], []).append(row["correct"])
    accuracy = {name: sum(v) / len(v) for name, v in sorted(groups.items())}
    if graded:
        accuracy["all"] = sum(r["correct"] for r in graded) / len(graded)
    return accuracy


def accuracy_by_part(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Accuracy by tier, for each part of the problems ("seen" and "novel" compositions) apart."""
    parts = sorted({r["part"] for r in rows if r["part"] is not None})
    return {part: accuracy_by([r for r in rows if r["part"] == part], "tier") for part in parts}
