"""Help and listings: for every command by `-h` too, whole at any width, and of everything that has a name."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from rstar_math import __version__
from rstar_math.cli.app import app
from rstar_math.config.reading import shipped_fragments, shipped_recipes
from rstar_math.evaluation.methods import shipped_methods
from rstar_math.problems.benchmarks import BENCHMARKS
from rstar_math.search.strategies import STRATEGIES

LISTINGS = {
    "recipes": [*shipped_recipes(), *shipped_fragments(), *shipped_methods()],
    "strategies": list(STRATEGIES),
    "benchmarks": list(BENCHMARKS),
}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


ALL = list(commands(get_command(app)))


def said(*args: str, width: int) -> str:
    """What a command prints on a terminal of that width (the test runner of typer knows 80 columns only)."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("COLUMNS", str(width))
        app(list(args), standalone_mode=False)
    return printed.getvalue()


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_there_are_many_commands() -> None:
    assert len(ALL) > 20


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) or "rstar" for path, _ in ALL])
def test_help_is_whole(path: tuple[str, ...], command: Any, width: int) -> None:
    text = said(*path, "-h", width=width)
    assert text == said(*path, "--help", width=width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    descriptions = [below.help for below in getattr(command, "commands", {}).values()]
    options = [parameter.help for parameter in command.params if getattr(parameter, "help", None)]
    # what stands beside a name is folded into a column: its words follow one another, with others' names between
    for description in [command.help, *descriptions, *options]:
        words = re.split(r"\s|(?<=-)", description)  # a long word may be broken behind its hyphen
        assert all(word in text for word in words if len(word) < 25), description
    if not descriptions:
        assert squeezed(command.help) in squeezed(text)


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_listings_name_everything_with_a_sentence(name: str, width: int) -> None:
    text = said(name, width=width)
    assert max(map(len, text.splitlines())) <= width
    entries = dict(re.findall(r"^  (\S+)\s+(\S.*(?:\n {5,}\S.*)*)$", text, re.MULTILINE))
    assert set(LISTINGS[name]) <= set(entries)
    if name == "strategies":
        assert len(set(entries.values())) == len(entries)
    for entry, description in entries.items():
        assert description.endswith((".", ")")), entry
        assert len(description.split()) >= 3, entry


def test_the_version_is_said() -> None:
    assert said("--version", width=80).strip() == f"rstar-math {__version__}"


@pytest.mark.parametrize("name", LISTINGS)
def test_listings_are_light(name: str) -> None:
    code = (
        "import sys; from rstar_math.cli.app import app\n"
        f"app(['{name}'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'transformers', 'sympy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
