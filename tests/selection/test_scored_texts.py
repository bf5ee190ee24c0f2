"""Texts with targets from trees: outcomes of finished trajectories, Q values of steps, by hand."""

from __future__ import annotations

import asyncio

import pytest

from rstar_math import steps
from rstar_math.config import SearchSettings
from rstar_math.search.sampling import sample
from rstar_math.selection.scored_texts import outcomes, step_values
from rstar_math.tree import Node, Tree
from rstar_math.types import Execution, Problem, Step
from tests.growing import end_rollout, fake_environment, grow_fake

PROBLEM = Problem("p", "What is 6 * 7?", "42")


def tree_of(answers: list[str], seed: int = 0, problem: Problem = PROBLEM) -> Tree:
    """A first step that all rollouts share, then one answer for each; backed up as MCTS does."""
    tree = Tree.start(problem, "mcts", seed)
    first = child(tree, tree.root, Step("\nx = 6 * 7\n<end_of_code>", "x = 6 * 7", "", Execution("ok", "")))
    for text in answers:
        end = child(tree, first, Step(f"\n<answer>\\boxed{{{text}}}<end_of_answer>", answer=text))
        end_rollout(tree, first, end)
    return tree


def child(tree: Tree, parent: Node, step: Step) -> Node:
    parent.expanded = True
    return tree.add(parent, step)


def test_outcomes_are_whole_texts_once_each() -> None:
    tree = tree_of(["42", "41"])
    tree.rollouts.append(tree.rollouts[0])  # a strategy that ends at a node twice
    rows = outcomes([tree])
    assert [(row.target, row.visit_count, row.node) for row in rows] == [(1.0, 2, 2), (0.0, 1, 3)]
    assert {row.kind for row in rows} == {"outcome"}
    assert rows[0].text == tree.prefix(tree.nodes[2])
    assert rows[0].text.startswith(steps.prompt("What is 6 * 7?"))
    assert {row.weight for row in rows} == {1.0}


def test_outcomes_that_nobody_graded_or_that_failed_are_left_out() -> None:
    tree = tree_of(["42", "41", "40"])
    tree.nodes[3].correct = None
    assert [row.node for row in outcomes([tree])] == [2, 4]
    first = tree.nodes[1]
    assert first.step is not None
    first.step = Step(first.step.text, first.step.code, "", Execution("error", "", "NameError: y"))
    assert outcomes([tree]) == []


def test_q_values_are_those_of_the_steps_that_rollouts_passed() -> None:
    tree = tree_of(["42", "41", "40"])
    valued = child(tree, tree.root, Step("\ny = 1\n<end_of_step>", "y = 1", "", Execution("ok", "")))
    valued.ppm_score, valued.visit_count, valued.value_sum = 0.9, 1, 0.9  # no rollout went there
    failed = child(tree, tree.root, Step("\nz\n<end_of_step>", "z", "", Execution("error", "", "NameError: z")))
    failed.rejected = "NameError: z"
    rows = step_values([tree])
    assert [(row.node, row.target, row.visit_count) for row in rows] == [
        (1, pytest.approx(-1 / 3), 3),
        (2, 1.0, 1),
        (3, -1.0, 1),
        (4, -1.0, 1),
    ]
    assert rows[0].text == tree.prefix(tree.nodes[1])
    assert {row.kind for row in rows} == {"q_value"}


def test_several_trees_of_a_problem_share_their_texts() -> None:
    trees = [tree_of(["42"], 2), tree_of(["42", "41"], 1)]
    rows = step_values(trees)
    assert [(row.tree, row.target, row.visit_count) for row in rows] == [
        ("p@1", pytest.approx(1 / 3), 3),  # Q 0 of two visits and 1 of one
        ("p@1", 1.0, 2),
        ("p@1", -1.0, 1),
    ]
    assert [(row.tree, row.target) for row in outcomes(trees)] == [("p@1", 1.0), ("p@1", 0.0)]
    other = tree_of(["41"], 1, Problem("q", PROBLEM.question, "42"))
    assert {(row.problem, row.target) for row in outcomes([*trees, other])} == {("p", 1.0), ("p", 0.0), ("q", 0.0)}


def test_searched_trees_give_both_and_samples_give_outcomes() -> None:
    tree = grow_fake("mcts", SearchSettings(num_rollouts=6, num_candidates=3, use_ppm=False))
    assert {row.target for row in outcomes([tree])} <= {0.0, 1.0}
    values = {row.node: row for row in step_values([tree])}
    assert values
    assert all(values[i].target == pytest.approx(tree.nodes[i].q_value) for i in values)
    env = fake_environment(Problem("p", "Question p?", "1"), 0)
    samples = asyncio.run(sample(env, SearchSettings(num_rollouts=6, use_ppm=False)))
    assert outcomes([samples])
    assert step_values([samples]) == []  # nothing is backed up: Q would be 0 everywhere
    assert step_values([tree_of(["42"], problem=Problem("p", "?"))]) == []
