"""Options that several commands of `rstar` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.places import folder_to_write

Model = Annotated[
    str,
    typer.Option(
        help="pocket, pocket-base, a run, a folder with policy/ and ppm/, a checkpoint, a GGUF file, a hub name "
        "(OWNER/NAME), the URL of an OpenAI-compatible server (http://HOST:PORT/v1?model=NAME), or a model file "
        "(.yaml)."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Workers = Annotated[int | None, typer.Option(help="Search processes; default: one per accelerator or CPU core.")]
Rounds = Annotated[
    int | None, typer.Option(help="Rounds; further ones are as the recipe's last. A finished run goes on with them.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE: any other setting, named as in a recipe; may be repeated.")
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="The same to the last bit at any concurrency and after a resume; slower."),
]
FromRecipe = Annotated[str, typer.Option("--recipe", help="Recipe that the settings come from.")]
FromRound = Annotated[int | None, typer.Option("--round", help="Round of that recipe, from 1; default: the last.")]
Out = Annotated[Path, typer.Option(help="Folder to write to.", callback=folder_to_write)]
OneObject = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
