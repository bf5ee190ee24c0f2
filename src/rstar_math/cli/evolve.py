"""`rstar evolve`: the rounds of a recipe, and their report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.options import Rounds, Workers
from rstar_math.cli.places import folder_to_write


def evolve(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a name that `rstar recipes` lists.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; run again to resume.", callback=folder_to_write)],
    rounds: Rounds = None,
    workers: Workers = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="folder: machines that see the run folder join by `rstar work RUN`; ray: over a Ray cluster."
        ),
    ] = None,
) -> None:
    """Self-evolution: search, verify, select, train policy and PPM, evaluate; round after round."""
    from rstar_math.cli.report import write_and_print
    from rstar_math.cli.settings import runtime_with, with_rounds
    from rstar_math.config.reading import load_recipe, unchecked_values
    from rstar_math.errors import ConfigError
    from rstar_math.evolve import evolve
    from rstar_math.progress import for_terminal
    from rstar_math.stages.problems import unfit_parts

    try:
        chosen = with_rounds(load_recipe(recipe), rounds)
    except ConfigError as error:  # what else is wrong is said with it, so that one start is enough
        try:
            lines = unfit_parts(unchecked_values(recipe))
        except ConfigError:
            raise error from None
        raise ConfigError("\n".join([str(error), *lines])) from error
    chosen = chosen.model_copy(update={"runtime": runtime_with(chosen.runtime, workers, cluster=cluster)})
    with for_terminal() as progress:
        evolve(chosen, out, progress)
    write_and_print(out, shlex.join(["rstar", *sys.argv[1:]]))
