"""Branching by entropy: as many candidates as the policy has equally likely things to say.

The entropy H of the next step is estimated by the mean of -log p over the candidates drawn so far, and exp(H), the
perplexity, is the number of candidates that are worth drawing. A step that the policy is sure of costs a single one.

After entropy-guided tree search, which branches at uncertain tokens (TreeRL, Hou et al. 2025); here steps are the
places to branch, and every descent is fresh (`search/fresh.py`). Beyond the rStar-Math paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.search.fresh import fresh_descents
from rstar_math.tree import Node, Tree


async def entropy(env: Environment, settings: SearchSettings) -> Tree:
    """Fresh descents that draw exp(entropy) candidates of each step, at most `num_candidates`."""

    def wanted(candidates: Sequence[Node]) -> int:
        num_drawn = sum(node.num_proposed for node in candidates)
        return max(0, min(settings.num_widen, round(perplexity(candidates)) - num_drawn))

    return await fresh_descents(env, settings, "entropy", wanted)


def perplexity(candidates: Sequence[Node]) -> float:
    """exp of the mean -log p of the candidates drawn, equal ones counted as often as they were drawn; >= 1."""
    num_drawn = sum(node.num_proposed for node in candidates)
    surprise = -sum(node.num_proposed * node.logprob for node in candidates) / num_drawn
    return math.exp(min(surprise, 50.0))
