"""What a step is worth, by hand: the outcome that the policy is to be expected to reach, from the tree alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.config import SearchSettings, SelectionSettings
from rstar_math.engines.fake import FakePolicy
from rstar_math.selection.scored_texts import step_values
from rstar_math.selection.select import step_pairs
from rstar_math.selection.values import expected_outcomes, valued
from rstar_math.tree import DROPPED
from tests.growing import at, grow_fake, grow_script

# a. is proposed twice of four times, and half of its candidates are right; b. once, and is wrong; c! fails
SCRIPT = {"": ["a.", "a.", "b.", "c!"], "a.": ["=7", "=7", "=8", "=9"], "b.": ["=8"]}
SEARCH = {"num_rollouts": 16, "exploration": 1.0}


def test_candidates_count_as_often_as_they_were_proposed() -> None:
    tree = grow_script(SCRIPT, SEARCH)
    assert tree.stopped == "closed"
    # closed: a. is passed by three rollouts, one of them right, though every second rollout of the policy is
    assert at(tree, "a.").q_value == pytest.approx(-1 / 3)
    expected = expected_outcomes(tree)
    assert expected[at(tree, "a.").index] == 0
    assert expected[at(tree, "b.").index] == -1
    assert expected[0] == pytest.approx((2 * 0 + 1 * -1 + 1 * -1) / 4)
    assert {node.q_value for node in valued(tree, "expected").nodes if node.terminal == "answer"} == {1.0, -1.0}
    assert valued(tree, "backed_up") is tree


def test_what_no_rollout_passed_counts_as_the_mean_of_what_was_passed() -> None:
    tree = grow_script(SCRIPT, {**SEARCH, "num_rollouts": 1})
    assert [tree.nodes[i].correct for i in tree.rollouts] == [True]
    expected = expected_outcomes(tree)
    assert expected[at(tree, "a.").index] == 1  # of its three answers one is known
    assert at(tree, "b.").index not in expected
    assert expected[0] == pytest.approx((3 * 1 + 1 * -1) / 4)  # the candidate that failed is known to be wrong
    seen = valued(tree, "expected")
    assert at(seen, "b.").visit_count == 0
    assert [row.node for row in step_values([seen])] == [node.index for node in tree.path(tree.nodes[tree.rollouts[0]])]


def test_what_was_dropped_beside_an_answer_says_nothing() -> None:
    tree = grow_script(
        {"": ["a."], "a.": ["=7", "=8", "c?"]}, {**SEARCH, "num_candidates": 3, "answer_siblings": "drop"}
    )
    assert at(tree, "a./=8").rejected == DROPPED
    assert at(tree, "a./c?").rejected not in (None, DROPPED)
    assert expected_outcomes(tree)[at(tree, "a.").index] == 0  # of the answer that is left, and the one that failed


def test_a_reward_models_first_value_is_no_outcome() -> None:
    tree = grow_script(SCRIPT, SEARCH, scores={"a.": -0.9, "b.": 0.9})
    assert at(tree, "b.").q_value > -1
    assert at(valued(tree, "expected"), "b.").q_value == -1


def test_pairs_follow_the_values() -> None:
    # closed: u. and v. have one rollout more each that is wrong than the policy would have; here the order turns
    script = {"": ["u.", "v."], "u.": ["=7"] * 6 + ["=1", "=2", "=3"], "v.": ["=7"] * 4 + ["=8"] * 5}
    tree = grow_script(script, {"num_candidates": 9, "num_rollouts": 16, "exploration": 1.0})
    assert at(tree, "u.").q_value < at(tree, "v.").q_value
    seen = valued(tree, "expected")
    assert at(seen, "u.").q_value == pytest.approx(3 / 9)
    assert at(seen, "v.").q_value == pytest.approx(-1 / 9)
    assert step_pairs(tree, SelectionSettings()) == []  # both lead to a right answer
    assert step_pairs(seen, SelectionSettings()) == []


def test_trees_without_values_stay_as_they_are() -> None:
    tree = grow_fake("sample", SearchSettings(num_rollouts=3, use_ppm=False))
    assert valued(tree, "expected") is tree
    nobody_knows = grow_script(SCRIPT, {**SEARCH, "terminal_value": "ppm"}, reference=None, scores={"a.": 0.5})
    assert expected_outcomes(nobody_knows).keys() <= {
        node.index for node in nobody_knows.nodes if node.terminal != "answer"
    }


@settings(max_examples=30, deadline=None)
@given(
    num_rollouts=st.integers(1, 12), terminal_nodes=st.sampled_from(["close", "revisit"]), seed=st.integers(0, 10**6)
)
def test_values_of_any_tree(num_rollouts: int, terminal_nodes: str, seed: int) -> None:
    search = SearchSettings.model_validate(
        {"num_rollouts": num_rollouts, "num_candidates": 4, "use_ppm": False, "terminal_nodes": terminal_nodes}
    )
    tree = grow_fake("mcts", search, FakePolicy(), seed=seed)
    expected = expected_outcomes(tree)
    assert all(-1 <= value <= 1 for value in expected.values())
    assert {node.index for end in tree.rollouts for node in tree.path(tree.nodes[end])} <= expected.keys()
    for end in (tree.nodes[i] for i in tree.rollouts):
        assert expected[end.index] == (1 if end.correct else -1)
    before = [(node.visit_count, node.value_sum) for node in tree.nodes]
    seen = valued(tree, "expected")
    assert [(node.visit_count, node.value_sum) for node in tree.nodes] == before
    assert seen.rollouts == tree.rollouts
