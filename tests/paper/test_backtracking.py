"""Turning back, on trees worked by hand."""

from __future__ import annotations

import random

import pytest

from rstar_math.paper.backtracking import Searched, approach, chance_level, example_text, turning_back
from rstar_math.tree import Node, Tree
from rstar_math.types import Problem, Step


def add(tree: Tree, parent: Node, code: str, score: float | None = None) -> Node:
    node = tree.add(parent, Step(text=code, code=code))
    if score is not None:
        node.ppm_score, node.visit_count, node.value_sum = score, 1, score
    return node


def end(tree: Tree, parent: Node, answer: str, correct: bool) -> Node:
    node = tree.add(parent, Step(text=answer, answer=answer))
    node.terminal, node.correct = "answer", correct
    return node


def roll(tree: Tree, node: Node) -> None:
    """One rollout that ends at a node, backed up as a search does."""
    tree.rollouts.append(node.index)
    value = 1.0 if node.correct else -1.0
    for passed in [tree.root, *tree.path(node)]:
        passed.visit_count += 1
        passed.value_sum += value


def grown(left_code: str, taken_code: str, left: float | None, taken: float | None, other: float | None) -> Tree:
    """Two first steps: a wrong rollout through the left one, then a right one through the other."""
    tree = Tree.start(Problem("p", "How many?", "6"), "mcts", 0)
    first = add(tree, tree.root, left_code, left)
    second = add(tree, tree.root, taken_code, taken)
    if other is not None:
        add(tree, tree.root, "y = 9 ** 9", other)
    roll(tree, end(tree, first, "5", False))
    roll(tree, end(tree, second, "6", True))
    roll(tree, end(tree, first, "7", False))  # comes later: says nothing about what was known before
    return tree


def test_a_search_that_leaves_a_low_valued_branch_for_another_approach_turns_back() -> None:
    turn = turning_back(grown("x = 2 + 3", "x = 2 * 3", left=0.2, taken=0.4, other=0.3))
    assert turn is not None
    assert (turn.left, turn.taken) == (1, 2)
    assert turn.q_left == pytest.approx((0.2 - 1) / 2)  # its score and the wrong rollout, nothing later
    assert turn.q_taken == pytest.approx(0.4)


def test_the_same_approach_with_other_numbers_is_no_turn() -> None:
    assert turning_back(grown("x = 2 + 3", "total = 4 + 2", left=0.2, taken=0.4, other=0.3)) is None


def test_a_branch_that_is_not_the_lowest_is_not_what_was_left() -> None:
    assert turning_back(grown("x = 2 + 3", "x = 2 * 3", left=0.2, taken=0.4, other=-0.9)) is None


def test_a_branch_of_positive_value_is_not_low() -> None:
    tree = grown("x = 2 + 3", "x = 2 * 3", left=None, taken=0.95, other=0.97)
    tree.nodes[1].visit_count, tree.nodes[1].value_sum = 12, 10 - 2.0  # ten earlier visits of value 1
    assert turning_back(tree) is None


def test_without_a_wrong_rollout_first_there_is_no_turn() -> None:
    tree = Tree.start(Problem("p", "How many?", "6"), "mcts", 0)
    roll(tree, end(tree, add(tree, tree.root, "x = 2 * 3", 0.1), "6", True))
    assert turning_back(tree) is None
    assert chance_level([tree], num_shuffles=3) == []


def test_shuffled_values_find_fewer_turns_where_values_know_something() -> None:
    trees = [grown("x = 2 + 3", "x = 2 * 3", left=0.2, taken=0.4, other=0.3) for _ in range(30)]
    drawn = [sum(turns) for turns in zip(*(of for _, of in chance_level(trees, num_shuffles=50)), strict=True)]
    assert len(drawn) == 50
    assert 0 < min(drawn) < max(drawn) < 30  # one of three children is the lowest by chance
    assert turning_back(trees[0], random.Random(1)) is None or turning_back(trees[0], random.Random(2)) is None


def test_the_chance_level_does_not_hang_on_the_order_of_the_trees() -> None:
    trees = [grown("x = 2 + 3", "x = 2 * 3", left=0.2, taken=0.4, other=0.3 if i < 3 else None) for i in range(6)]
    for i, tree in enumerate(trees):
        tree.seed = i
    assert chance_level(trees, num_shuffles=20) == chance_level(trees[::-1], num_shuffles=20)


def test_late_trees_are_counted_by_problem_beside_chance() -> None:
    turning = [grown("x = 2 + 3", "x = 2 * 3", left=0.2, taken=0.4, other=0.3) for _ in range(4)]
    solved = Tree.start(Problem("q", "How many?", "6"), "mcts", 0)
    roll(solved, end(solved, add(solved, solved.root, "x = 2 * 3", 0.1), "6", True))
    found = Searched.of([*turning, solved])
    assert (found.num_trees, found.num_late, len(found.turned)) == (5, 4, 4)
    assert list(found.late) == ["p"], "the other problem was solved by its first rollout"
    more, num = found.late["p"]
    assert num == 4
    assert more == pytest.approx(4 - sum(found.by_chance) / len(found.by_chance))
    assert 0 < more < 4
    assert Searched.of([solved]).late == {}


def test_where_all_values_are_failures_a_shuffle_changes_nothing() -> None:
    tree = Tree.start(Problem("p", "How many?", "6"), "mcts", 0)
    first, second = add(tree, tree.root, "x = 2 + 3"), add(tree, tree.root, "x = 2 - 3")
    roll(tree, end(tree, first, "5", False))
    roll(tree, end(tree, second, "-1", False))
    roll(tree, end(tree, add(tree, tree.root, "x = 2 * 3"), "6", True))
    assert turning_back(tree) is not None
    assert chance_level([tree], num_shuffles=20) == [(tree, [True] * 20)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 2 + 3", "total = 7 + 1", True),
        ("x = 2 + 3", "x = 2 * 3", False),
        ("x = gcd(2, 3)", "x = lcm(2, 3)", False),
        ("x = f'{a}'", "x = (", False),
    ],
)
def test_an_approach_is_the_syntax_without_numbers_and_names(one: str, other: str, same: bool) -> None:
    assert (approach(one) == approach(other)) == same


def test_an_example_shows_both_approaches_with_their_values_and_answers() -> None:
    tree = grown("x = 2 + 3", "x = 2 * 3", left=0.2, taken=0.4, other=0.3)
    turn = turning_back(tree)
    assert turn is not None
    text = example_text(tree, turn, lambda q: f"{q:+.2f}")
    for part in (
        "How many?",
        "Q = -0.40",
        "Q = +0.40",
        "x = 2 + 3",
        "x = 2 * 3",
        "answer 5 (wrong)",
        "answer 6 (right)",
    ):
        assert part in text
