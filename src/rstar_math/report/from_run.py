"""From the files of a run to its report: only what is on disk counts, so a run in progress can be reported too."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rstar_math.config.reading import load_recipe
from rstar_math.engines.accelerators import num_cuda_devices
from rstar_math.metrics import precision_and_coverage
from rstar_math.models import read_answering
from rstar_math.problems.load import ProblemSet
from rstar_math.report.cluster import cluster_used
from rstar_math.report.growth import counts_by_part, counts_by_tier, growth, shares_by_part, shares_by_tier
from rstar_math.report.schema import (
    NOT_REPRODUCED,
    BaseNumbers,
    Confidence,
    ProblemSetUsed,
    Report,
    RoundNumbers,
    StepCalibration,
    SuspectReferenceFound,
)
from rstar_math.stages.problems import RunProblems, load_run_problems
from rstar_math.store.files import read_json
from rstar_math.store.journal import read_journal, tell_spoiled
from rstar_math.store.manifest import Manifest
from rstar_math.store.paths import shown
from rstar_math.store.records import read_solved
from rstar_math.store.result_rows import UNREADABLE, read_results, wrong_in_result
from rstar_math.store.round import EVENTS_FILE, RECIPE_FILE, Base, Round, parts_in
from rstar_math.store.run import require_recipe_unchanged, wrong_in_event
from rstar_math.store.run_files import Control, checked, read_as, read_control
from rstar_math.types import Cost


def report_of(folder: Path, command: str | None = None) -> Report:
    """The report of a run folder: its base, and the rounds that are whole.

    Raises:
      DataError: a file of the run cannot be read.
      RunError: the recipe or a file of a finished stage was changed since it was made.
      ConfigError: the folder holds no recipe, or its problems cannot be loaded any more.
    """
    require_recipe_unchanged(folder)
    recipe = load_recipe(str(folder / RECIPE_FILE))
    problems = load_run_problems(recipe)
    for part in parts_in(folder):
        Manifest(part).verify(may_lack=True)
    base, events = Base(folder), folder / EVENTS_FILE
    control = read_control(base.control) if base.control.exists() else None
    base_rows = _rows(base.results("greedy"))
    for path, wrong_in in ((base.results("greedy"), wrong_in_result), (events, wrong_in_event)):
        tell_spoiled(path, read_journal(path, wrong_in), "left out")
    whole = list(itertools.takewhile(_is_measured, Round(folder, len(recipe.rounds)).since(1)))
    rounds, solved_before = [], set[str]()
    for this in whole:
        solved_round = read_solved(this.trajectories)
        solved_before |= solved_round
        rounds.append(_round(this, problems, solved_round, set(solved_before), control))
    last = whole[-1] if whole else None
    return Report(
        recipe=recipe.name,
        seed=recipe.seed,
        base=_base(base_rows, problems.evaluation),
        rounds=tuple(rounds),
        growth=growth(
            _outcomes(base_rows),
            [_outcomes(_rows(this.results("greedy"))) for this in whole],
            _outcomes(_rows(last.results("system"))),
            problems.evaluation.problems,
        )
        if last
        else None,
        confidence=_confidence(last, problems) if last else None,
        suspect_references=_suspects(last) if last else (),
        cluster=cluster_used(read_journal(events, wrong_in_event)),
        num_training_problems=counts_by_tier(problems.training.problems),
        problem_sets={k: _used(v) for k, v in vars(problems).items() if isinstance(v, ProblemSet)}
        | {f"round {number}": _used(own) for number, own in problems.of_rounds.items()},
        command=command,
        hardware=hardware(),
        versions={name: version(name) for name in ("rstar-math", "torch", "transformers")}
        | {"python": platform.python_version()},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def hardware() -> str:
    """The machine in a few words: processor architecture, cores, memory, accelerators."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{len(os.sched_getaffinity(0))} CPU cores ({platform.machine()})", f"{memory_gib:.0f} GiB of memory"]
    if count := num_cuda_devices():
        import torch

        parts.append(f"{count} x {torch.cuda.get_device_name()}")
    return ", ".join(parts)


def _base(rows: list[dict[str, Any]], held_out: ProblemSet) -> BaseNumbers:
    outcomes = _outcomes(rows)
    return BaseNumbers(
        policy_greedy=shares_by_tier(outcomes, held_out.problems) if outcomes else None,
        num_problems=counts_by_tier(held_out.problems),
        policy_greedy_parts=shares_by_part(outcomes, held_out.problems) if outcomes else None,
        policy_greedy_tokens_per_problem=_mean(rows, "tokens_generated"),
        num_problems_parts=counts_by_part(held_out.problems),
    )


def _is_measured(this: Round) -> bool:
    return "evaluate" in Manifest(this.folder)


