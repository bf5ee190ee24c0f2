"""Monte Carlo tree search over steps (rStar-Math, section 3.1): select, expand, evaluate, back up.

Terminal-guided (rounds 1 and 2): an answer is worth +1 or -1 by the reference. PPM-augmented (rounds 3 and 4, and
answering): a new node starts from its PPM score. Every deviation of the released code is a key of `SearchSettings`.
"""

from __future__ import annotations

import math
from collections import Counter

from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import expand_all
from rstar_math.search.together import all_of
from rstar_math.tree import Node, Tree

_NONE_PENDING: Counter[int] = Counter()


async def mcts(env: Environment, settings: SearchSettings) -> Tree:
    """The paper's search: rollouts that choose steps by UCT, with all candidates of a step drawn at once.

    Ends after `num_rollouts` rollouts, or when nothing is left to visit or to spend. Where terminal nodes are closed,
    Q is no mean over what the policy does: a right leaf counts once, so that most rollouts after it are wrong
    (`selection.values` reads trees otherwise; docs/log.md, "What Q says").
    """
    tree = Tree.start(env.problem, "mcts", env.seed)
    tree.stopped = "rollouts"
    with env.within_budget(tree):
        while len(tree.rollouts) < settings.num_rollouts and not tree.root.closed:
            num_left = settings.num_rollouts - len(tree.rollouts)
            num_descents = env.budget.begin_rollouts(min(settings.num_parallel, num_left))
            leaves = await descend(env, tree, num_descents, settings)
            values = await all_of(evaluate(env, leaf, settings) for leaf in leaves)
            for leaf, value in zip(leaves, values, strict=True):
                backup(tree, leaf, value, settings)
                tree.rollouts.append(leaf.index)
                if settings.terminal_nodes == "close":
                    close(tree, leaf)
    if tree.root.closed:
        tree.stopped = "closed"
    tree.cost = env.finish()
    return tree


async def descend(env: Environment, tree: Tree, num_descents: int, settings: SearchSettings) -> list[Node]:
    """Goes from the root down to different terminal nodes, expanding every node on the way.

    With one descent this is the paper's. Several go down side by side, level by level, so that their order, and with
    it the tree, does not depend on what is quicker: a node counts one lost visit for each descent that is below it.

    Returns:
      1 to `num_descents` terminal nodes; fewer where there are not so many to go to.
    """
    pending: Counter[int] = Counter()
    at, leaves = [tree.root] * num_descents, dict[int, Node]()
    while at:
        new = {node.index: node for node in at if not node.expanded and node.terminal is None}
        await expand_all(env, tree, list(new.values()), settings)
        below = []
        for node in at:
            if node.terminal is not None:
                leaves[node.index] = node
            elif (child := select(tree, node, settings, pending)) is not None:
                pending[child.index] += 1
                below.append(child)
        at = below
    return list(leaves.values())


def select(tree: Tree, node: Node, settings: SearchSettings, pending: Counter[int] = _NONE_PENDING) -> Node | None:
    """The open child with the largest UCT; ties go to the candidate that was proposed first.

    Args:
      tree: the tree.
      node: an expanded node that is not closed.
      settings: of the search.
      pending: descents under way below each node; a terminal node that one of them reached is taken.

    Returns:
      The child, or None where every open child is taken.
    """
    free = [c for c in tree.children(node) if not c.closed and not (c.terminal is not None and pending[c.index])]
    parent_visits = node.visit_count + pending[node.index]
    return max(free, key=lambda child: uct(child, parent_visits, settings, pending[child.index]), default=None)


def uct(child: Node, parent_visits: int, settings: SearchSettings, num_pending: int = 0) -> float:
    """UCT(s) = Q(s) + c * sqrt(ln N(parent) / N(s)) (equation 1).

    Args:
      child: the node s.
      parent_visits: N(parent); 0 and 1 both give no bonus.
      settings: of the search.
      num_pending: descents under way below the node; each counts as a visit of value -1 (virtual loss).

    Returns:
      The value to maximise; infinite for an unvisited child, or its bare Q (0) where `unvisited` is "zero_bonus".
    """
    visits = child.visit_count + num_pending
    if visits == 0:
        return math.inf if settings.unvisited == "first" else child.q_value
    q_value = (child.value_sum - num_pending) / visits
    return q_value + settings.exploration * math.sqrt(math.log(max(parent_visits, 1)) / visits)


async def evaluate(env: Environment, node: Node, settings: SearchSettings) -> float:
    """The value of a terminal node, in [-1, 1]: by the reference, or by the PPM where there is none."""
    if node.terminal != "answer" or node.step is None:
        return settings.failure_value
    if settings.terminal_value == "ppm":
        if node.step.answer is None or node.ppm_score is None:
            return settings.failure_value
        return node.ppm_score
    if node.correct is None:  # a node that is visited again is graded once
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
