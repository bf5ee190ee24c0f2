"""The commands in the documents: every one is accepted as it stands there, and those that take seconds do run."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rstar_math.cli.app import app
from tests import warm
from tests.scripts import loaded_script

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RSTAR = Path(sys.executable).with_name("rstar")


def shown(document: Path) -> Iterator[str]:
    """Commands in blocks of code: indented, or behind a fence without a language or with that of a shell."""
    language = None
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            language = line[3:] if language is None else None
        elif language in ("", "sh", "bash", "console") or (language is None and line.startswith("    ")):
            yield from _commands(line.strip().removeprefix("$ "))


def _commands(line: str) -> Iterator[str]:
    for part in re.split(r";(?=(?:[^\"']|\"[^\"]*\"|'[^']*')*$)", line):  # not within quotes
        part = part.strip().removeprefix(".venv/bin/")
        if re.match(r"rstar\s", part):
            yield part


def mentioned(document: Path) -> Iterator[str]:
    """Commands in the text, between backticks."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for found in re.findall(r"`(rstar [^`]+)`", text.replace("\n", " ")):
        yield " ".join(found.split())


def words_of(line: str) -> list[str]:
    """The words of a command, without the comment behind it and what it is piped into, which may go on below."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    return list(takewhile(lambda word: word != "|", lexer))[1:]


PROGRAM = get_command(app)
SHOWN = [(d.name, line) for d in DOCUMENTS for line in shown(d)]
MENTIONED = sorted({(d.name, line) for d in DOCUMENTS for line in mentioned(d)})


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = PROGRAM
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]
        words = words[1:]
    return command, words


def test_the_commands_were_found() -> None:
    assert len(SHOWN) > 50
    assert {name for name, _ in SHOWN} >= {"README.md", "usage.md", "real-models.md", "extending.md"}
    assert len(MENTIONED) > 20


@pytest.mark.parametrize(("document", "line"), SHOWN, ids=[f"{d}: {line[:60]}" for d, line in SHOWN])
def test_a_command_is_accepted(document: str, line: str) -> None:
    """By the parser of the real command line: names, options, types and what is required."""
    command, words = command_of(words_of(line))
    if words in (["-h"], ["--help"]) or (words == ["COMMAND", "-h"]):
        return
    assert not hasattr(command, "commands"), f"{line}: no command"
    command.make_context("rstar", list(words), resilient_parsing=False)


@pytest.mark.parametrize(("document", "line"), MENTIONED, ids=[f"{d}: {line[:60]}" for d, line in MENTIONED])
def test_commands_and_options_in_the_text_exist(document: str, line: str) -> None:
    root = get_command(app)
    alternatives = re.sub(r"\s*\|\s*", "|", line).split()[1:]  # `rstar train orm | pqm`
    commands = [root]
    for i, word in enumerate(alternatives):
        below = [found for c in commands for name in word.split("|") if (found := getattr(c, "commands", {}).get(name))]
        if len(below) != len(word.split("|")):
            assert i or word.startswith("-") or word == "COMMAND", f"{line}: there is no command {word}"
            break
        commands = below
    known = {option for c in (root, *commands) for p in c.params for option in p.opts} | {"-h", "--help"}
    options = [word for word in alternatives if word.startswith("-")]
    assert set(options) <= known, line


QUICK = ("recipes", "strategies", "benchmarks", "explain pocket", "pocket problems", "doctor", "solve [A-Z][a-z]+ ")
"""How commands begin that take seconds and need no file."""


def test_commands_that_take_seconds_run(tmp_path: Path) -> None:
    """As they stand in the documents."""
    lines = {" ".join(words_of(line)): line for _, line in SHOWN if "--model" not in line}
    quick = [line for words, line in lines.items() if re.match("|".join(QUICK), words)]
    assert len(quick) >= 6
    for line in quick:
        done = warm.run(*words_of(line), cwd=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout.strip(), line


def test_the_answer_in_the_readme_is_what_is_printed(tmp_path: Path) -> None:
    """But for the cost, of which the time is another at every start."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    question = next(line for d, line in SHOWN if d == "README.md" and line.startswith("rstar solve"))
    done = warm.run(*words_of(question), cwd=tmp_path)

    def without_cost(shown: str) -> list[str]:
        lines = [line.rstrip() for line in shown.strip().splitlines()]
        return [line for line in lines if not line.startswith(("Cost", "Confidence"))]

    assert without_cost(done.stdout) == without_cost(sample)
    assert "Cost: " in sample


def test_the_example_in_the_readme_is_no_training_problem() -> None:
    from rstar_math.config import ProblemSource
    from rstar_math.problems.load import load_problems

    asked = {words_of(line)[1] for d, line in SHOWN if d == "README.md" and line.startswith("rstar solve")}
    (question,) = {word for word in asked if not word.startswith("-")}
    test = load_problems(ProblemSource(source="pocket/test", num_problems=300)).problems
    assert question in {p.question for p in test}


@pytest.mark.parametrize("name", ["loop", "architecture"])
def test_a_picture_is_what_its_script_draws(name: str) -> None:
    path = ROOT / "docs" / "images" / f"{name}.py"
    with loaded_script(path) as module:
        assert path.with_suffix(".svg").read_text(encoding="utf-8") == getattr(module, f"{name}_svg")()
