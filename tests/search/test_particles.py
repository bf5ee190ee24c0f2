"""Particle filtering, worked by hand."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.particles import resampled, systematic
from rstar_math.tree import Tree
from rstar_math.types import Problem, Step
from tests.growing import grow_fake, grow_script, path_of, timeless_row


@pytest.mark.parametrize(
    ("start", "counts"),
    [(0.0, [2, 1, 1]), (0.5, [2, 1, 1]), (0.99, [2, 1, 1])],  # weights of 1/2, 1/4, 1/4 are met exactly
)
def test_a_systematic_draw_is_as_even_as_it_can_be(start: float, counts: list[int]) -> None:
    assert systematic(start, [2.0, 1.0, 1.0], 4) == counts


def test_a_systematic_draw_by_hand() -> None:
    # points at (0.2 + k) / 3: 0.067, 0.4, 0.733; shares end at 0.1, 0.7, 1
    assert systematic(0.2, [0.1, 0.6, 0.3], 3) == [1, 1, 1]
    # points at 0.3, 0.633, 0.967
    assert systematic(0.9, [0.1, 0.6, 0.3], 3) == [0, 2, 1]
    assert systematic(0.999999, [1e-300, 1.0, 1e-300], 5) == [0, 5, 0]


def tree_of(scores: dict[str, float]) -> Tree:
    tree = Tree.start(Problem("p", "Q?"), "particles", 0)
    for text, score in scores.items():
        tree.add(tree.root, Step(text)).ppm_score = score
    return tree


def test_weights_are_counts_times_the_exponential_of_the_logit() -> None:
    tree = tree_of({"a": math.tanh(math.log(3)), "b": 0.0})
    settings = SearchSettings(particle_weight=1.0)
    drawn = Counter[int]()
    for seed in range(400):  # a: 1 * 3, b: 2 * 1
        drawn.update(resampled(random.Random(seed), tree, Counter({1: 1, 2: 2}), 1, settings))
    assert drawn[1] / 400 == pytest.approx(0.6, abs=0.07)
    even = resampled(random.Random(0), tree, Counter({1: 2, 2: 2}), 4, SearchSettings(particle_weight=0.0))
    assert even == {1: 2, 2: 2}
    sharp = resampled(random.Random(0), tree, Counter({1: 2, 2: 2}), 4, SearchSettings(particle_weight=1e6))
    assert sharp == {1: 4}
    assert resampled(random.Random(0), tree, Counter(), 4, settings) == {}


def test_a_filter_by_hand() -> None:
    script = {"": ["a", "b", "a", "b"], "a": ["c."], "b": ["d."], "a/c.": ["=1"], "b/d.": ["=7"]}
    search = {"num_candidates": 4, "particle_weight": 1000.0}
    tree = grow_script(script, search, scores={"b": 0.5}, strategy_name="particles")
    # all particles go to b, and two thirds of the steps of a descent with four candidates are those of b alone
    assert {path_of(tree, n) for n in tree.nodes[1:]} == {"a", "b", "b/d.", "b/d./=7"}
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["b/d./=7"]
    assert tree.cost.tokens_generated == 3 * 4 * 10
    assert [n.num_proposed for n in tree.nodes[1:]] == [2, 2, 4, 4]


def test_without_weight_every_particle_goes_its_way() -> None:
    script = {"": ["a", "b"], "a": ["c."], "b": ["d.", "e"], "a/c.": ["=1"], "b/d.": ["=3"], "b/e": ["f."]}
    search = {"num_candidates": 4, "particle_weight": 0.0}
    tree = grow_script(script | {"b/e/f.": ["=7"]}, search, scores={}, strategy_name="particles")
    # a and b have two particles each; those of b part ways, and one of them needs a step more than all others
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["a/c./=1", "b/d./=3", "b/e/f./=7"]
    assert tree.cost.tokens_generated == 10 * (4 + 4 + 4 + 1)


def test_particles_that_cannot_go_on_die() -> None:
    script = {"": ["a!", "b"], "b": ["d."], "b/d.": ["=7"]}
    tree = grow_script(script, {"num_candidates": 2}, scores={}, strategy_name="particles")
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["b/d./=7"]
    nothing = grow_script({"": ["a!"]}, {"num_candidates": 2}, scores={}, strategy_name="particles")
    assert [nothing.nodes[i].terminal for i in nothing.rollouts] == ["dead_end"]
    deep = grow_script({"": ["a"]}, {"num_candidates": 2, "max_depth": 1}, scores={}, strategy_name="particles")
    assert [deep.nodes[i].terminal for i in deep.rollouts] == ["depth_limit"]


def test_the_same_seed_is_the_same_filter() -> None:
    trees = [grow_fake("particles", SearchSettings(num_candidates=6), seed=seed) for seed in (0, 0, 1)]
    assert timeless_row(trees[0]) == timeless_row(trees[1])
    assert [n.num_proposed for n in trees[0].nodes] != [n.num_proposed for n in trees[2].nodes]


def test_what_it_cannot_do() -> None:
    script = {"": ["=7"]}
    with pytest.raises(ConfigError, match="strategy particles weighs steps by a reward model"):
        grow_script(script, {}, strategy_name="particles")
    with pytest.raises(ConfigError, match="needs answer_siblings: keep"):
        grow_script(script, {"answer_siblings": "drop"}, scores={}, strategy_name="particles")
