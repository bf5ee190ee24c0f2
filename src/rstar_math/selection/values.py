"""What a step of a tree is worth: Q as it was backed up, or the outcome that the policy is to be expected to reach.

Q is a mean over the rollouts of a search, and a search goes where it is told to: away from leaves that it has closed,
and to what looks best. So Q is no estimate of how often the policy goes right from a step. The tree holds one all the
same: at each node it knows how often the policy proposed each candidate, and how those ended that rollouts passed.
Measured against fresh rollouts in docs/log.md ("What Q says"). Beyond the paper.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from rstar_math.tree import DROPPED, Node, Tree

RIGHT, WRONG = 1.0, -1.0


def valued(tree: Tree, values: Literal["backed_up", "expected"]) -> Tree:
    """The tree as selection and reward models are to read it: with these values as the Q of its nodes.

    Args:
      tree: is not changed.
      values: `backed_up` gives the tree itself; `expected` a copy in which Q is the expected outcome of every node that
        a graded rollout passed, and 0 with no visits where none did, because nothing is known there. Trees of
        strategies that back nothing up (independent samples) have no values to be replaced.
    """
    if values == "backed_up" or not any(node.value_sum for node in tree.nodes):
        return tree
    expected = expected_outcomes(tree)
    num_passed = _num_passed(tree)
    nodes = [
        replace(node, visit_count=num_passed[node.index], value_sum=expected[node.index] * num_passed[node.index])
        if node.index in expected and num_passed[node.index]
        else replace(node, visit_count=0, value_sum=0.0)
        for node in tree.nodes
    ]
    return replace(tree, nodes=nodes)


def expected_outcomes(tree: Tree) -> dict[int, float]:
    """The outcome that the policy is to be expected to reach from each node of which the tree knows something.

    A right answer is worth 1, whatever else ends a solution -1. A node is worth the mean of its candidates, each
    counted as often as it was proposed. Candidates that cannot be continued are wrong; those that no rollout passed
    count as the mean of those that were passed, and those that were dropped beside an answer not at all.

    Returns:
      Node -> value in [-1, 1]. Nodes that nothing is known of are left out: answers that nobody graded, and steps that
      no rollout went on from.
    """
    found: dict[int, float] = {}
    for node in reversed(tree.nodes):  # a child stands behind its parent
        value = _end(node) if node.terminal is not None else _mean(tree, node, found)
        if value is not None:
            found[node.index] = value
    return found


def _end(node: Node) -> float | None:
    if node.terminal != "answer":
        return WRONG
    if node.correct is None:
        return None
    return RIGHT if node.correct else WRONG


def _mean(tree: Tree, node: Node, found: dict[int, float]) -> float | None:
    going = tree.children(node)
    known = [(child.num_proposed, found[child.index]) for child in going if child.index in found]
    if not known:
        return None
    mean = sum(num * value for num, value in known) / sum(num for num, _ in known)
    num_going = sum(child.num_proposed for child in going)
    tried = (child for i in node.children if (child := tree.nodes[i]).rejected != DROPPED)
    num_drawn = sum(child.num_proposed for child in tried)
    return WRONG + (mean - WRONG) * num_going / num_drawn


def _num_passed(tree: Tree) -> list[int]:
    """Rollouts that passed each node, or ended at it."""
    passed = [0] * len(tree.nodes)
    for end in tree.rollouts:
        for node in (tree.root, *tree.path(tree.nodes[end])):
            passed[node.index] += 1
    return passed
