"""`rstar evolve`, and the single stages that it strings together."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rstar_math import progress as progress_display
from rstar_math.checkpoints.ppm_file import Kind
from rstar_math.cli.settings import changed, round_of, runtime_with, with_rounds
from rstar_math.config import PPMSettings, ProblemSource
from rstar_math.errors import ConfigError, DataError
from rstar_math.models import find_model
from rstar_math.problems.load import left_out, load_problems, with_references
from rstar_math.selection.scored_texts import ScoredText
from rstar_math.store.paths import shown
from rstar_math.store.round import Halves
from rstar_math.store.run import require_run
from rstar_math.training.foreign_rows import Readable, RowT
from rstar_math.tree import Tree
from rstar_math.types import PreferencePair


def evolve_command(recipe_name: str, out: Path, workers: int | None, rounds: int | None = None) -> None:
    """Runs or resumes a run, then writes and prints its report."""
    from rstar_math.config.reading import load_recipe, unchecked_values
    from rstar_math.evolve import evolve
    from rstar_math.stages.problems import unfit_parts

    try:
        recipe = with_rounds(load_recipe(recipe_name), rounds)
    except ConfigError as error:  # what else is wrong is said with it, so that one start is enough
        try:
            lines = unfit_parts(unchecked_values(recipe_name))
        except ConfigError:
            raise error from None
        raise ConfigError("\n".join([str(error), *lines])) from error
    recipe = recipe.model_copy(update={"runtime": runtime_with(recipe.runtime, workers)})
    with progress_display.for_terminal() as progress:
        evolve(recipe, out, progress)
    _write_and_print(out, shlex.join(["rstar", *sys.argv[1:]]))


def report_command(run: Path) -> None:
    """Reports a run, finished or not."""
    require_run(run)
    _write_and_print(run, None)


def _write_and_print(run: Path, command: str | None) -> None:
    from rstar_math.report.from_run import report_of
    from rstar_math.report.page import write_report
    from rstar_math.report.tables import print_report
    from rstar_math.report.terminal import standard_output

    report = report_of(run, command or _earlier_command(run))
    print_report(standard_output(), report)
    sys.stdout.flush()
    write_report(run, report)  # last: a run that may only be read is reported as well
    print(f"\nrun:    {run}\nreport: {run / 'report.html'} (and report.json)")


def _earlier_command(run: Path) -> str | None:
    from rstar_math.report.schema import load_report

    if not (run / "report.json").exists():
        return None
    try:
        return load_report(run / "report.json").command
    except DataError as error:
        print(f"rstar: {error}\nThe report is made anew; the command that made the run is not known.", file=sys.stderr)
        return None


def search_command(
    source: str,
    out: Path,
    model_name: str,
    limit: int | None,
    seed: int,
    recipe_name: str,
    round_number: int | None,
    workers: int | None,
    deterministic: bool,
    changes: Sequence[str],
) -> None:
    """Grows one tree per problem; run again to go on."""
    from rstar_math.stages.search import search_problems
    from rstar_math.store.records import TreeStore
    from rstar_math.workers.jobs import SearchJob
    from rstar_math.workers.pool import WorkerPool

    recipe, round_settings = round_of(recipe_name, round_number)
    model = find_model(model_name)
    problems = load_problems(ProblemSource(source=source, num_problems=limit))
    settings = round_settings.search
    if model.reward_model is None and not any(c.partition("=")[0].strip().endswith("use_ppm") for c in changes):
        settings = settings.model_copy(update={"use_ppm": False})
    settings = changed(settings, changes, "search")
    if settings.terminal_value != "ppm":
        problems = with_references(problems)
        if left_out(problems):
            print(left_out(problems))
    if settings.use_ppm and model.reward_model is None:
        raise ConfigError(f"use_ppm is true, and {model.name} has no reward model")
    job = SearchJob(model.policy, model.reward_model if settings.use_ppm else None, "mcts", settings)
    runtime = runtime_with(recipe.runtime, workers, deterministic=deterministic)
    with progress_display.for_terminal() as progress, WorkerPool(runtime) as pool, TreeStore(out) as store:
        search_problems(pool, job, problems.problems, store, seed, (), progress, "search")
        num_solved = len({t.problem.id for t in store if t.solved})
    print(f"{len(problems.problems)} problems, {num_solved} solved; trees: {out}")


def select_command(
    trees: Sequence[Path], out: Path, recipe_name: str, changes: Sequence[str], kind: str | None, verify: bool
) -> None:
    """Writes trajectories, pairs, outcomes and Q values; with a format, also the two files for other programs."""
    from rstar_math.execution.opening import open_executor
    from rstar_math.selection.scored_texts import merged, outcomes, step_values
    from rstar_math.stages.select import select
    from rstar_math.store.files import write_json
    from rstar_math.store.interchange import FORMATS, read_any_trees, write_interchange
    from rstar_math.store.records import write_pairs, write_scored_texts, write_trajectories
    from rstar_math.workers.bench import answer_comparison

    chosen_format = next((f for f in FORMATS if f == kind), None)
    if kind is not None and chosen_format is None:
        raise ConfigError(f"--format {kind!r} is not known; choose from {', '.join(FORMATS)}")

    recipe, _ = round_of(recipe_name, None)
    settings = changed(recipe.selection, changes, "selection")
    for path in trees:
        if not path.exists():
            raise DataError(f"no trees at {path}: there is no such file or folder")
    executor = open_executor(recipe.runtime.execution) if verify else None
    finished: list[ScoredText] = []
    values: list[ScoredText] = []

    def found() -> Iterator[Tree]:
        for path in trees:
            for tree in read_any_trees(path):
                finished.extend(outcomes([tree]))
                values.extend(step_values([tree]))
                yield tree

    with answer_comparison() as same:
        selected = select(found(), settings, executor, same)
    if selected.num_trees == 0:
        raise DataError(f"no tree in {', '.join(map(shown, trees))}; nothing was written")
    write_trajectories(out / "trajectories.parquet", selected.rows())
    write_pairs(out / "pairs.parquet", selected.pairs)
    finished, values = merged(finished), merged(values)
    write_scored_texts(out / "outcomes.parquet", finished)
    write_scored_texts(out / "q-values.parquet", values)
    summary = {
        "num_trees": selected.num_trees,
        "num_solved": len(selected.solved),
        "num_trajectories": selected.num_trajectories,
        "num_pairs": len(selected.pairs),
        "num_outcomes": len(finished),
        "num_q_values": len(values),
        "num_not_reproduced": selected.num_not_reproduced,
        "num_suspect_references": len(selected.suspects),
    }
    write_json(out / "summary.json", summary)
    write_json(out / "suspect-references.json", [asdict(s) for s in selected.suspects])
    for s in selected.suspects:
        print(
            f"probably a wrong reference: {s.problem}: {s.reference!r}, but {s.num_agreeing} of "
            f"{s.num_trajectories} trajectories say {s.answer!r}"
        )
    print(", ".join(f"{name.removeprefix('num_').replace('_', ' ')}: {n}" for name, n in summary.items()))
    for name in ("trajectories", "pairs", "outcomes", "q-values"):
        print(out / f"{name}.parquet")
    if chosen_format is not None:
        print("\n".join(map(str, write_interchange(out, chosen_format, selected.rows(), selected.pairs))))


def sft_command(
    files: Sequence[Path],
    out: Path,
    base: str,
    seed: int,
    recipe_name: str,
    round_number: int | None,
    changes: Sequence[str],
) -> None:
    """Fine-tunes a policy."""
    from rstar_math.stages.policy import Solution, train_policy
    from rstar_math.store.records import read_trajectories
    from rstar_math.training.foreign_rows import is_foreign, solutions_in

    _, round_settings = round_of(recipe_name, round_number)
    settings = changed(round_settings.sft, changes, "sft")
    own = [path for path in files if not is_foreign(path)]
    rows = [row for path in own for row in read_trajectories(path)]
    solutions: list[Solution] = [(problem.question, trajectory.steps) for problem, trajectory, _ in rows]
    solutions += [row for path in files if path not in own for row in _said(solutions_in(path), path)]
    policy = find_model(base).policy_folder
    report = train_policy(policy, solutions, settings, out, seed, progress_display.for_terminal(), "SFT")
    _print_made(asdict(report), out)


def reward_model_command(
    kind: Kind,
    files: Sequence[Path],
    run: Path | None,
    out: Path | None,
    policy: str | None,
    held_out: Path | None,
    seed: int,
    recipe_name: str,
    round_number: int | None,
    changes: Sequence[str],
) -> None:
    """Trains a PPM, PQM or ORM, from files or from a round of a run; says what is measured on held-out problems."""
    if run is not None:
        if files or policy or held_out:
            raise ConfigError("--run brings the data, the policy and the held-out problems: leave those arguments out")
        _train_from_run(kind, run, round_number, out, seed, changes)
        return
    if not files or policy is None or out is None:
        raise ConfigError(f"`rstar train {kind}` needs --run RUN; or files, --policy and --out")
    _, settings = round_of(recipe_name, round_number)
    ppm_settings = changed(settings.ppm, changes, "ppm")
    if held_out is None:
        ppm_settings = ppm_settings.model_copy(update={"early_stopping": False})
    train = _train_ppm if kind == "ppm" else _train_on_texts
    with progress_display.Steps(progress_display.for_terminal(), kind.upper()) as progress:
        made = train(kind, files, find_model(policy).policy_folder, held_out, ppm_settings, out, seed, progress)
    _print_made(made, out)


def _train_from_run(
    kind: Kind, run: Path, round_number: int | None, out: Path | None, seed: int, changes: Sequence[str]
) -> None:
    from rstar_math.stages.reward_model import TrainedRound, train_from_round

    source = TrainedRound.of_run(run, round_number)
    if out is None:
        if kind == "ppm":
            raise ConfigError(f"give --out: {source.round.ppm} is the run's own PPM")
        out = source.round.reward_model(kind)
    settings = changed(source.settings, changes, "ppm")
    with progress_display.for_terminal() as progress:
        made = train_from_round(kind, source, settings, out, source.seed + seed, progress)
    _print_made(made, out)


def _train_ppm(
    kind: Kind,
    files: Sequence[Path],
    policy: Path,
    held_out: Path | None,
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: progress_display.Steps,
) -> dict[str, object]:
    """With held-out pairs, half of their problems steer the training, and the others measure its result."""
    from rstar_math.training.ppm import pair_accuracy, train_ppm

    pairs = [pair for path in files for pair in _pairs(path)]
    others = _pairs(held_out) if held_out else []
    halves = Halves(sorted({p.problem for p in others}))
    steering = [p for p in others if halves.steers(p.problem)]
    made = train_ppm(policy, pairs, steering, settings, out, seed, progress)
    measuring = [p for p in others if not halves.steers(p.problem)]
    accuracy = {"pair_accuracy": pair_accuracy(out, measuring)} if measuring else {}
    return {**asdict(made), **accuracy}


def _train_on_texts(
    kind: Kind,
    files: Sequence[Path],
    policy: Path,
    held_out: Path | None,
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: progress_display.Steps,
) -> dict[str, object]:
    """The same for a PQM or an ORM."""
    from rstar_math.training.orm_pqm import ranked_right, train_orm, train_pqm

    texts = [row for path in files for row in _texts(path, kind)]
    others = _texts(held_out, kind) if held_out else []
    halves = Halves(sorted({row.problem for row in others}))
    steering = [row for row in others if halves.steers(row.problem)]
    made = (train_orm if kind == "orm" else train_pqm)(policy, texts, steering, settings, out, seed, progress)
    measuring = [row for row in others if not halves.steers(row.problem)]
    accuracy = {"pair_accuracy": ranked_right(out, measuring, settings.max_length)} if measuring else {}
    return {**asdict(made), **accuracy}


def _texts(path: Path, kind: Kind) -> list[ScoredText]:
    """Rows of a table that `rstar select` wrote, or straight from a folder of trees."""
    from rstar_math.selection.scored_texts import outcomes, step_values
    from rstar_math.store.records import read_scored_texts, read_trees

    if path.is_dir():
        return (outcomes if kind == "orm" else step_values)(read_trees(path))
    return read_scored_texts(path)


def _pairs(path: Path) -> list[PreferencePair]:
    from rstar_math.store.records import read_pairs
    from rstar_math.training.foreign_rows import is_foreign, pairs_in

    return _said(pairs_in(path), path) if is_foreign(path) else read_pairs(path)


def _said(found: Readable[RowT], path: Path) -> list[RowT]:
    """The rows of a file, after a line about those that were skipped."""
    if found.said(path):
        print(found.said(path))
    return found.rows


def pretrain_command(out: Path, changes: Sequence[str]) -> None:
    """Makes the pocket base from nothing."""
    from rstar_math.pocket.pretrain import PretrainProgress, PretrainSettings, pretrain

    settings = changed(PretrainSettings(), changes)
    display = progress_display.for_terminal()
    told = 0

    def show(at: PretrainProgress) -> None:
        nonlocal told
        if told == 0:
            display.start("pretraining", at.num_steps)
        for _ in range(at.step - told):
            display.advance(note=f"loss {at.loss:.3f}, {at.num_tokens / at.seconds:,.0f} tokens/s")
        told = at.step

    with display:
        num_dropped = pretrain(out, settings, show)
    _print_made({"demonstrations too long to train on": num_dropped}, out)


def _print_made(made: dict[str, object], out: Path) -> None:
    for name, value in made.items():
        if isinstance(value, int | float | str | bool):
            print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    print(out)
