"""`rstar reproduce`: the paper's tables and figures, at the scale at hand."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.options import Rounds, Workers
from rstar_math.cli.places import folder_to_write

SCALES = {"pocket": "pocket-full"}
"""Scales by name, and their recipes; any other recipe is a scale of its own."""


def reproduce(
    names: Annotated[list[str], typer.Argument(help="table1 to table10, figure3 to figure7, or all.")],
    out: Annotated[
        Path, typer.Option(help="Folder for everything that is made; run again to resume.", callback=folder_to_write)
    ],
    scale: Annotated[str, typer.Option(help="pocket, or a recipe: a name or a YAML file.")] = "pocket",
    rounds: Rounds = None,
    workers: Workers = None,
) -> None:
    """The paper's tables and figures: runs what is missing, decides the paper's claims by intervals."""
    from rstar_math.cli.settings import runtime_with, with_rounds
    from rstar_math.config.reading import load_recipe
    from rstar_math.paper.names import NAMES, chosen, reproduce
    from rstar_math.paper.result import Result, claims_markdown
    from rstar_math.progress import for_terminal
    from rstar_math.report.terminal import print_table, standard_output

    chosen(names)
    recipe = with_rounds(load_recipe(SCALES.get(scale, scale)), rounds)
    recipe = recipe.model_copy(update={"runtime": runtime_with(recipe.runtime, workers)})
    console = standard_output()

    def tell(result: Result) -> None:
        console.print(f"\n{result.title}", style="bold")
        for table in result.tables:
            print_table(console, table)
        console.print(claims_markdown(result.claims))

    with for_terminal() as progress:
        reproduce(names, recipe, out, progress, tell)
    write_results(out, [name for name in NAMES if (out / f"{name}.md").exists()], scale)
    print(f"\n{out / 'results.md'}")


def write_results(folder: Path, names: Sequence[str], scale: str) -> None:
    """All tables and figures that a folder holds, in one file, with what they were made by."""
    from rstar_math.store.files import read_text, write_text

    parts = ["# Results\n", made_by(folder, scale)]
    parts += [read_text(folder / f"{name}.md") for name in names]
    write_text(folder / "results.md", "\n".join(parts))


def made_by(folder: Path, scale: str) -> str:
    """Command, version, commit, machine and time, as a sentence; the folder by its name alone."""
    from rstar_math import __version__
    from rstar_math.store.journal import read_journal, tell_spoiled
    from rstar_math.store.run import wrong_in_event

    command = shlex.join(["rstar", *(folder.name if Path(a) == folder else a for a in sys.argv[1:])])
    commit = commit_of(Path(__file__).parent)
    made = f"version {__version__}" + (f", commit {commit}" if commit else "")
    spent: dict[str, float] = {}
    journal = read_journal(folder / "events.jsonl", wrong_in_event)
    tell_spoiled(folder / "events.jsonl", journal, "left out of the minutes")
    for event in journal:
        if event["event"] != "result":
            spent[event["event"]] = spent.get(event["event"], 0.0) + event.get("seconds", 0.0)
    minutes = ", ".join(f"{name} {seconds / 60:.0f}" for name, seconds in sorted(spent.items()))
    return (
        f"Made by `{command}` (recipe `{SCALES.get(scale, scale)}`, {made}) on {os.cpu_count()} CPU "
        f"cores, {processor()}, Python {platform.python_version()}. Minutes of all starts together: "
        f"{sum(spent.values()) / 60:.0f} ({minutes}).\n"
    )


def commit_of(folder: Path) -> str | None:
    """The commit that a checkout stands at, with "+" where files differ from it; None outside a checkout."""
    import subprocess

    def git(*args: str) -> str:
        command = ["git", "-C", str(folder), *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """The name of the processor, as far as the system says."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
