"""`rstar train ppm`, `orm` and `pqm`: a reward model from files, or from a round of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.options import FromRecipe, Seed, Set
from rstar_math.cli.places import folder_to_write
from rstar_math.cli.told import print_made, rows_told

if TYPE_CHECKING:
    from rstar_math.checkpoints.ppm_file import Kind
    from rstar_math.config import PPMSettings
    from rstar_math.progress import Steps
    from rstar_math.selection.scored_texts import ScoredText
    from rstar_math.types import PreferencePair

FromRun = Annotated[
    Path | None, typer.Option("--run", help="Run of `rstar evolve`: data, policy, held-out problems and settings.")
]
RoundOf = Annotated[
    int | None, typer.Option("--round", help="Round of the run, or of the recipe, from 1; default: the last.")
]
StartingPolicy = Annotated[str | None, typer.Option(help="Policy that the model starts from; needed without --run.")]
HeldOut = Annotated[Path | None, typer.Option(help="The same of other problems: early stopping, accuracy.")]


def ppm(
    pairs: Annotated[list[Path] | None, typer.Argument(help="Files of preference pairs (.parquet or .jsonl).")] = None,
    run: FromRun = None,
    round_number: RoundOf = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to.", callback=folder_to_write)] = None,
    policy: StartingPolicy = None,
    held_out: Annotated[Path | None, typer.Option(help="Pairs of other problems: early stopping, accuracy.")] = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    settings: Set = None,
) -> None:
    """Train a process preference model on pairs of steps."""
    train_reward_model("ppm", pairs or [], run, out, policy, held_out, seed, recipe, round_number, settings or [])


def orm(
    outcomes: Annotated[
        list[Path] | None, typer.Argument(help="Files of outcomes (a table), or folders of trees.")
    ] = None,
    run: FromRun = None,
    round_number: RoundOf = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write to; default with --run: orm/ in the folder of the round.", callback=folder_to_write
        ),
    ] = None,
    policy: StartingPolicy = None,
    held_out: HeldOut = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    settings: Set = None,
) -> None:
    """Train an outcome reward model on finished trajectories, right against wrong."""
    train_reward_model("orm", outcomes or [], run, out, policy, held_out, seed, recipe, round_number, settings or [])


def pqm(
    q_values: Annotated[
        list[Path] | None, typer.Argument(help="Files of Q values (a table), or folders of trees.")
    ] = None,
    run: FromRun = None,
    round_number: RoundOf = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write to; default with --run: pqm/ in the folder of the round.", callback=folder_to_write
        ),
    ] = None,
    policy: StartingPolicy = None,
    held_out: HeldOut = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    settings: Set = None,
) -> None:
    """Train a process Q-value model on the Q value of every step."""
    train_reward_model("pqm", q_values or [], run, out, policy, held_out, seed, recipe, round_number, settings or [])


def train_reward_model(
    kind: Kind,
    files: Sequence[Path],
    run: Path | None,
    out: Path | None,
    policy: str | None,
    held_out: Path | None,
    seed: int,
    recipe: str,
    round_number: int | None,
    changes: Sequence[str],
) -> None:
    """Trains a PPM, PQM or ORM; says what is measured on held-out problems.

    Raises:
      ConfigError: files are given together with a run, or neither; or --out is missing.
    """
    from rstar_math.cli.settings import changed, round_of
    from rstar_math.errors import ConfigError
    from rstar_math.models import find_model
    from rstar_math.progress import Steps, for_terminal

    if run is not None:
        if files or policy or held_out:
            raise ConfigError("--run brings the data, the policy and the held-out problems: leave those arguments out")
        _train_from_run(kind, run, round_number, out, seed, changes)
        return
    if not files or policy is None or out is None:
        raise ConfigError(f"`rstar train {kind}` needs --run RUN; or files, --policy and --out")
    _, of_round = round_of(recipe, round_number)
    settings = changed(of_round.ppm, changes, "ppm")
    if held_out is None:
        settings = settings.model_copy(update={"early_stopping": False})
    train = _train_ppm if kind == "ppm" else _train_on_texts
    with Steps(for_terminal(), kind.upper()) as progress:
        made = train(kind, files, find_model(policy).policy_folder, held_out, settings, out, seed, progress)
    print_made(made, out)


def _train_from_run(
    kind: Kind, run: Path, round_number: int | None, out: Path | None, seed: int, changes: Sequence[str]
) -> None:
    from rstar_math.cli.settings import changed
    from rstar_math.errors import ConfigError
    from rstar_math.progress import for_terminal
    from rstar_math.stages.reward_model import TrainedRound, train_from_round

    source = TrainedRound.of_run(run, round_number)
    if out is None:
        if kind == "ppm":
            raise ConfigError(f"give --out: {source.round.ppm} is the run's own PPM")
        out = source.round.reward_model(kind)
    settings = changed(source.settings, changes, "ppm")
    with for_terminal() as progress:
        made = train_from_round(kind, source, settings, out, source.seed + seed, progress)
    print_made(made, out)


def _train_ppm(
    kind: Kind,
    files: Sequence[Path],
    policy: Path,
    held_out: Path | None,
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: Steps,
) -> dict[str, object]:
    """With held-out pairs, half of their problems steer the training, and the others measure its result."""
    from rstar_math.store.round import Halves
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
    progress: Steps,
) -> dict[str, object]:
    """The same for a PQM or an ORM."""
    from rstar_math.store.round import Halves
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

    return rows_told(pairs_in(path), path) if is_foreign(path) else read_pairs(path)
