"""A forest of fresh descents, instead of one tree that is searched again and again.

Rollouts of one tree share their first steps, so an early mistake that the reward model likes is in all of them. Here
every rollout starts anew at the root: it draws candidates for each step and takes the best by the reward model's score
(with `prior_weight`: as evidence over how often the policy proposed it), until it has an answer, which is one vote.
Differs from the paper, whose search is `mcts`; measured against it at equal budgets in docs/log.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import expand
from rstar_math.search.mcts import backup, evaluate
from rstar_math.search.together import all_of
from rstar_math.tree import Node, Tree

Descend = Callable[[list[Tree]], Awaitable[list[Node]]]
"""Goes down trees that have nothing but a root, side by side -> the terminal node of each."""


async def forest(env: Environment, settings: SearchSettings) -> Tree:
    """`num_rollouts` independent descents, `num_parallel` at a time, grafted onto one root."""
    if not settings.use_ppm:
        raise ConfigError("strategy forest chooses steps by a reward model; it needs use_ppm: true")
    return await grafted(env, settings, "forest", lambda shoots: descend(env, shoots, settings))


async def grafted(
    env: Environment, settings: SearchSettings, strategy: str, descend: Descend, *, finishes_one_first: bool = False
) -> Tree:
    """Independent descents as rollouts of one tree, until there are `num_rollouts` or the budget is spent.

    Args:
      env: the world of the search.
      settings: of the search.
      strategy: its name.
      descend: how trees are gone down.
      finishes_one_first: within a limit of tokens the first descent goes alone, so that something is finished.
    """
    tree = Tree.start(env.problem, strategy, env.seed)
    tree.stopped = "rollouts"
    with env.within_budget(tree):
        while len(tree.rollouts) < settings.num_rollouts:
            num_left = settings.num_rollouts - len(tree.rollouts)
            is_limited = env.budget.tokens_left is not None
            is_alone = finishes_one_first and is_limited and not env.budget.solutions.count
            num_descents = env.budget.begin_rollouts(1 if is_alone else min(settings.num_parallel, num_left))
            shoots = [Tree.start(env.problem, strategy, env.seed) for _ in range(num_descents)]
            for shoot, leaf in zip(shoots, await descend(shoots), strict=True):
                if leaf.terminal == "answer":
                    env.budget.solutions.note(shoot.num_tokens(leaf), leaf.depth)
                backup(shoot, leaf, await evaluate(env, leaf, settings), settings)
                shoot.rollouts.append(leaf.index)
                tree.graft(shoot)
            if not tree.nodes[1:]:
                break  # the question alone fills the policy's context
    tree.root.expanded = True
    tree.cost = env.finish()
    return tree


async def descend(env: Environment, shoots: list[Tree], settings: SearchSettings) -> list[Node]:
    """Goes down every tree side by side, by the best candidate of each step; returns their terminal nodes."""
    at = [shoot.root for shoot in shoots]
    while any(node.terminal is None for node in at):
        going = [(shoot, node) for shoot, node in zip(shoots, at, strict=True) if node.terminal is None]
        await all_of(expand(env, shoot, node, settings) for shoot, node in going)
        at = [node if node.terminal else best_child(shoot, node) for shoot, node in zip(shoots, at, strict=True)]
    return at


def best_child(tree: Tree, node: Node) -> Node:
    """The candidate with the highest first value; ties go to the one that was proposed first."""
    return max(tree.children(node), key=lambda child: child.q_value)
