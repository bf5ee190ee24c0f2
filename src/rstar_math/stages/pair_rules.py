"""Rules that rank the two steps of a preference pair without a reward model: what a PPM must beat."""

from __future__ import annotations

from collections.abc import Sequence

from rstar_math.metrics import ranking_credit
from rstar_math.types import PreferencePair


def pair_length_accuracy(pairs: Sequence[PreferencePair]) -> float | None:
    """Pair accuracy of the rule "the shorter step is better": what a PPM must beat; ties count half."""
    return _rule_accuracy(length_margins(pairs))


def length_margins(pairs: Sequence[PreferencePair]) -> list[float]:
    """Characters that each pair's better step is shorter than the other."""
    return [len(p.rejected) - len(p.chosen) for p in pairs]


def pair_logprob_accuracy(pairs: Sequence[PreferencePair], per_token: bool) -> float | None:
    """Pair accuracy of the rule "what the policy finds more probable is better"; ties count half.

    Args:
      pairs: those that carry no log-probabilities are left out.
      per_token: compare means over the tokens instead of sums, which favour short steps.

    Returns:
      A share in [0, 1]; None where no pair carries log-probabilities.
    """
    return _rule_accuracy([m for m in logprob_margins(pairs, per_token) if m is not None])


def logprob_margins(pairs: Sequence[PreferencePair], per_token: bool) -> list[float | None]:
    """By how much the policy finds each pair's better step more probable; None where a pair does not say."""
    return [_logprob_margin(p, per_token) for p in pairs]


def _logprob_margin(pair: PreferencePair, per_token: bool) -> float | None:
    if pair.chosen_logprob is None or pair.rejected_logprob is None:
        return None
    if not per_token:
        return pair.chosen_logprob - pair.rejected_logprob
    if not pair.chosen_num_tokens or not pair.rejected_num_tokens:
        return None
    return pair.chosen_logprob / pair.chosen_num_tokens - pair.rejected_logprob / pair.rejected_num_tokens


def _rule_accuracy(margins: Sequence[float]) -> float | None:
    return sum(map(ranking_credit, margins)) / len(margins) if margins else None
