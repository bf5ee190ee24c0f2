"""Every command with every kind of bad path: no traceback, exit status 1 or 2, a message, and nothing lost or changed.

The commands and their options are read off the program, so that a new command is walked as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from rstar_math.cli.app import app
from tests import walking

PATH_TEXTS = {
    *("model", "recipe", "benchmark", "problems", "methods", "reward_model", "base", "policy", "seeds", "sources"),
    *("against", "scale", "ppm", "file"),
}
"""Options that are texts and may be paths."""

OTHER_TEXTS = {
    *("answer", "revision"),
    *("problem", "question", "strategy", "names", "baseline", "settings", "device", "kind", "isolation", "tiers"),
    *("accept_missing", "overlap", "split", "name", "world", "dtype", "host", "allow_host", "allow_origin", "cluster"),
}
"""Options that are texts and no paths."""

NOT_PATHS = {("grade", "policy"), ("grade", "against"), ("tree", "trees")}

BESIDE = {
    ("eval", "from_folder"): ("--benchmark", "gsm8k"),
    ("view", "paths"): ("--export", "page.html"),  # a file that may still get its first row is served
    ("serve", "view"): ("--host", "256.0.0.1"),  # likewise: it ends where it would listen
    ("work", "run"): ("--idle", "0"),  # without it, a run that is made later is waited for
    ("execute", "programs"): ("--isolation", "none"),  # without root's rights there is no sandbox
}
"""What makes a command look at an option, and end."""

WRITTEN = {"out", "ledger", "summary"}
GOOD = {
    "model": "pocket-base",
    "question": "What is 2 + 3?",
    "name": "owner/name",
    "recipe": "smoke",
    "problems": "good.jsonl",
    "names": "table2",
    "run": "run",
    "trees": "trees",
    "programs": "good.jsonl",
    "pairs": "good.jsonl",
    "trajectories": "good.jsonl",
    "split": "train",
    "sources": "good.jsonl",
    "seeds": "good.jsonl",
    "paths": "run",
    "problem": "p",
    "file": "good.jsonl",
}
"""A value of each argument that must be given; nothing is done with it where another one is bad."""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    command = command or typer.main.get_command(app)
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))
    else:
        yield path, command


def kind_of(path: tuple[str, ...], parameter: Any) -> str | None:
    """`read` or `written` for a path; None for all else."""
    annotation = str(parameter.type_descriptor.annotation)
    if "Path" in annotation:
        is_written = parameter.name in WRITTEN or (path[-1], parameter.name) in {("grade", "json"), ("init", "path")}
        return "written" if is_written else "read"
    if "str" not in annotation or (path[-1], parameter.name) in NOT_PATHS or parameter.name in OTHER_TEXTS:
        return None
    assert parameter.name in PATH_TEXTS, f"{' '.join(path)}: is {parameter.name} a path? Say so in this file"
    return "read"


READ = {
    "missing": "gone",
    "below a file": "plain.txt/x",
    "a long name": "n" * 300,
    "a long path": "d/" * 3000 + "x",
    "a link to nowhere": "nowhere",
    "a link in a circle": "circle",
    "a NUL byte": "a\0b",
    "no UTF-8": "caf\udce9",
    "not readable": "locked/inside",
    "not readable itself": "locked",
    "a folder": "folder",
    "an empty file": "empty.jsonl",
    "binary": "binary.jsonl",
    "binary table": "binary.parquet",
    "binary recipe": "binary.yaml",
    "an empty recipe": "empty.yaml",
    "a line break": "two\nlines",
}
AGAIN = ("missing", "a NUL byte", "a folder", "an empty file", "binary")
"""For an option that another command has too: mostly it is read by the same function."""

WRITE = {
    "below a file": "plain.txt/x",
    "far below a file": "plain.txt/x/y",
    "a long name": "n" * 300,
    "a long path": "d/" * 3000 + "x",
    "a link to nowhere": "nowhere",
    "below a link to nowhere": "nowhere/x",
    "a link in a circle": "circle",
    "below a link in a circle": "circle/x",
    "a NUL byte": "a\0b",
    "not writable": "locked-for-writing/new",
    "not readable": "locked/new",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("bad-paths")
    (place / "plain.txt").write_text("precious")
    (place / "good.jsonl").write_text('{"problem": "What is 2 + 3?", "answer": "5"}\n')
    (place / "folder").mkdir()
    (place / "folder" / "thesis.txt").write_text("precious")
    (place / "nowhere").symlink_to("not-there")
    (place / "circle").symlink_to("circle")
    for name in ("empty.jsonl", "empty.yaml"):
        (place / name).write_bytes(b"")
    for name in ("binary.jsonl", "binary.parquet", "binary.yaml"):
        (place / name).write_bytes(bytes(range(256)) * 20)
    for name, mode in (("locked", 0o000), ("locked-for-writing", 0o555)):
        (place / name).mkdir()
        (place / name / "inside").write_text("precious")
        (place / name).chmod(mode)
    yield place
    for name in ("locked", "locked-for-writing"):
        (place / name).chmod(0o700)


def cases() -> list[list[str]]:
    """Command lines with one bad path each."""
    found = []
    walked = set[str]()
    for path, command in commands():
        for bad in command.params:
            kind = kind_of(path, bad)
            if kind is None:
                continue
            values = dict(READ) if kind == "read" else dict(WRITE)
            if kind == "read" and bad.name in walked:
                values = {name: READ[name] for name in AGAIN}
            walked.add(bad.name)
            if kind == "written":
                is_file = "JSONL" in (bad.help or "") or bad.name in ("ledger", "json")
                values["of the other kind"] = "folder" if is_file else "plain.txt"
                if not is_file:
                    values["a file"] = "good.jsonl"
            if path == ("doctor",):  # it examines the whole machine, for seconds each time
                values = {name: values[name] for name in ("missing", "a NUL byte", "a folder")}
            for value in values.values():
                line = [*path]
                for parameter in command.params:
                    is_bad = parameter is bad
                    if not is_bad and not parameter.required:
                        continue
                    good = "new" if kind_of(path, parameter) == "written" else GOOD.get(parameter.name)
                    assert is_bad or good, f"{' '.join(path)}: give a good value of {parameter.name} in this file"
                    given = str(value if is_bad else good)
                    if is_bad and parameter.name == "reward_model":
                        given = f"x={given}"
                    option = next((o for o in parameter.opts if o.startswith("-")), None)
                    line += [option, given] if option else [given]
                found.append([*line, *BESIDE.get((path[-1], bad.name), ())])
    return found


def snapshot(place: Path) -> dict[str, bytes | str]:
    kept: dict[str, bytes | str] = {}
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            kept[str(path.relative_to(place))] = os.readlink(path) if path.is_symlink() else path.read_bytes()
    return kept


@pytest.mark.timeout(280)
def test_no_command_meets_a_bad_path_with_a_traceback(place: Path) -> None:
    before = snapshot(place)
    found = walking.outcomes(cases(), place)
    assert len(found) > 600
    wrong = []
    for outcome in found:
        said = f"{outcome['err']}{outcome['out']}"
        is_listed = outcome["case"][0] == "explain" or "--scale" in outcome["case"]
        is_fine = outcome["code"] in (1, 2) and "Traceback" not in said and said.strip() and len(said) < 10_000
        if not is_fine and not (is_listed and outcome["code"] == 0):
            wrong.append(
                {"case": [part[:40] for part in outcome["case"]], "code": outcome["code"], "said": said[-1500:]}
            )
    assert not wrong, "\n\n".join(f"{w['case']}: {w['code']}\n{w['said']}" for w in wrong[:12])
    after = snapshot(place)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.endswith(".tmp")]
