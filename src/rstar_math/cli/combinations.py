"""What `rstar eval` measures: methods x models x sets of problems x budgets x seeds."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math import progress as progress_display
from rstar_math.checkpoints.ppm_file import FILE_NAME as PPM_FILE
from rstar_math.cli.settings import changed, runtime_with
from rstar_math.config import BudgetSettings, MethodSettings, ProblemSource, RuntimeSettings
from rstar_math.config.reading import check
from rstar_math.errors import ConfigError
from rstar_math.evaluation.methods import (
    Method,
    available,
    check_methods,
    named_reward_models,
    prepare,
    read_methods,
    same_searches,
    shipped_methods,
)
from rstar_math.models import ModelFolders, find_model
from rstar_math.problems.load import ProblemSet, described, load_problems

DEFAULT_STRATEGIES = ("greedy", "mcts")
WITHOUT_REWARD_MODEL = ("greedy", "sample")
"""The default where there is no reward model, without which a tree cannot value its answers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured.

    Attributes:
      models: as --model takes them.
      benchmarks: sets of problems.
      strategies: each a method by its own name, with the model's own settings.
      method_files: files of methods.
      tokens, rollouts, seconds: each value is a budget of its own; none at all: as the settings say.
      seeds: of every search.
      reward_models: NAME=FOLDER.
      baseline: method that the others are compared with; None: the files', or the first.
      limit: only the first so many problems.
      changes: KEY=VALUE for the settings of every method.
      shared: a completion or score that one method asked for is not made again for another.
      deterministic: the same rows to the last bit at any concurrency.
      pool_models: the models are one recipe under several training seeds: add a line over all.
    """

    models: Sequence[str]
    benchmarks: Sequence[str]
    strategies: Sequence[str] = ()
    method_files: Sequence[str] = ()
    tokens: Sequence[int] = ()
    rollouts: Sequence[int] = ()
    seconds: Sequence[float] = ()
    seeds: Sequence[int] = (0,)
    reward_models: Sequence[str] = ()
    baseline: str | None = None
    limit: int | None = None
    changes: Sequence[str] = ()
    pool_models: bool = False
    shared: bool = False
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """One file of rows."""

    order: tuple[int, str]  # of the work: those with the same models one after another, so that each is loaded once
    model: ModelFolders
    method: Method
    problems: ProblemSet
    seed: int
    path: Path


def evaluate_combinations(out: Path, asked: Asked, workers: int | None, concurrency: int) -> list[dict[str, Any]]:
    """Evaluates every combination and prints the tables; gives the result rows.

    Raises:
      ConfigError: a limit is out of range, or options do not go together.
    """
    from rstar_math.evaluation.rows import evaluate_method
    from rstar_math.report.evaluation import summarise
    from rstar_math.report.evaluation_tables import print_evaluation, write_evaluation
    from rstar_math.report.terminal import standard_output
    from rstar_math.store.files import write_json
    from rstar_math.workers.pool import WorkerPool

    models = [find_model(name) for name in dict.fromkeys(asked.models)]
    defaults = DEFAULT_STRATEGIES if all(model.reward_model for model in models) else WITHOUT_REWARD_MODEL
    methods, baseline = _methods(asked, defaults)
    if asked.limit is not None and asked.limit < 1:
        raise ConfigError(f"--limit is {asked.limit}; it must be at least 1")
    budgets = _budgets(asked)
    if asked.shared and asked.seconds:
        raise ConfigError("--shared and --seconds do not go together: what is shared takes no time")
    reward_models = named_reward_models(asked.reward_models)
    ready, notes = [], list[str]()
    for model in models:
        there = methods
        if all(name in shipped_methods() for name in asked.method_files):  # a list of one's own is meant as it stands
            there, left_out = available(methods, model, reward_models)
            notes += left_out
        ready.append(
            [
                prepare(method, model, budget, reward_models, lambda settings: changed(settings, asked.changes))
                for budget in budgets
                for method in there
            ]
        )
        notes += same_searches(ready[-1])
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)
    sets = [load_problems(ProblemSource(source=name, num_problems=asked.limit)) for name in asked.benchmarks]
    for problems in sets:
        print(described(problems))
    write_json(
        out / "benchmarks.json", [{"name": p.name, "sha256": p.sha256, "problems": len(p.problems)} for p in sets]
    )
    runs = [
        _Run(
            (i, method.reward_model),
            model,
            method,
            problems,
            seed,
            _rows_path(out, model, method, problems, seed, asked),
        )
        for problems in sets
        for i, model in enumerate(models)
        for method in ready[i]
        for seed in dict.fromkeys(asked.seeds)
    ]
    rows = {}
    runtime = runtime_with(RuntimeSettings(), workers, concurrency, asked.deterministic)
    if asked.shared:
        runtime = runtime.model_copy(update={"remember": str(out / "shared.sqlite")})
    with progress_display.for_terminal() as progress, WorkerPool(runtime) as pool:
        for run in sorted(runs, key=lambda r: r.order):
            problems = run.problems
            rows[run.path] = evaluate_method(
                pool, run.model, run.method, problems.problems, run.path, run.seed, problems.name, progress
            )
    found = [row for run in runs for row in rows[run.path]]
    summary = summarise(found, baseline, pooled=asked.pool_models)
    write_evaluation(out, summary)
    print_evaluation(standard_output(), summary)
    print(f"\n{out}")
    return found


def _methods(asked: Asked, defaults: Sequence[str]) -> tuple[list[MethodSettings], str | None]:
    """The methods of the files and the strategies, and the one that the others are compared with."""
    files = [read_methods(name) for name in asked.method_files]
    strategies = asked.strategies or (() if files else defaults)
    methods = [MethodSettings(name=name, strategy=name) for name in strategies]
    methods += [method for file in files for method in file.methods]
    baseline = asked.baseline or next((file.baseline for file in files if file.baseline), None)
    check_methods(methods, baseline, "the methods")
    return methods, baseline


def _budgets(asked: Asked) -> list[BudgetSettings | None]:
    budgets = [
        check(BudgetSettings, {name: value}, f"--{name}")
        for name in ("rollouts", "tokens", "seconds")
        for value in dict.fromkeys(getattr(asked, name))
    ]
    return list(budgets) or [None]


def _rows_path(out: Path, model: ModelFolders, method: Method, problems: ProblemSet, seed: int, asked: Asked) -> Path:
    """The file of rows, with what it holds beside it: other settings, reward models or problems make other rows."""
    from rstar_math.store.files import fingerprint, write_json

    key = {
        "settings": method.settings.model_dump(mode="json", exclude={"strategy"}),
        "problems": problems.sha256,
        "seed": seed,
    }
    key |= {"model": model.name, "strategy": method.strategy, "benchmark": problems.name}
    key |= {
        "method": method.name,
        "scorer": method.reward_model,
        "scorer_folder": str(method.reward_model_folder or ""),
    }
    key |= {"shared": asked.shared}  # seconds of such rows say nothing
    if asked.deterministic:
        key |= {"deterministic": True}
    if method.reward_model_folder is not None:  # its probe scores tell whether it was trained again
        key["scorer_file"] = fingerprint((method.reward_model_folder / PPM_FILE).read_text(encoding="utf-8"))
    name = re.sub(r"[^\w.-]+", "-", f"{problems.name}-{method.name}")
    path = out / "rows" / f"{name}-{fingerprint(key)}.jsonl"
    write_json(path.with_suffix(".json"), key)
    return path
