"""`rstar pocket`: the base model of the pocket scale, made from nothing, and its problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.help import Group
from rstar_math.cli.options import Out, Seed, Set

if TYPE_CHECKING:
    from rstar_math.pocket.pretrain import PretrainProgress

commands = typer.Typer(
    cls=Group, help="The pocket scale: its base model and its problems.", no_args_is_help=True, rich_markup_mode=None
)


@commands.command()
def pretrain(out: Out, settings: Set = None) -> None:
    """Make the base model of the pocket scale again, from nothing."""
    from rstar_math.cli.settings import changed
    from rstar_math.cli.told import print_made
    from rstar_math.pocket.pretrain import PretrainSettings, pretrain
    from rstar_math.progress import for_terminal

    how = changed(PretrainSettings(), settings or [])
    display = for_terminal()
    told = 0

    def show(at: PretrainProgress) -> None:
        nonlocal told
        if told == 0:
            display.start("pretraining", at.num_steps)
        for _ in range(at.step - told):
            display.advance(note=f"loss {at.loss:.3f}, {at.num_tokens / at.seconds:,.0f} tokens/s")
        told = at.step

    with display:
        num_dropped = pretrain(out, how, show)
    print_made({"demonstrations too long to train on": num_dropped}, out)


@commands.command()
def problems(
    split: Annotated[
        str, typer.Argument(help="train, validation or test; of the composed world also a tier: train/5-6.")
    ],
    num: Annotated[int, typer.Option(help="How many.")] = 10,
    seed: Seed = 0,
    world: Annotated[str, typer.Option(help="pocket or composed.")] = "pocket",
) -> None:
    """Print problems of a world of the pocket scale as JSONL."""
    from dataclasses import asdict

    from rstar_math.config import ProblemSource
    from rstar_math.problems.load import load_problems
    from rstar_math.terminal.visible import visible_json

    for p in load_problems(ProblemSource(source=f"{world}/{split}", num_problems=num, seed=seed)).problems:
        row = asdict(p)
        row["problem"] = row.pop("question")
        print(visible_json(row))
