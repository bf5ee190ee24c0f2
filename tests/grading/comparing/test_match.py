"""Parts side by side and in any order, over a comparison that is only equality of nodes."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rstar_math.grading import DEFAULT
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.policy import STRICT
from rstar_math.grading.reading.nodes import Node, Number

CLOSE = Fraction(1, 2)


def _compare(gold: Node, prediction: Node) -> Match:
    """Equal numbers are equal; numbers within a half are equal by a contested rule."""
    assert isinstance(gold, Number)
    assert isinstance(prediction, Number)
    distance = abs(gold.value - prediction.value)
    return Match(distance <= CLOSE, "number", contested=0 < distance <= CLOSE)


BY = Comparison(DEFAULT, _compare)


def _numbers(*values: float) -> list[Node]:
    return [Number(Fraction(value)) for value in values]


def test_in_order_needs_each_part_at_its_place() -> None:
    assert BY.in_order(_numbers(1, 2), _numbers(1, 2), "list") == Match(True, "list")
    assert BY.in_order(_numbers(1, 2), _numbers(2, 1), "list") == Match(False, "list")
    assert BY.in_order(_numbers(1, 2), _numbers(1), "list") == Match(False, "list")
    assert BY.in_order(_numbers(1, 2), _numbers(1, 2.5), "list") == Match(True, "list", contested=True)


def test_matching_moves_earlier_partners_where_that_is_needed() -> None:
    # 1.5 fits 1 and 2, 0.5 fits only 1: a greedy choice of 1 for 1.5 would leave 0.5 alone
    assert BY.matching(_numbers(1.5, 0.5), _numbers(1, 2), "answers") == Match(True, "answers", contested=True)
    assert not BY.matching(_numbers(0.5, 0.5), _numbers(1, 2), "answers").equal
    assert BY.matching(_numbers(1), _numbers(1, 2), "answers").rule == "number_of_answers"


@given(st.permutations(range(6)))
def test_matching_does_not_depend_on_the_order(order: list[int]) -> None:
    assert BY.matching(_numbers(*range(6)), _numbers(*order), "answers") == Match(True, "answers")


def test_the_policy_decides_what_is_contested() -> None:
    assert BY.contested("truth_words") == Match(True, "truth_words", contested=True)
    assert Comparison(STRICT, _compare).contested("truth_words") == Match(False, "truth_words", contested=True)
