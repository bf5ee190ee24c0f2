"""Trees: paths, prefixes and finished trajectories."""

from __future__ import annotations

import pytest

from rstar_math import steps
from rstar_math.tree import Node, Tree
from rstar_math.types import Problem
from tests.growing import at, grow_script, path_of

SCRIPT = {"": ["a", "b.", "c!"], "a": ["d.", "e"], "b.": ["=7", "="], "a/d.": ["=7"], "a/e": ["f?"]}


def _tree(**search: object) -> Tree:
    return grow_script(SCRIPT, {"num_rollouts": 20, "num_candidates": 3, **search})


def test_paths_and_prefixes() -> None:
    tree = _tree()
    node = at(tree, "a/d./=7")
    assert [path_of(tree, n) for n in tree.path(node)] == ["a", "a/d.", "a/d./=7"]
    assert tree.path(tree.root) == []
    assert tree.steps(tree.root) == []
    assert tree.prefix(tree.root) == steps.prompt("A scripted question?")
    assert tree.prefix(node) == (
        steps.prompt("A scripted question?")
        + "\n# a\n<end_of_step>\n# d.\nprint(1)\n<end_of_code>\n<output>1<end_of_output>"
        + "\n# =7\n<answer>It is \\boxed{7}.<end_of_answer>"
    )
    assert steps.parse(tree.prefix(node).removeprefix(steps.prompt("A scripted question?")))[-1].answer == "7"


def test_children_leave_the_rejected_out() -> None:
    tree = _tree()
    assert [path_of(tree, tree.nodes[i]) for i in tree.root.children] == ["a", "b.", "c!"]
    assert [path_of(tree, n) for n in tree.children(tree.root)] == ["a", "b."]


def test_trajectories_are_what_rollouts_ended_at() -> None:
    tree = _tree(num_rollouts=4)
    # UCT is equal before the third rollout; below a, the unvisited e comes first: a dead end
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["a/d./=7", "b./=7", "a/e", "b./="]
    assert [path_of(tree, n) for n in tree.answer_nodes()] == ["a/d./=7", "b./=7", "b./="]
    first, second, third = tree.trajectories()
    assert first.node_path == tuple(n.index for n in tree.path(at(tree, "a/d./=7")))
    assert first.q_values == (0.0, 1.0, 1.0)
    assert second.q_values == (0.0, 1.0)
    assert (first.answer, first.correct, first.ppm_scores, first.ppm_score) == ("7", True, (), None)
    assert (third.answer, third.correct, third.q_values) == (None, False, (0.0, -1.0))
    assert third.mean_q == -0.5
    assert first.logprob == pytest.approx(-3.0)
    assert tree.solved


def test_a_solution_that_is_reached_twice_counts_once() -> None:
    tree = _tree(num_rollouts=2)
    tree.rollouts.append(tree.rollouts[0])
    assert len(tree.trajectories()) == 2


def test_a_tree_without_a_right_answer_is_not_solved() -> None:
    assert not grow_script({"": ["a."], "a.": ["=8"]}, {"num_rollouts": 2}).solved
    assert not grow_script({"": ["a!"]}, {"num_rollouts": 2}).solved


def test_ppm_scores_of_a_trajectory() -> None:
    tree = grow_script({"": ["a."], "a.": ["=7"]}, {"num_rollouts": 1}, scores={"a.": 0.25, "a./=7": 0.5})
    (trajectory,) = tree.trajectories()
    assert trajectory.ppm_scores == (0.25, 0.5)
    assert trajectory.ppm_score == 0.5


def test_trees_are_named_by_problem_and_seed() -> None:
    assert Tree.start(Problem("p-1", "Q?"), "mcts", 12).id == "p-1@12"


def test_q_of_an_unvisited_node() -> None:
    assert Node(1, 0, 1, None).q_value == 0.0
    assert Node(1, 0, 1, None, visit_count=4, value_sum=-1.0).q_value == -0.25
