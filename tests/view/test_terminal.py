"""`rstar tree`: the tree as text, and which one is meant."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rstar_math.cli.tree import tree as tree_command
from rstar_math.errors import DataError
from rstar_math.store.round import Round
from rstar_math.terminal.console import Console
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.view.labels import MAX_CHARS, label
from rstar_math.view.terminal import drawn
from tests.view.made import grown_tree, problems, small_tree, write_trees


def text_of(tree: Tree, *, whole: bool = False, max_depth: int | None = None) -> str:
    stream = io.StringIO()
    console = Console(stream, width=120)
    for part in drawn(tree, whole=whole, max_depth=max_depth):
        console.print(part)
    return stream.getvalue()


def test_a_tree_in_the_terminal() -> None:
    text = text_of(small_tree(problems(1)[0]))
    lines = text.splitlines()
    assert lines[0] == "p-000@0  mcts, 3 rollouts, 6 nodes, solved, stopped: rollouts"
    assert lines[4] == "├── add · x = 40 + 2  N 3 Q +0.33 PPM +0.50 x3"
    assert lines[5:8] == [
        "│   ├── answer: 42 ✓  N 1 Q +1.00",
        "│   ├── answer: 42 ✓  N 1 Q +1.00",
        "│   └── answer: 41 ✗  N 1 Q -1.00",
    ]
    assert lines[8] == "└── (1 rejected)"


def test_all_of_it_or_its_first_steps() -> None:
    tree = small_tree(problems(1)[0])
    assert "ZeroDivisionError: division by zero  rejected: its code failed" in text_of(tree, whole=True)
    assert "answer: 42" not in text_of(tree, max_depth=1)
    assert "(3 deeper)" in text_of(tree, max_depth=1)


def test_a_large_tree_is_drawn_and_hostile_text_shown_as_escapes() -> None:
    assert len(text_of(grown_tree(3000, problems(1)[0]), whole=True).splitlines()) > 3000
    hostile = Problem("\x1b]0;t\x07", "[bold]no[/bold] \x1b[2J \u202e", "42")
    text = text_of(small_tree(hostile))
    assert "\x1b" not in text
    assert "[bold]no[/bold] \\x1b[2J \\u202e" in text


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ("\n# add the two\nx = 1\n<end_of_step>", "add the two · x = 1"),
        ("\nx = 1\ny = 2\n<end_of_step>", "x = 1"),
        ("", ""),
        ("<end_of_step>", ""),
        ("# \x1b[2J\u202e", "\\x1b[2J\\u202e"),
    ],
)
def test_labels(step: str, shown: str) -> None:
    assert label(step) == shown


def test_a_label_is_short_and_one_line() -> None:
    assert len(label("x" * 1_000_000)) <= MAX_CHARS
    assert "\n" not in label("", "4\n2")


def test_which_tree_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = tmp_path / "run"
    first, second = problems(2)
    write_trees(Round(run, 1).trees, [small_tree(first, 1000), small_tree(second, 1000)])
    write_trees(Round(run, 2).trees, [small_tree(first, 2000)])
    write_trees(Round(run, 2).held_out_trees, [small_tree(Problem("q-9", "Held out?", "42"), 2000)])
    (run / "recipe.yaml").write_text("name: made\n")

    def shown(problem: str, trees: str | None = None) -> str:
        tree_command(run, problem, trees, None, False)
        return capsys.readouterr().out

    assert shown("p-000").startswith("p-000@2000")
    assert "other trees of it: p-000@1000 (round-1/trees)" in shown("p-000")
    assert shown("p-000@1000").startswith("p-000@1000")
    assert shown("p-000", "round-1/trees").startswith("p-000@1000")
    assert shown("p-001").startswith("p-001@1000")
    assert shown("q").startswith("q-9@2000")
    with pytest.raises(DataError, match="2 problems begin with p"):
        shown("p")
    with pytest.raises(DataError, match="no tree of a problem nobody in round-1/trees"):
        shown("nobody")
