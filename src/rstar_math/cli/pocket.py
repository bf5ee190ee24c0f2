"""`rstar pocket`: the base model of the pocket scale, made from nothing, its problems, and demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rstar_math.cli.help import Group
from rstar_math.cli.options import Out, Seed, Set
from rstar_math.cli.places import file_to_write

if TYPE_CHECKING:
    from rstar_math.pocket.pretrain import PretrainProgress
    from rstar_math.types import Step

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


@commands.command()
def demonstrations(
    out: Annotated[Path, typer.Option(help="JSONL file to write, for `rstar train sft`.", callback=file_to_write)],
    num: Annotated[int, typer.Option(min=1, help="How many.")] = 400,
    seed: Seed = 0,
    world: Annotated[
        Literal["words", "pocket"],
        typer.Option(help="words: short word problems in many wordings; pocket: the exercises of the pocket world."),
    ] = "words",
    templates: Annotated[
        Path | None, typer.Option(help="Word problems of your own, as docs/own-model.md shows; default: the package's.")
    ] = None,
) -> None:
    """Write problems with right solutions in the step format: they teach a model the format, with no other model."""
    from itertools import islice

    from rstar_math import steps
    from rstar_math.cli.told import print_made
    from rstar_math.errors import UserError
    from rstar_math.store.files import write_jsonl

    if templates is not None and world != "words":
        raise UserError(f"--templates holds word problems, and --world is {world}; leave out one of them")
    solved = _word_problems(seed, templates) if world == "words" else _pocket_solutions(seed)
    rows = [{"query": q, "response": f"{steps.CODE}{steps.render(done)}"} for q, done in islice(solved, num)]
    write_jsonl(out, rows)
    print_made({"demonstrations": len(rows)}, out)


def _word_problems(seed: int, templates: Path | None) -> Iterator[tuple[str, tuple[Step, ...]]]:
    from rstar_math.pocket.wordproblems import word_problems
    from rstar_math.pocket.wordproblems.templates import read_templates
    from rstar_math.store.files import read_text

    read = read_templates(read_text(templates).splitlines()) if templates is not None else None
    return ((made.question, made.steps) for made in word_problems(seed, read))


def _pocket_solutions(seed: int) -> Iterator[tuple[str, tuple[Step, ...]]]:
    import random

    from rstar_math.pocket.demonstrations import demonstration
    from rstar_math.pocket.splits import exercises

    rng = random.Random(seed)
    return ((each.question, tuple(demonstration(each, rng, clean=True))) for each in exercises("train", seed))
