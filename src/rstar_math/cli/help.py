"""How `rstar` shows its help: `-h` as well as `--help`, and the description of every command whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Settings of the command line; commands inherit them from their group."""


class Group(TyperGroup):
    """A group of commands whose descriptions fold at the width of the terminal; by default they are cut with dots."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes the commands, their descriptions folded."""
        commands = [(name, command) for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))]
        rows = [(name, (command.help or "").split("\n\n")[0].replace("\n", " ")) for name, command in commands]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
