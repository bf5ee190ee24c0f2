"""Fresh descents whose candidates are drawn a few at a time: as many as a rule wants, and as what is left allows.

Shared by `search/mass.py` and `search/entropy.py`, which differ in the rule. As in `search/forest.py` every descent
starts anew at the root and takes the best candidate of each step.

Within a limit of tokens the first descent draws a single candidate at each step: whatever happens afterwards, something
was finished. From then on it is known how long a solution is. A descent that has `left` tokens, and presumably `rest`
of them to go, draws at most left / rest candidates a step, so that it comes to its end as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import max_candidates, num_drawn, widen_all
from rstar_math.search.forest import best_child, grafted
from rstar_math.search.together import all_of
from rstar_math.tree import Node, Tree

Wanted = Callable[[Sequence[Node]], int]
"""(candidates of a node so far, at least one) -> how many more are wanted, before it is asked again; 0: enough."""


async def fresh_descents(env: Environment, settings: SearchSettings, strategy: str, wanted: Wanted) -> Tree:
    """`num_rollouts` independent descents, `num_parallel` at a time, grafted onto one root.

    Args:
      env: the world of the search.
      settings: `num_candidates` is the most that are drawn at a node.
      strategy: its name.
      wanted: how many candidates a node is to have.

    Raises:
      ConfigError: `use_ppm` is false, or `answer_siblings` is "drop".
    """
    if not settings.use_ppm:
        raise ConfigError(f"strategy {strategy} chooses steps by a reward model; it needs use_ppm: true")
    if settings.answer_siblings == "drop":
        raise ConfigError(f"strategy {strategy} draws candidates a few at a time; it needs answer_siblings: keep")
    return await grafted(
        env, settings, strategy, lambda shoots: _descend(env, shoots, settings, wanted), finishes_one_first=True
    )


async def _descend(env: Environment, shoots: list[Tree], settings: SearchSettings, wanted: Wanted) -> list[Node]:
    """Goes down every tree side by side, by the best candidate of each step; returns their terminal nodes."""
    at = [shoot.root for shoot in shoots]
    while going := [i for i, node in enumerate(at) if node.terminal is None]:
        most = {i: affordable(env, shoots[i], at[i], len(going)) for i in going}
        while wider := {i: more for i in going if (more := _further(shoots[i], at[i], most[i], settings, wanted)) > 0}:
            await all_of(widen_all(env, shoots[i], [(at[i], more)], settings) for i, more in wider.items())
        for i in going:
            if not shoots[i].children(at[i]):
                at[i].terminal = "dead_end"
        at = [node if node.terminal else best_child(shoot, node) for shoot, node in zip(shoots, at, strict=True)]
    return at


def _further(tree: Tree, node: Node, most: float, settings: SearchSettings, wanted: Wanted) -> int:
    """Candidates to draw now at a node; while none of them can be continued, `most` does not count."""
    drawn = num_drawn(tree, node)
    if node.terminal is not None:
        return 0
    if not tree.children(node):
        return min(settings.num_widen, max_candidates(tree, node, settings) - drawn)
    room = min(most, max_candidates(tree, node, settings)) - drawn
    return int(min(wanted([tree.nodes[i] for i in node.children]), room))


def affordable(env: Environment, tree: Tree, node: Node, num_descents: int) -> float:
    """Candidates a step that leave enough for this descent, and those beside it, to come to their end; at least 1.

    Without a limit of tokens any number; within one, 1 until a solution was finished.
    """
    left, solutions = env.budget.tokens_left, env.budget.solutions
    if left is None:
        return math.inf
    if not solutions.count:
        return 1
    rest = max(solutions.mean_tokens - tree.num_tokens(node), solutions.mean_tokens / solutions.mean_steps)
    return max(1, math.floor(left / (rest * num_descents)))
