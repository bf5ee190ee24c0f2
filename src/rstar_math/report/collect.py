"""From the folder of a run to its report: reads what the finished stages left, changes nothing.

A run that is still going on, or was stopped, gives a report of the rounds that are whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError
from rstar_math.evaluate import accuracy_by, accuracy_by_part
from rstar_math.metrics import Interval, mean_by_group, paired_difference, precision_and_coverage
from rstar_math.report.schema import (
    BaseNumbers,
    Confidence,
    Growth,
    ProblemSetUsed,
    Report,
    RoundNumbers,
)
from rstar_math.store.files import read_json, read_jsonl
from rstar_math.store.recipes import load_recipe
from rstar_math.store.records import read_rows
from rstar_math.types import Cost

Rows = Sequence[Mapping[str, Any]]
"""Result rows of `rstar_math.evaluate`, one per problem."""


def collect_report(run_dir: Path) -> Report:
    """The report of a run, of all rounds that are whole.

    Raises:
      DataError: the folder is not a run, its base has not been measured yet, or one of its files cannot be read.
    """
    if not (run_dir / "recipe.yaml").exists():
        raise DataError(f"{run_dir} is not the folder of a run: it has no recipe.yaml")
    recipe = load_recipe(str(run_dir / "recipe.yaml"))
    events = _events(run_dir / "events.jsonl")
    started = next((e for e in events if e["event"] == "start"), {})
    base_rows = _rows(run_dir / "base", "greedy")
    if base_rows is None:
        raise DataError(f"{run_dir} holds no numbers yet: the base model has not been measured; let the run go on")
    folders = _whole_rounds(run_dir)
    training = _training_tiers(folders)
    verified = [set(read_column(f / "trajectories.parquet", "problem")) for f in folders]
    return Report(
        recipe=recipe.name,
        seed=recipe.seed,
        base=BaseNumbers(
            policy_greedy=accuracy_by(base_rows, "tier"),
            num_problems=_counts(base_rows),
            policy_greedy_parts=accuracy_by_part(base_rows) or None,
            policy_greedy_tokens_per_problem=_mean(base_rows, "tokens_generated"),
            num_problems_parts={
                part: _counts([r for r in base_rows if r["part"] == part])
                for part in sorted({r["part"] for r in base_rows if r["part"] is not None})
            }
            or None,
        ),
        rounds=tuple(
            _round(run_dir, number, folder, training, verified[:number], events)
            for number, folder in enumerate(folders, start=1)
        ),
        growth=_growth(base_rows, folders) if folders else None,
        confidence=_confidence(folders[-1]) if folders else None,
        num_training_problems=_counts([{"tier": tier} for tier in training.values()]) if training else None,
        problem_sets={use: ProblemSetUsed(**s) for use, s in started.get("problem_sets", {}).items()},
        command=started.get("command"),
        hardware=started.get("hardware"),
        versions=started.get("versions", {}),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _round(
    run_dir: Path,
    number: int,
    folder: Path,
    training: Mapping[str, str | None],
    verified: Sequence[set[str]],
    events: Sequence[dict[str, Any]],
) -> RoundNumbers:
    made = read_json(folder / "manifest.json")["stages"]
    greedy, system = _rows(folder, "greedy") or [], _rows(folder, "system")
    seconds: dict[str, float] = {}
    for e in events:
        if e["event"] == "stage" and e["round"] == number:
            seconds[e["stage"]] = seconds.get(e["stage"], 0.0) + e["seconds"]
    cost = Cost(**read_json(folder / "search-cost.json"))
    cost.seconds = sum(seconds.values())  # the file sums the wall seconds of searches that ran side by side
    control = _control(run_dir / "base", number, training)
    ppm = made["ppm"]
    baselines = {"length": ppm.get("pair_accuracy_by_length"), "logprob": ppm.get("pair_accuracy_by_logprob")}
    return RoundNumbers(
        round=number,
        policy_greedy=accuracy_by(greedy, "tier") or None,
        system=accuracy_by(system, "tier") if system else None,
        solved=_solved(set().union(*verified), training),
        solved_round=_solved(verified[-1], training),
        control=control.solved if control else None,
        ppm_pair_accuracy=ppm["pair_accuracy"],
        num_trajectories=made["policy"]["num_trajectories"],
        num_pairs=ppm["num_pairs"],
        cost=cost,
        policy_greedy_parts=accuracy_by_part(greedy) or None,
        system_parts=(accuracy_by_part(system) or None) if system else None,
        policy_greedy_tokens_per_problem=_mean(greedy, "tokens_generated"),
        system_tokens_per_problem=_mean(system, "tokens_generated"),
        system_tokens_scored_per_problem=_mean(system, "tokens_scored"),
        num_control_problems=control.num_problems if control else None,
        ppm_pair_baselines={name: value for name, value in baselines.items() if value is not None} or None,
        num_ppm_pairs_held_out=ppm["num_measuring_pairs"],
        ppm_calibration_error=ppm["calibration_error"],
        stage_seconds=seconds,
        dropped={
            "trajectories_not_reproduced": made["select"]["num_not_reproduced"],
            "trajectories_too_long": made["policy"]["num_too_long"],
            "pairs_too_long": ppm["num_too_long"],
            "evaluation_answers_not_graded_in_time": sum(r["grading_timed_out"] for r in [*greedy, *(system or [])]),
        },
    )


def _growth(base_rows: Rows, folders: Sequence[Path]) -> Growth:
    last, system = _rows(folders[-1], "greedy"), _rows(folders[-1], "system")
    first = _rows(folders[0], "greedy") if len(folders) > 1 else None
    return Growth(
        base_to_last=difference_by_tier(last, base_rows) if last else None,
        round_1_to_last=difference_by_tier(last, first) if last and first else None,
        system_over_policy=difference_by_tier(system, last) if system and last else None,
    )


def difference_by_tier(after: Rows, before: Rows) -> dict[str, Interval]:
    """Accuracy of `after` - `before` on the problems that both have, by tier and over "all", with 95 % intervals."""
    earlier = {r["problem"]: r for r in before if r["correct"] is not None}
    both = [r for r in after if r["correct"] is not None and r["problem"] in earlier]
    groups = {tier: [r for r in both if r["tier"] == tier] for tier in _tiers(both)}
    if both:
        groups["all"] = both
    return {
        tier: paired_difference([r["correct"] for r in rows], [earlier[r["problem"]]["correct"] for r in rows])
        for tier, rows in groups.items()
    }


def _confidence(folder: Path) -> Confidence | None:
    path = folder / "answering.json"
    rows = [r for r in _rows(folder, "system") or [] if r["correct"] is not None]
    answering = read_json(path) if path.exists() else {}
    if not rows or answering.get("threshold") is None:
        return None
    precision, coverage = precision_and_coverage(
        [r["confidence"] for r in rows], [r["correct"] for r in rows], answering["threshold"]
    )
    return Confidence(
        threshold=answering["threshold"],
        precision=precision,
        coverage=coverage,
        chosen_on=answering.get("chosen_on") or "problems that are not named",
        measured_on=rows[0]["benchmark"],
        num_problems=len(rows),
    )


@dataclass(frozen=True, slots=True)
class _Control:
    solved: dict[str, float]
    num_problems: int


def _control(base: Path, number: int, training: Mapping[str, str | None]) -> _Control | None:
    if not (base / "control.json").exists():
        return None
    measured = read_json(base / "control.json")
    sampled = {i: training.get(i) for i in measured["problems"]}
    return _Control(_solved(set(measured["rounds"][number - 1]["solved"]), sampled), len(sampled))


def _solved(solved: set[str], tiers: Mapping[str, str | None]) -> dict[str, float]:
    """Share of the problems that are in `solved`, by tier and over "all"."""
    in_order = sorted(tiers, key=lambda i: (tiers[i] or "", i))
    return mean_by_group({i: float(i in solved) for i in in_order}, tiers)


def _training_tiers(folders: Sequence[Path]) -> dict[str, str | None]:
    """The tier of every problem that the first round searched, by id."""
    tiers: dict[str, str | None] = {}
    for part in sorted((folders[0] / "trees").glob("part-*.parquet")) if folders else []:
        tiers.update((p["id"], p["tier"]) for p in read_column(part, "problem"))
    return tiers


def read_column(path: Path, name: str) -> list[Any]:
    """One column of a Parquet file."""
    return [row[name] for row in read_rows(path, [name])]


def _whole_rounds(run_dir: Path) -> list[Path]:
    folders: list[Path] = []
    while (path := run_dir / f"round-{len(folders) + 1}" / "manifest.json").exists():
        if "evaluate" not in read_json(path)["stages"]:
            break
        folders.append(path.parent)
    return folders


def _rows(folder: Path, name: str) -> list[dict[str, Any]] | None:
    """The rows of an evaluation that is whole, ordered by problem; None where it was not made."""
    manifest, path = folder / "manifest.json", folder / "evaluation" / f"{name}.jsonl"
    if not manifest.exists() or "evaluate" not in read_json(manifest)["stages"] or not path.exists():
        return None
    return sorted((row for _, row in read_jsonl(path)), key=lambda r: r["problem"])


def _events(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path)] if path.exists() else []


def _counts(rows: Rows) -> dict[str, int]:
    return {tier: sum(r["tier"] == tier for r in rows) for tier in _tiers(rows)} | {"all": len(rows)}


def _tiers(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({r["tier"] for r in rows if r["tier"] is not None})


def _mean(rows: Rows | None, name: str) -> float | None:
    return sum(r[name] for r in rows) / len(rows) if rows else None
