"""`rstar train sft`: a policy, fine-tuned on solutions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.options import FromRecipe, FromRound, Out, Seed, Set
from rstar_math.cli.told import print_made, rows_told

if TYPE_CHECKING:
    from rstar_math.stages.policy import Solution


def sft(
    trajectories: Annotated[list[Path], typer.Argument(help="Files of trajectories (.parquet or .jsonl).")],
    out: Out,
    base: Annotated[str, typer.Option(help="Model to fine-tune.")] = "pocket-base",
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    round_number: FromRound = None,
    settings: Set = None,
) -> None:
    """Fine-tune a policy on verified trajectories."""
    from rstar_math.checkpoints.model_card import head_of, license_line, origin_of, write_card
    from rstar_math.cli.settings import changed, round_of
    from rstar_math.models import find_model
    from rstar_math.progress import for_terminal
    from rstar_math.stages.policy import train_policy
    from rstar_math.store.records import read_trajectories
    from rstar_math.training.foreign_rows import is_foreign, solutions_in

    _, of_round = round_of(recipe, round_number)
    how = changed(of_round.sft, settings or [], "sft")
    own = [path for path in trajectories if not is_foreign(path)]
    rows = [row for path in own for row in read_trajectories(path)]
    solutions: list[Solution] = [(problem.question, trajectory.steps) for problem, trajectory, _ in rows]
    solutions += [row for path in trajectories if path not in own for row in rows_told(solutions_in(path), path)]
    policy = find_model(base).policy_folder
    report = train_policy(policy, solutions, how, out, seed, for_terminal(), "SFT")
    origin = origin_of(base, policy)
    files = ", ".join(path.name for path in trajectories)
    text = f"# {out.name}\n\nFine-tuned on {report.num_examples:,} solutions ({files}) by `rstar train sft`."
    write_card(out, head_of(origin), f"{text}\n\n{license_line(origin)}\n")
    print_made(asdict(report), out)
