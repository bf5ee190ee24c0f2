"""Expansion by probability mass, worked by hand."""

from __future__ import annotations

import math

import pytest

from rstar_math.search.mass import covered
from rstar_math.tree import Node
from tests.growing import at, grow_script, path_of

SCRIPT = {"": ["a", "b", "a", "c"], "a": ["d."], "b": ["e."], "a/d.": ["=1"], "b/e.": ["=7"]}
SCORES = {"a": 0.1, "b": 0.5, "c": 0.9}
LOGPROBS = {
    "a": math.log(0.6),
    "b": math.log(0.25),
    "c": math.log(0.1),
    "d.": math.log(0.95),
    "e.": 0.0,
    "=1": 0.0,
    "=7": 0.0,
}


@pytest.mark.parametrize(
    ("mass", "drawn", "end"),
    [
        (0.5, {"a": 1}, "a/d./=1"),  # 0.6 is enough
        (0.8, {"a": 1, "b": 1}, "b/e./=7"),  # 0.6 + 0.25
        (0.9, {"a": 2, "b": 1, "c": 1}, None),  # a second `a` covers nothing more
    ],
)
def test_candidates_are_drawn_until_they_cover_the_mass(mass: float, drawn: dict[str, int], end: str | None) -> None:
    script = SCRIPT | {"c": ["f."], "c/f.": ["=3"]}
    search = {"num_rollouts": 1, "num_candidates": 8, "mass": mass}
    tree = grow_script(script, search, scores=SCORES, strategy_name="mass", logprobs=LOGPROBS)
    assert {path_of(tree, n): n.num_proposed for n in tree.children(tree.root)} == drawn
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == [end or "c/f./=3"]


def test_there_is_a_most() -> None:
    search = {"num_rollouts": 1, "num_candidates": 3, "mass": 1.0}
    tree = grow_script(SCRIPT, search, scores=SCORES, strategy_name="mass", logprobs=LOGPROBS)
    assert sum(n.num_proposed for n in tree.children(tree.root)) == 3


def test_what_cannot_be_continued_covers_too() -> None:
    script = {"": ["a!", "b"], "b": ["e."], "b/e.": ["=7"]}
    logprobs = LOGPROBS | {"a!": math.log(0.6)}
    tree = grow_script(script, {"num_rollouts": 1, "mass": 0.8}, scores={}, strategy_name="mass", logprobs=logprobs)
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["b/e./=7"]
    assert len(tree.root.children) == 2  # 0.6 + 0.25; nothing is gone on from before something can be


def test_a_step_that_all_of_which_fails_is_a_dead_end() -> None:
    tree = grow_script({"": ["a!"]}, {"num_rollouts": 1, "num_candidates": 3}, scores={}, strategy_name="mass")
    assert tree.rollouts == [0]
    assert tree.trajectories() == []
    assert at(tree, "a!").num_proposed == 3


def test_covered() -> None:
    nodes = [Node(1, 0, 1, None, logprob=math.log(0.6)), Node(2, 0, 1, None, num_proposed=5, logprob=math.log(0.3))]
    assert covered(nodes) == pytest.approx(0.9)
    assert covered([]) == 0
    assert covered([*nodes, *nodes]) == 1  # sums of rounded figures