def _round(
    this: Round,
    problems: RunProblems,
    solved_round: set[str],
    solved_so_far: set[str],
    control: Control | None,
) -> RoundNumbers:
    stages = Manifest(this.folder)
    greedy, system = _rows(this.results("greedy")), _rows(this.results("system"))
    training, held_out = problems.training.problems, problems.evaluation.problems
    greedy_outcomes, system_outcomes = _outcomes(greedy), _outcomes(system)
    calibration, has_ppm = _calibration(stages), "ppm" in stages
    controlled, num_control = None, None
    if control is not None and this.number <= len(control.rounds):
        solved = set(control.rounds[this.number - 1].solved)
        subset = [p for p in training if p.id in set(control.problems)]
        controlled = shares_by_tier({p.id: float(p.id in solved) for p in subset}, subset)
        num_control = len(subset)
    dropped = {
        NOT_REPRODUCED: stages.count("select", "num_not_reproduced"),
        "trajectories too long to train on": stages.count("policy", "num_too_long"),
        "pairs too long to train on": stages.count("ppm", "num_too_long") if has_ppm else 0,
        UNREADABLE: sum(len(read_results(this.results(name)).spoiled) for name in ("greedy", "system", "threshold")),
        "trajectories of answers not reproduced": sum(r.get("num_not_reproduced", 0) for r in [*greedy, *system]),
        "answers whose grading timed out": sum(bool(r["grading_timed_out"]) for r in [*greedy, *system]),
    }
    return RoundNumbers(
        round=this.number,
        policy_greedy=shares_by_tier(greedy_outcomes, held_out) if greedy_outcomes else None,
        system=shares_by_tier(system_outcomes, held_out) if system_outcomes else None,
        solved=shares_by_tier({p.id: float(p.id in solved_so_far) for p in training}, training),
        solved_round=shares_by_tier({p.id: float(p.id in solved_round) for p in training}, training),
        control=controlled,
        ppm_pair_accuracy=stages.share("ppm", "pair_accuracy") if has_ppm else None,
        num_trajectories=stages.count("policy", "num_trajectories"),
        num_pairs=stages.count("ppm", "num_pairs") if has_ppm else None,
        cost=_search_cost(this),
        policy_greedy_parts=shares_by_part(greedy_outcomes, held_out) if greedy_outcomes else None,
        system_parts=shares_by_part(system_outcomes, held_out) if system_outcomes else None,
        policy_greedy_tokens_per_problem=_mean(greedy, "tokens_generated"),
        system_tokens_per_problem=_mean(system, "tokens_generated"),
        system_tokens_scored_per_problem=_mean(system, "tokens_scored"),
        num_control_problems=num_control,
        ppm_pair_baselines=_pair_baselines(stages) if has_ppm else None,
        num_ppm_pairs_held_out=stages.count("ppm", "num_measuring_pairs") if has_ppm else None,
        ppm_calibration_error=calibration.expected_calibration_error if calibration else None,
        ppm_calibration=calibration,
        stage_seconds=_stage_seconds(this),
        dropped={name: count for name, count in dropped.items() if count or name == NOT_REPRODUCED},
    )


def _pair_baselines(stages: Manifest) -> dict[str, float] | None:
    """Pair accuracy of simple rules, as far as the run measured them."""
    keys = {name: f"pair_accuracy_by_{name}" for name in ("length", "logprob", "logprob_per_token")}
    found = {name: stages.share("ppm", key) for name, key in keys.items() if key in stages["ppm"]}
    return {name: share for name, share in found.items() if share is not None} or None


def _calibration(stages: Manifest) -> StepCalibration | None:
    """What the stage measured; None in a run of an earlier version, or where there was nothing to measure on."""
    if "calibrate" not in stages:
        return None
    where = f"{shown(stages.path)}, stages.calibrate.ppm"
    return checked(stages["calibrate"].get("ppm"), StepCalibration | None, where)  # type: ignore[arg-type]


def _confidence(this: Round, problems: RunProblems) -> Confidence | None:
    answering, threshold = read_answering(this.answering)
    rows = [r for r in _rows(this.results("system")) if r["correct"] is not None]
    if answering is None or not rows or problems.threshold is None:
        return None
    familiar = [r for r in rows if not r.get("outside")]
    precision, reached = precision_and_coverage(
        [r["confidence"] for r in familiar],
        [r["correct"] for r in familiar],
        math.inf if threshold is None else threshold,
    )
    value = {
        "threshold": threshold,
        "precision": precision,
        "coverage": reached * len(familiar) / len(rows),
        "outside": 1 - len(familiar) / len(rows) if rows[0].get("outside") is not None else None,
        "target_precision": read_json(this.answering).get("target_precision"),
        "chosen_on": problems.threshold.name,
        "measured_on": problems.evaluation.name,
        "num_problems": len(rows),
    }
    return checked(value, Confidence, shown(this.answering))


def _search_cost(this: Round) -> Cost:
    """The cost of a round's search; its seconds are those of the clock on the wall, not the sum over trees."""
    cost = read_as(this.search_cost, Cost)
    return replace(cost, seconds=_stage_seconds(this).get("search", cost.seconds))


def _suspects(this: Round) -> tuple[SuspectReferenceFound, ...]:
    path = this.suspect_references
    return read_as(path, tuple[SuspectReferenceFound, ...]) if path.exists() else ()


def _stage_seconds(this: Round) -> dict[str, float]:
    """Wall seconds of each stage, as far as it ran without a stop."""
    events = [row for row in read_journal(this.run / EVENTS_FILE, wrong_in_event) if row["event"] == "stage"]
    return {e["stage"]: e["seconds"] for e in events if e["round"] == this.number}


def _rows(path: Path) -> list[dict[str, Any]]:
    return list(read_results(path))


def _outcomes(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """Problem id -> 1 right, 0 wrong; None where nothing was measured."""
    return {r["problem"]: float(r["correct"]) for r in rows if r["correct"] is not None} or None


def _mean(rows: list[dict[str, Any]], column: str) -> float | None:
    return sum(r[column] for r in rows) / len(rows) if rows else None


def _used(problems: ProblemSet) -> ProblemSetUsed:
    return ProblemSetUsed(name=problems.name, num_problems=len(problems.problems), sha256=problems.sha256)
