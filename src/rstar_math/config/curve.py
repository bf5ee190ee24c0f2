"""What more tokens bring a model: its measured accuracy against the tokens of an answer, and the dial read off it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from pydantic import Field, model_validator

from rstar_math.config.base import Settings

EffortName = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How hard to think, as OpenAI's clients say it. `none`: the policy alone, by greedy decoding."""

EFFORTS: tuple[EffortName, ...] = get_args(EffortName)

_SHARES: dict[EffortName, float] = {"minimal": 0.25, "low": 0.5, "medium": 0.8, "high": 0.95, "xhigh": 1.0}
"""The share of what a search can bring that an effort asks for: 0 is the policy alone, 1 the best budget measured."""


class CurvePoint(Settings):
    """One budget."""

    tokens: int = Field(ge=1, description="limit: tokens generated for an answer")
    accuracy: float = Field(ge=0, le=1, description="share of right answers")
    tokens_p50: float = Field(ge=0, description="tokens that half of the answers took at most")
    tokens_p95: float = Field(ge=0, description="tokens that 95 % of the answers took at most")


class Curve(Settings):
    """Accuracy against tokens, measured by `rstar eval --curve`."""

    benchmark: str = Field(description="the problems")
    num_problems: int = Field(ge=1, description="how many")
    seeds: tuple[int, ...] = Field(min_length=1, description="seeds of the searches; accuracies are means over them")
    strategy: str = Field(description="how it was searched")
    alone: float | None = Field(
        default=None, ge=0, le=1, description="accuracy of the policy alone; null: that of the smallest budget"
    )
    points: tuple[CurvePoint, ...] = Field(description="by budget, the smallest first; two or more")

    @model_validator(mode="after")
    def _ascends(self) -> Curve:
        if len(self.points) < 2:
            raise ValueError("points must be two or more")
        if any(a.tokens >= b.tokens for a, b in pairwise(self.points)):
            raise ValueError("points must stand by their tokens, the smallest first, each budget once")
        return self

    def tokens_for(self, effort: EffortName) -> int | None:
        """The budget of an effort, in tokens; None for `none`, which does not search.

        An effort asks for a share of what the search brings beyond the policy alone: `minimal` a quarter, `low` half,
        `medium` 80 %, `high` 95 %, `xhigh` all; `max` is the largest budget that was measured. Between two points
        accuracy is taken to grow with the logarithm of the tokens; where a larger budget did worse, which is chance, it
        counts as no better.
        """
        if effort == "none":
            return None
        if effort == "max":
            return self.points[-1].tokens
        best = _running_best([point.accuracy for point in self.points])
        alone = min(best[0] if self.alone is None else self.alone, best[-1])
        wanted = alone + _SHARES[effort] * (best[-1] - alone)
        i = next(k for k, accuracy in enumerate(best) if accuracy >= wanted - 1e-12)
        if i == 0:
            return self.points[0].tokens
        low, high = self.points[i - 1].tokens, self.points[i].tokens
        share = (wanted - best[i - 1]) / (best[i] - best[i - 1])
        return round(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))


def _running_best(accuracies: Sequence[float]) -> list[float]:
    best = list[float]()
    for accuracy in accuracies:
        best.append(max(accuracy, best[-1]) if best else accuracy)
    return best
