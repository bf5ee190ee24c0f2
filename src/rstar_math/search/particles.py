"""Particle filtering over steps (Puri et al. 2025): search as sampling from the policy, reweighted by the reward model.

`num_candidates` particles go down side by side. Each draws one step; then all particles are drawn anew, a step as
likely as exp(`particle_weight` * atanh(score)) says, so that good prefixes are copied and bad ones die out, but none is
sure to. A finished particle is drawn anew with the others. Unlike a beam this forgives a reward model that errs: what
it likes less is continued less often, not never.

Differs from Puri et al.: equal steps of one prefix are merged and counted; the draw is systematic, which has less
noise; and every particle that finished is kept for the choice, also one that died out afterwards. Beyond the rStar-Math
paper.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import widen_all
from rstar_math.tree import Node, Tree

_NEAR_ONE = 1.0 - 1e-12


async def particles(env: Environment, settings: SearchSettings) -> Tree:
    """One particle filter of `num_candidates` particles; each that ends is a rollout.

    Raises:
      ConfigError: `use_ppm` is false, or `answer_siblings` is "drop".
    """
    if not settings.use_ppm:
        raise ConfigError("strategy particles weighs steps by a reward model; it needs use_ppm: true")
    if settings.answer_siblings == "drop":
        raise ConfigError("strategy particles draws candidates for each particle; it needs answer_siblings: keep")
    tree = Tree.start(env.problem, "particles", env.seed)
    tree.stopped = "rollouts"
    with env.within_budget(tree):
        num_particles = env.budget.begin_rollouts(settings.num_candidates)
        at = Counter({0: num_particles})
        while going := [i for i in at if tree.nodes[i].terminal is None]:
            await widen_all(env, tree, [(tree.nodes[i], at[i]) for i in going], settings)
            below = Counter({i: num for i, num in at.items() if tree.nodes[i].terminal == "answer"})
            for i in going:
                children = tree.children(tree.nodes[i])
                below.update({child.index: child.num_proposed for child in children})
                if not children:
                    tree.nodes[i].terminal = "dead_end"
                tree.rollouts += [node.index for node in (tree.nodes[i], *children) if node.terminal is not None]
            at = resampled(env.rng, tree, below, num_particles, settings)
    tree.cost = env.finish()
    return tree


def resampled(
    rng: random.Random, tree: Tree, particles_at: Counter[int], num_particles: int, settings: SearchSettings
) -> Counter[int]:
    """Draws particles anew, by their weights.

    Args:
      rng: the search's own.
      tree: the tree.
      particles_at: node -> particles that came to it; those that could not be continued are left out.
      num_particles: to be drawn.
      settings: of the search.

    Returns:
      Node -> particles; empty where no particle is left.
    """
    nodes = [i for i in particles_at if tree.nodes[i].terminal in (None, "answer")]
    if not nodes:
        return Counter()
    logs = [math.log(particles_at[i]) + settings.particle_weight * _logit(tree.nodes[i]) for i in nodes]
    most = max(logs)
    weights = [math.exp(value - most) for value in logs]
    counts = systematic(rng.random(), weights, num_particles)
    return Counter({i: count for i, count in zip(nodes, counts, strict=True) if count})


def systematic(start: float, weights: Sequence[float], num_draws: int) -> list[int]:
    """How often each is drawn: the number of points (start + k) / `num_draws` that fall into its share of the weights.

    Args:
      start: in [0, 1), the only chance in it.
      weights: not all 0.
      num_draws: in all.
    """
    counts, total, reached, k = [0] * len(weights), sum(weights), 0.0, 0
    for i, weight in enumerate(weights):
        reached += weight
        is_last = i == len(weights) - 1
        while k < num_draws and (is_last or (start + k) / num_draws < reached / total):
            counts[i], k = counts[i] + 1, k + 1
    return counts


def _logit(node: Node) -> float:
    """atanh of the score: the reward model's raw logit by its scale."""
    assert node.ppm_score is not None
    return math.atanh(max(-_NEAR_ONE, min(_NEAR_ONE, node.ppm_score)))
