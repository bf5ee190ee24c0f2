"""Pair accuracy of rules that need no model, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rstar_math.stages.pair_rules import pair_length_accuracy, pair_logprob_accuracy
from rstar_math.types import PreferencePair


def test_the_rule_that_the_shorter_step_is_better() -> None:
    def pair(chosen: str, rejected: str) -> PreferencePair:
        return PreferencePair("p", "", chosen, rejected, 1.0, -1.0, 1.0, "step", "p@0", 0, 1, 1)

    assert pair_length_accuracy([pair("a", "bb"), pair("aa", "b"), pair("a", "b"), pair("", "b")]) == 0.625
    assert pair_length_accuracy([]) is None


def test_the_rule_that_the_more_probable_side_is_better() -> None:
    def pair(chosen: tuple[float, int] | None, rejected: tuple[float, int] | None) -> PreferencePair:
        (a, b), (c, d) = chosen or (None, None), rejected or (None, None)
        plain = PreferencePair("p", "", "a", "b", 1.0, -1.0, 1.0, "step", "p@0", 0, 1, 1)
        return replace(plain, chosen_logprob=a, chosen_num_tokens=b, rejected_logprob=c, rejected_num_tokens=d)

    # the longer side is less probable as a whole, and more probable token by token
    long_and_sure, short, same = pair((-4.0, 40), (-2.0, 4)), pair((-1.0, 2), (-2.0, 8)), pair((-1.0, 2), (-1.0, 2))
    assert pair_logprob_accuracy([long_and_sure], per_token=False) == 0.0
    assert pair_logprob_accuracy([long_and_sure], per_token=True) == 1.0
    pairs = [long_and_sure, short, same, pair(None, None), pair((-1.0, 2), None)]  # the last two carry too little
    assert pair_logprob_accuracy(pairs, per_token=False) == pytest.approx(1.5 / 3)
    assert pair_logprob_accuracy(pairs, per_token=True) == pytest.approx(1.5 / 3)
    assert pair_logprob_accuracy([pair(None, None)], per_token=False) is None
    assert pair_logprob_accuracy([], per_token=True) is None
