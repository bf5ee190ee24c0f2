"""`rstar push`: a model to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(help="A run (its last whole round), a round of one, or a checkpoint.")],
    name: Annotated[str, typer.Argument(help="OWNER/NAME at the hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository that others do not see.")] = False,
    revision: Annotated[str, typer.Option(help="Branch to write to; it is made where it is not there.")] = "main",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:
    """Send a model with its card to the Hugging Face hub; then OWNER/NAME is a model as any command takes it."""
    from rstar_math.checkpoints.pushing import files_to_push, push_model
    from rstar_math.models import model_folder

    found = model_folder(folder)
    files = files_to_push(found)
    size = sum((found / file).stat().st_size for file in files)
    print(f"{found}: {len(files)} files, {size / 1e6:,.1f} MB")
    for file in files:
        print(f"  {file}")
    if not dry_run:
        print(push_model(found, name, files, private=private, revision=revision))
