"""Evaluation: strategies and models on problems that have references, one row per problem, resumable.

The row schema is final: later work only adds columns (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rstar_math.config import AnsweringSettings
from rstar_math.evaluation.methods import Method
from rstar_math.models import ModelFolders
from rstar_math.progress import Progress
from rstar_math.search.choice import is_sure
from rstar_math.search.strategies import strategy
from rstar_math.store.result_rows import wrong_in_result
from rstar_math.store.rows import RowStore
from rstar_math.types import Problem
from rstar_math.workers.jobs import Answered, AnswerJob, Task
from rstar_math.workers.pool import Pool


def evaluate(
    pool: Pool,
    model: ModelFolders,
    settings: AnsweringSettings,
    problems: Sequence[Problem],
    path: Path,
    seed: int,
    benchmark: str,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Answers every problem with the model's own reward model, and grades the answers.

    Args:
      pool: where the work is done.
      model: the policy, and its reward model where the strategy uses one.
      settings: how it searches and chooses.
      problems: with references; a problem without one gets `correct: null`.
      path: JSON Lines file of rows; rows that stand there already are not made again.
      seed: of every search.
      benchmark: name of the set of problems, for the rows.
      progress: hears of every problem.

    Returns:
      One row per problem, in the order of `problems`.
    """
    search, way = settings.search, strategy(settings.strategy)
    scored = not way.is_deterministic and (search.use_ppm or search.terminal_value == "ppm")
    folder = model.reward_model if scored else None
    method = Method(settings.strategy, settings, "ppm" if folder else "none", folder)
    return evaluate_method(pool, model, method, problems, path, seed, benchmark, progress)


def evaluate_method(
    pool: Pool,
    model: ModelFolders,
    method: Method,
    problems: Sequence[Problem],
    path: Path,
    seed: int,
    benchmark: str,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Answers every problem by a method; otherwise as `evaluate`."""
    job = AnswerJob(model.policy, method.reward_model_folder, method.settings)
    budget = method.settings.budget.name
    suffix = f"|{budget}" if budget else ""
    with RowStore(path, wrong_in_result) as rows:
        keys = {p.id: f"{benchmark}|{model.name}|{method.name}|{seed}|{p.id}{suffix}" for p in problems}
        todo = [Task(p, seed) for p in problems if keys[p.id] not in rows]
        stage = ", ".join(part for part in (benchmark, model.name, method.name, budget) if part)
        progress.start(stage, len(problems), len(problems) - len(todo))
        for task, result in pool.run(job, todo):
            assert isinstance(result, Answered)
            row = to_row(task.problem, result, benchmark, model, method, seed, is_shared=pool.is_remembering)
            rows.append({"key": keys[task.problem.id], **row})
            progress.advance(result.solution.cost.tokens_generated, result.correct)
        progress.finish()
        return [rows[keys[p.id]] for p in problems]


def to_row(
    problem: Problem,
    answered: Answered,
    benchmark: str,
    model: ModelFolders,
    method: Method,
    seed: int,
    *,
    is_shared: bool = False,
) -> dict[str, Any]:
    """The result row of one problem."""
    solution = model.with_outside(answered.solution, problem.question)
    is_own = method.reward_model_folder == model.reward_model
    return {
        "benchmark": benchmark,
        "model": model.name,
        "strategy": method.strategy,
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
        "sure": is_sure(solution, method.settings, model.answering, model.threshold) if is_own else None,
        "outside": solution.outside,
        "num_trajectories": len(solution.candidates),
        "solution": "".join(s.text + s.observation for s in solution.reasoning_trace),
        **asdict(solution.cost),
        "method": method.name,
        "scorer": method.reward_model,
        "budget": budget_of(method.settings),
        "num_rollouts": answered.num_rollouts,
        "process_cpu_seconds": answered.process_cpu_seconds,
        "shared": is_shared,
        "num_not_reproduced": solution.num_not_reproduced,
        "candidate_kind": strategy(method.strategy).candidates,
        "candidates": {
            "classes": [c.answer_class for c in answered.candidates],
            "correct": [c.correct for c in answered.candidates],
            "values": [_rounded(c.value) for c in answered.candidates],
            "log_scores": [_rounded(c.log_score) for c in answered.candidates],
            "logprobs": [_rounded(c.logprob) for c in answered.candidates],
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def budget_of(settings: AnsweringSettings) -> dict[str, float] | None:
    """The limits of one answer, those that there are; None without any."""
    return settings.budget.model_dump(exclude_none=True) or None


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
