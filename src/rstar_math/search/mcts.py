"""Monte Carlo tree search over steps (rStar-Math, section 3.1): select, expand, evaluate, back up.

Terminal-guided (rounds 1 and 2): an answer is worth +1 or -1 by the reference. PPM-augmented (rounds 3 and 4, and
answering): a new node starts from its PPM score. Every deviation of the released code is a key of `SearchSettings`.
"""

from __future__ import annotations

import math

from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import expand
from rstar_math.tree import Node, Tree


async def mcts(env: Environment, settings: SearchSettings) -> Tree:
    """Grows a tree by `num_rollouts` rollouts, or until nothing is left to visit."""
    tree = Tree.start(env.problem, "mcts", env.seed)
    for _ in range(settings.num_rollouts):
        node = tree.root
        while node.terminal is None:
            if not node.expanded:
                await expand(env, tree, node, settings)
            if node.terminal is None:
                node = select(tree, node, settings)
        value = await evaluate(env, node, settings)
        backup(tree, node, value, settings)
        tree.rollouts.append(node.index)
        close(tree, node)
        if tree.root.closed:
            break
    tree.stopped = "closed" if tree.root.closed else "rollouts"
    tree.cost = env.finish()
    return tree


def select(tree: Tree, node: Node, settings: SearchSettings) -> Node:
    """The open child with the largest UCT; ties go to the candidate that was proposed first."""
    open_children = [child for child in tree.children(node) if not child.closed]
    return max(open_children, key=lambda child: uct(child, node.visit_count, settings))


def uct(child: Node, parent_visits: int, settings: SearchSettings) -> float:
    """UCT(s) = Q(s) + c * sqrt(ln N(parent) / N(s)) (equation 1).

    Args:
      child: the node s.
      parent_visits: N(parent); 0 and 1 both give no bonus.

    Returns:
      The value to maximise; infinite for an unvisited child, or its bare Q (0) where `unvisited` is "zero_bonus".
    """
    if child.visit_count == 0:
        return math.inf if settings.unvisited == "first" else child.q_value
    return child.q_value + settings.exploration * math.sqrt(math.log(max(parent_visits, 1)) / child.visit_count)


async def evaluate(env: Environment, node: Node, settings: SearchSettings) -> float:
    """The value of a terminal node, in [-1, 1]: by the reference, or by the PPM where there is none."""
    if node.terminal != "answer" or node.step is None:
        return settings.failure_value
    if settings.terminal_value == "ppm":
        if node.step.answer is None or node.ppm_score is None:
            return settings.failure_value
        return node.ppm_score
    node.correct = await env.is_correct(node.step.answer)
    return 1.0 if node.correct else settings.failure_value


def backup(tree: Tree, node: Node, value: float, settings: SearchSettings) -> None:
    """Adds `value` to the value sum, and 1 to the visit count, of every node from `node` up to the root."""
    if node.terminal != "answer" and not settings.backup_dead_ends:
        node.visit_count, node.value_sum = node.visit_count + 1, node.value_sum + value
        return
    while True:
        node.visit_count += 1
        node.value_sum += value
        if node.parent < 0:
            return
        node = tree.nodes[node.parent]


def close(tree: Tree, node: Node) -> None:
    """Closes a terminal node, and every ancestor all of whose children are closed."""
    node.closed = True
    while node.parent >= 0:
        node = tree.nodes[node.parent]
        if not all(child.closed for child in tree.children(node)):
            return
        node.closed = True
