"""Expansion by probability mass: draw until what was drawn is most of what the policy would say.

A fixed number of candidates is too many where the policy is sure of the next step, and too few where it is not. Here
candidates are drawn `num_widen` at a time until the distinct ones cover `search.mass` of the policy's probability,
which their log-probabilities tell exactly. What is saved at sure steps goes into further descents (`search/fresh.py`).

The stopping rule is that of nucleus sampling (Holtzman et al. 2020), over whole steps instead of tokens. Beyond the
rStar-Math paper, which draws a fixed number; measured in docs/log.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.search.fresh import fresh_descents
from rstar_math.tree import Node, Tree


async def mass(env: Environment, settings: SearchSettings) -> Tree:
    """Fresh descents that draw until they cover `mass` of the policy's probability, at most `num_candidates` a step."""

    def wanted(candidates: Sequence[Node]) -> int:
        return settings.num_widen if covered(candidates) < settings.mass else 0

    return await fresh_descents(env, settings, "mass", wanted)


def covered(candidates: Sequence[Node]) -> float:
    """The policy's probability, at temperature 1, of all texts that were drawn, in [0, 1]."""
    return min(1.0, sum(math.exp(node.logprob) for node in candidates))
