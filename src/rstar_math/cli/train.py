"""`rstar train`: one model, from files or from a run."""

from __future__ import annotations

import typer

from rstar_math.cli.help import Group
from rstar_math.cli.reward_models import orm, ppm, pqm
from rstar_math.cli.sft import sft

commands = typer.Typer(
    cls=Group, help="Train one model from files or from a run.", no_args_is_help=True, rich_markup_mode=None
)
for _command in (sft, ppm, orm, pqm):
    commands.command()(_command)
