"""Fresh descents: each from its own candidates, each a vote."""

from __future__ import annotations

import pytest

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from tests.growing import grow_fake, grow_script, path_of, timeless_row

SCRIPT = {"": ["a", "b", "a"], "a": ["c.", "d."], "b": ["e."], "a/c.": ["=1"], "a/d.": ["=2"], "b/e.": ["=3"]}
SCORES = {"a": 0.5, "b": 0.6, "a/c.": -0.3, "a/d.": 0.1, "b/e.": 0.9}


def test_every_descent_takes_the_best_candidate_of_each_step() -> None:
    tree = grow_script(SCRIPT, {"num_rollouts": 2}, scores=SCORES, strategy_name="forest")
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["b/e./=3", "b/e./=3"]
    assert len(set(tree.rollouts)) == 2  # nodes of their own
    assert [path_of(tree, tree.nodes[i]) for i in tree.root.children] == ["a", "b", "a", "b"]
    assert tree.cost.tokens_generated == 2 * 3 * 3 * 10
    # the rollout's value, -1 for a wrong answer, comes on top of the first value of the nodes that it went through
    assert [(n.visit_count, n.value_sum) for n in tree.children(tree.root)] == [(1, 0.5), (2, pytest.approx(-0.4))] * 2
    assert tree.root.visit_count == 2


def test_the_prior_counts_how_often_a_step_was_proposed() -> None:
    tree = grow_script(SCRIPT, {"num_rollouts": 1, "prior_weight": 1.0}, scores=SCORES, strategy_name="forest")
    # a: atanh(0.5) + ln(2/3) = 0.14; b: atanh(0.6) + ln(1/3) = -0.41
    # then c.: atanh(-0.3) + ln(2/3) = -0.71; d.: atanh(0.1) + ln(1/3) = -1.00
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["a/c./=1"]


def test_dead_ends_are_rollouts_too() -> None:
    script = {"": ["a", "b"], "a": ["c!"], "b": ["d."], "b/d.": ["=1"]}
    tree = grow_script(script, {"num_rollouts": 3}, scores={"a": 0.9}, strategy_name="forest")
    assert [tree.nodes[i].terminal for i in tree.rollouts] == ["dead_end"] * 3
    nothing = grow_script({"": ["a!"]}, {"num_rollouts": 2}, scores={}, strategy_name="forest")
    assert nothing.rollouts == [0, 0]
    assert nothing.trajectories() == []


@pytest.mark.parametrize("num_parallel", [1, 2, 8])
def test_rollouts_are_fresh_at_any_number_side_by_side(num_parallel: int) -> None:
    tree = grow_fake("forest", SearchSettings(num_rollouts=8, num_candidates=4, num_parallel=num_parallel))
    assert len(tree.rollouts) == 8
    texts = {"".join(s.text for s in tree.steps(tree.nodes[i])) for i in tree.rollouts}
    assert len(texts) > 2
    for node in tree.nodes[1:]:
        assert tree.nodes[node.index] is node
        assert node.index in tree.nodes[node.parent].children
        assert node.depth == tree.nodes[node.parent].depth + 1
    again = grow_fake("forest", SearchSettings(num_rollouts=8, num_candidates=4, num_parallel=num_parallel))
    assert timeless_row(again) == timeless_row(tree)


def test_it_needs_a_reward_model() -> None:
    with pytest.raises(ConfigError, match="strategy forest chooses steps by a reward model"):
        grow_script(SCRIPT, {"num_rollouts": 1}, strategy_name="forest")
