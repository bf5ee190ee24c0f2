"""Step beam search, worked out by hand."""

from __future__ import annotations

import pytest

from rstar_math.errors import ConfigError
from rstar_math.tree import Tree
from tests.growing import grow_script, path_of

# two levels of code, then the answer; the scores decide
SCRIPT = {
    "": ["a", "b", "c", "d"],
    "a": ["e.", "f."],
    "b": ["g.", "h."],
    "c": ["i.", "j."],
    "d": ["k!", "l!"],
    "a/e.": ["=1"],
    "a/f.": ["=2"],
    "b/g.": ["=3"],
    "b/h.": ["=4"],
    "c/i.": ["=5"],
    "c/j.": ["=6"],
}
SCORES = {
    "a": 0.5,
    "b": 0.4,
    "c": -0.2,
    "d": 0.3,
    "a/e.": 0.1,
    "a/f.": -0.3,
    "b/g.": 0.9,
    "b/h.": 0.8,
    "c/i.": 0.99,
    "c/j.": 0.9,
}


def _grow(name: str, **search: object) -> Tree:
    return grow_script(SCRIPT, {"num_candidates": 4, "beam_width": 2, **search}, scores=SCORES, strategy_name=name)


def _ends(tree: Tree) -> list[str]:
    return [path_of(tree, tree.nodes[i]) for i in tree.rollouts]


def test_the_best_prefixes_go_on() -> None:
    tree = _grow("beam")
    # a and b go on; of their four steps the best two are both under b
    assert _ends(tree) == ["b/g./=3", "b/h./=4"]
    assert {path_of(tree, n) for n in tree.nodes if n.expanded} == {"", "a", "b", "b/g.", "b/h."}


def test_subtrees_apart() -> None:
    tree = _grow("diverse_beam")
    assert _ends(tree) == ["a/e./=1", "b/g./=3"]
    assert {path_of(tree, n) for n in tree.nodes if n.expanded} == {"", "a", "b", "a/e.", "b/g."}


def test_every_level_costs_the_same() -> None:
    for name in ("beam", "diverse_beam"):
        tree = _grow(name)
        assert tree.cost.tokens_generated == 3 * 4 * 10  # three levels of four candidates, 10 tokens each


def test_a_dead_end_is_noted_and_the_beam_goes_on() -> None:
    tree = _grow("beam", beam_width=4, num_candidates=8)
    assert "d" in _ends(tree)
    assert tree.nodes[tree.root.children[3]].terminal == "dead_end"
    assert sorted(e for e in _ends(tree) if e != "d") == ["b/g./=3", "b/h./=4", "c/i./=5", "c/j./=6"]


def test_where_nothing_runs_the_root_is_a_dead_end() -> None:
    tree = grow_script({"": ["a!", "b!"]}, {"beam_width": 1}, scores={}, strategy_name="beam")
    assert tree.rollouts == [0]
    assert tree.trajectories() == []


def test_the_depth_limit_ends_a_beam() -> None:
    tree = _grow("beam", max_depth=2)
    assert {tree.nodes[i].terminal for i in tree.rollouts} == {"depth_limit"}


@pytest.mark.parametrize(
    ("search", "message"),
    [({"beam_width": 8}, "num_candidates is 4, fewer than beam_width, 8"), ({"use_ppm": False}, "needs use_ppm: true")],
)
def test_settings_that_make_no_sense(search: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _grow("beam", **search)
