"""What the authors of the base corpus get wrong: how often a step is done right, fixed per cell.

A cell is (skill, phrasing, tier). Noise that is independent at every step is removed by one fine-tuning, and a first
round of self-evolution then takes all there is to take. Misconceptions stay until search has found the right way
often enough in that very cell, which is what makes growth last for several rounds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class TierKnowledge:
    """How well the base corpus does the cells of a tier.

    Attributes:
      known: share of cells that are nearly always right.
      right_if_known: probability of the right step in those.
      hardest, easiest: range of that probability in the other cells; its logarithm is uniform.
    """

    known: float
    right_if_known: float
    hardest: float
    easiest: float


KNOWLEDGE = {
    "gsm": TierKnowledge(known=0.70, right_if_known=0.97, hardest=0.05, easiest=0.35),
    "math": TierKnowledge(known=0.50, right_if_known=0.96, hardest=0.008, easiest=0.30),
    "olympiad": TierKnowledge(known=0.50, right_if_known=0.95, hardest=0.008, easiest=0.30),
}

SHARED_RANK = 0.75
"""How far a skill and phrasing is equally hard in every tier: 1 is entirely, 0 not at all."""

SYSTEMATIC_SHARE = 0.8
"""Share of wrong steps that make the cell's systematic mistake."""

OTHER_SHARE = 0.1
"""Share of wrong steps that make another of its mistakes; the rest are slips of any step."""

MISCOPIED_SHARE = 0.6
"""Share of slips that take another number of the problem; the rest use a name that nobody defined."""

_SALT = "pocket-1"


@cache
def probability_right(skill: str, phrasing: int, tier: str) -> float:
    """How often the base corpus does this step right, in (0, 1)."""
    knowledge = KNOWLEDGE[tier]
    rank = SHARED_RANK * _uniform(skill, str(phrasing)) + (1 - SHARED_RANK) * _uniform(skill, str(phrasing), tier)
    unknown = 1 - knowledge.known
    if rank > unknown:
        return knowledge.right_if_known
    easier: float = (knowledge.easiest / knowledge.hardest) ** (rank / unknown)
    return knowledge.hardest * easier


def _uniform(*key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    digest = hashlib.sha256("|".join((_SALT, *key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
