"""Step beam search under a reward model: the baseline between sampling and tree search (Snell et al. 2024).

At every level the best `beam_width` prefixes go on, with `num_candidates` candidates among them. Diverse beam search
gives each of the first steps a subtree of its own, in which the best prefix goes on, whatever the others are worth
(diverse verifier tree search, Beeching et al. 2024).
"""

from __future__ import annotations

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import expand, expand_all
from rstar_math.tree import Node, Tree


async def beam(env: Environment, settings: SearchSettings) -> Tree:
    """Beam search over steps: one beam of `beam_width` prefixes."""
    return await _search(env, settings, "beam", apart=False)


async def diverse_beam(env: Environment, settings: SearchSettings) -> Tree:
    """Beam search in `beam_width` subtrees apart, one prefix in each."""
    return await _search(env, settings, "diverse_beam", apart=True)


async def _search(env: Environment, settings: SearchSettings, strategy: str, *, apart: bool) -> Tree:
    if settings.num_candidates < settings.beam_width:
        raise ConfigError(
            f"num_candidates is {settings.num_candidates}, fewer than beam_width, {settings.beam_width}; every prefix "
            "of the beam needs a candidate"
        )
    if not settings.use_ppm:
        raise ConfigError(f"strategy {strategy} chooses steps by a reward model; it needs use_ppm: true")
    each = settings.model_copy(update={"num_candidates": settings.num_candidates // settings.beam_width})
    tree = Tree.start(env.problem, strategy, env.seed)
    tree.stopped = "rollouts"
    with env.within_budget(tree):
        width = env.budget.begin_rollouts(settings.beam_width)
        await expand(env, tree, tree.root, settings)
        finish(tree, [tree.root])
        firsts = best(tree.children(tree.root))[:width]
        beams, width = ([[node] for node in firsts], 1) if apart else ([firsts], width)
        while any(beams):
            finish(tree, [node for beam in beams for node in beam])
            beams = [[node for node in beam if node.terminal is None] for beam in beams]
            await expand_all(env, tree, [node for beam in beams for node in beam], each)
            finish(tree, [node for beam in beams for node in beam])
            beams = [best([child for node in beam for child in tree.children(node)])[:width] for beam in beams]
    tree.cost = env.finish()
    return tree


def best(nodes: list[Node]) -> list[Node]:
    """Nodes by the reward model's score (with the prior, where there is one), the best first; ties in order."""
    return sorted(nodes, key=lambda node: -node.q_value)


def finish(tree: Tree, nodes: list[Node]) -> None:
    """Notes each node that has ended, well or badly, as a rollout."""
    tree.rollouts += [node.index for node in nodes if node.terminal is not None]
