"""docs/own-model.md explains messages that the program has, and names options that it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rstar_math.cli.app import app
from rstar_math.config import PolicySettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-model.md").read_text()
# the engine, with texts that go over several lines in one piece, and with what is filled into them
SOURCE = re.sub(
    r'"\s*f?"', "", "".join(path.read_text() for path in sorted((ROOT / "src/rstar_math/engines/http").glob("*.py")))
)
for _written, _filled in (
    ("{before}", "completions"),
    ("it is asked by {other}", "it is asked by chat"),
    ("{of_all}", "completions"),
    ("{_num(c.too_long, 'prompt')}", "prompts"),
):
    SOURCE = SOURCE.replace(_written, _filled)

ROWS = re.findall(r"^\| (`.*?) \| .* \|$", PAGE.partition("## What messages mean")[2], re.MULTILINE)


@pytest.mark.parametrize("row", ROWS)
def test_every_message_is_one_of_the_program(row: str) -> None:
    for message in re.findall(r"`(.+?)`", row):
        for piece in re.split(r"\.\.\.|\d+", message):
            assert piece.strip(" ;.") in SOURCE


def test_there_are_rows() -> None:
    assert len(ROWS) > 10


def test_the_model_file_is_one() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = PolicySettings.model_validate(yaml.safe_load(block))
    assert settings.endpoint.extra_body == {"reasoning_effort": "none"}


def test_every_command_is_one_with_its_options() -> None:
    import typer

    commands: Any = typer.main.get_command(app)
    lines = re.findall(r"^\s+rstar (\w+) (.*)$", PAGE, re.MULTILINE)
    alone, groups = (
        {"doctor", "solve", "eval", "search", "import", "evolve", "report", "push"},
        {"train", "pocket", "problems"},
    )
    assert {name for name, _ in lines} == alone | groups
    for name, rest in lines:
        command = commands.get_command(None, name)
        if name in groups:
            command = command.get_command(None, rest.split()[0])
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known
