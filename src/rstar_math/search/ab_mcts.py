"""Adaptive branching: tree search that goes wider or deeper as the values say (AB-MCTS-A, Inoue et al. 2025).

MCTS draws all candidates of a step at once. Here a node may draw one more at any time, up to `num_candidates`. Thompson
sampling decides at every node: there is a belief about the value of each open child, and of one more candidate; a value
is drawn from each belief, and the largest is followed. A child is known by its first value and by the rollouts that
passed it, a candidate yet to be drawn by the first values of those drawn so far.

Differs from Inoue et al., whose nodes are whole answers: a rollout goes on to a terminal node, as in `mcts`; and a node
decides once among all arms, not first whether to go deeper at all, because nobody has gone on from the children of a
new step, so that there is nothing to know about going deeper as such. Beyond the rStar-Math paper.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import first_value, max_candidates, num_drawn, widen_all
from rstar_math.search.mcts import backup, evaluate
from rstar_math.search.together import all_of
from rstar_math.tree import Node, Tree

Passed = defaultdict[int, list[float]]
"""Node -> the values of the rollouts that passed it."""


async def ab_mcts(env: Environment, settings: SearchSettings) -> Tree:
    """Draws candidates one by one, wider or deeper by Thompson sampling (AB-MCTS-A, Inoue et al. 2025).

    Ends after `num_rollouts` rollouts, or when nothing is left to visit or to spend.
    """
    if not settings.use_ppm:
        raise ConfigError("strategy ab_mcts compares steps by a reward model; it needs use_ppm: true")
    if settings.answer_siblings == "drop":
        raise ConfigError("strategy ab_mcts draws candidates one by one; it needs answer_siblings: keep")
    if settings.terminal_nodes == "revisit":
        raise ConfigError("strategy ab_mcts visits a terminal node once; it needs terminal_nodes: close")
    tree, passed = Tree.start(env.problem, "ab_mcts", env.seed), Passed(list)
    tree.stopped = "rollouts"
    with env.within_budget(tree):
        while len(tree.rollouts) < settings.num_rollouts and not tree.root.closed:
            num_left = settings.num_rollouts - len(tree.rollouts)
            num_descents = env.budget.begin_rollouts(min(settings.num_parallel, num_left))
            leaves = await descend(env, tree, passed, num_descents, settings)
            values = await all_of(evaluate(env, leaf, settings) for leaf in leaves)
            for leaf, value in zip(leaves, values, strict=True):
                backup(tree, leaf, value, settings)
                for node in tree.path(leaf) if leaf.terminal == "answer" or settings.backup_dead_ends else [leaf]:
                    passed[node.index].append(value)
                tree.rollouts.append(leaf.index)
                close(tree, leaf, settings)
    if tree.root.closed:
        tree.stopped = "closed"
    tree.cost = env.finish()
    return tree


async def descend(
    env: Environment, tree: Tree, passed: Passed, num_descents: int, settings: SearchSettings
) -> list[Node]:
    """Goes from the root down to different terminal nodes, drawing candidates on the way where that promises more.

    Several descents go down side by side, turn by turn, so that the tree does not depend on what is quicker; what
    keeps them apart is chance, and that a terminal node which one of them reached is taken.

    Returns:
      Terminal nodes; fewer than `num_descents`, or none, where the last candidates drawn brought nothing new.
    """
    at, leaves = [tree.root] * num_descents, dict[int, Node]()
    while at:
        below, wider = list[Node](), Counter[int]()
        for node in at:
            room = max_candidates(tree, node, settings) - num_drawn(tree, node) - wider[node.index]
            free = [c for c in tree.children(node) if not c.closed and c.index not in leaves]
            child = choose(env.rng, tree, node, free, passed, settings, may_widen=room > 0)
            if child is not None and child.terminal is not None:
                leaves[child.index] = child
            elif child is not None:
                below.append(child)
            elif room > 0:
                wider[node.index] += min(settings.num_widen, room)
                below.append(node)
        await widen_all(env, tree, [(tree.nodes[i], num) for i, num in wider.items()], settings)
        for node in (tree.nodes[i] for i in wider):
            if node.terminal is not None:
                leaves[node.index] = node
            else:
                close(tree, node, settings)
        at = [node for node in below if node.terminal is None]
    return list(leaves.values())


def choose(
    rng: random.Random,
    tree: Tree,
    node: Node,
    free: Sequence[Node],
    passed: Passed,
    settings: SearchSettings,
    *,
    may_widen: bool,
) -> Node | None:
    """Thompson sampling at one node.

    Args:
      rng: the search's own.
      tree: the tree.
      node: a node that is not terminal.
      free: its children that may be gone to.
      passed: values of the rollouts that passed each node.
      settings: of the search.
      may_widen: whether another candidate may be drawn.

    Returns:
      The child to go to; None for another candidate, and where neither is to be had.
    """
    best, most = None, -math.inf
    if may_widen:
        if not free:
            return None  # there is nothing to decide
        most = belief(drawn_values(tree, node, settings), settings).sample(rng)
    for child in free:
        value = belief([first_value(tree, child, settings), *passed[child.index]], settings).sample(rng)
        if value > most:
            best, most = child, value
    return best


def drawn_values(tree: Tree, node: Node, settings: SearchSettings) -> list[float]:
    """What the candidates drawn at a node were worth at first, one value for each draw; what cannot stand, failed."""
    return [
        first_value(tree, child, settings) if child.rejected is None else settings.failure_value
        for child in (tree.nodes[i] for i in node.children)
        for _ in range(child.num_proposed)
    ]


def close(tree: Tree, node: Node, settings: SearchSettings) -> None:
    """Closes a visited terminal node, or one with nothing left to draw or to visit, and every such ancestor."""
    while node.terminal is not None or (
        num_drawn(tree, node) >= max_candidates(tree, node, settings)
        and all(child.closed for child in tree.children(node))
    ):
        node.closed = True
        if node.parent < 0:
            return
        node = tree.nodes[node.parent]


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of values that are normal with unknown mean and variance (normal-inverse-gamma).

    Attributes:
      mean: of the mean.
      count: observations that the mean rests on, the prior's included; > 0.
      freedom: degrees of freedom of the variance; > 0.
      variance: scale of the variance; > 0.
    """

    mean: float
    count: float
    freedom: float
    variance: float

    def sample(self, rng: random.Random) -> float:
        """Draws a mean: the variance is freedom * variance / chi-squared(freedom), the mean normal given it."""
        chi_squared = 2.0 * rng.gammavariate(self.freedom / 2.0, 1.0)
        variance = self.freedom * self.variance / max(chi_squared, 1e-300)
        return rng.normalvariate(self.mean, math.sqrt(variance / self.count))


def belief(values: Sequence[float], settings: SearchSettings) -> Belief:
    """The posterior after `values`, by the conjugate rule; the prior has mean 0 and weighs `thompson_count` values."""
    prior, n = settings.thompson_count, len(values)
    prior_variance = settings.thompson_spread**2
    average = sum(values) / n if n else 0.0
    squares = sum((value - average) ** 2 for value in values)
    count = prior + n
    total = prior * prior_variance + squares + prior * n / count * average**2
    return Belief(mean=n * average / count, count=count, freedom=count, variance=total / count)
