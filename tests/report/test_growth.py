"""Shares and paired differences from outcomes, worked by hand."""

from __future__ import annotations

from rstar_math.metrics import Interval
from rstar_math.report.growth import (
    counts_by_part,
    counts_by_tier,
    difference_by_tier,
    growth,
    shares_by_part,
    shares_by_tier,
)
from rstar_math.types import Problem

PROBLEMS = [
    Problem("a", "?", tier="math", part="novel"),
    Problem("b", "?", tier="gsm", part="seen"),
    Problem("c", "?", tier="gsm", part="seen"),
    Problem("d", "?", tier="math", part="seen"),
]
BEFORE = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 0.0}
AFTER = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}


def test_shares_and_counts() -> None:
    assert list(shares_by_tier(BEFORE, PROBLEMS).items()) == [("gsm", 0.5), ("math", 0.0), ("all", 0.25)]
    assert list(counts_by_tier(PROBLEMS).items()) == [("gsm", 2), ("math", 2), ("all", 4)]
    assert shares_by_part(BEFORE, PROBLEMS) == {
        "seen": {"gsm": 0.5, "math": 0.0, "all": 1 / 3},
        "novel": {"math": 0.0, "all": 0.0},
    }
    assert counts_by_part(PROBLEMS) == {"seen": {"gsm": 2, "math": 1, "all": 3}, "novel": {"math": 1, "all": 1}}


def test_problems_without_parts_have_none() -> None:
    assert shares_by_part({"x": 1.0}, [Problem("x", "?")]) is None
    assert counts_by_part([Problem("x", "?")]) is None
    assert shares_by_tier({"x": 1.0}, [Problem("x", "?")]) == {"all": 1.0}


def test_differences_are_paired() -> None:
    found = difference_by_tier(AFTER, BEFORE, PROBLEMS)
    assert found["math"] == Interval(1.0, 1.0, 1.0)  # every problem of the tier was gained
    assert found["gsm"].value == 0.5
    assert found["all"].value == 0.75
    assert found["all"].excludes_zero


def test_problems_that_only_one_side_answered_are_left_out() -> None:
    found = difference_by_tier({"a": 1.0, "b": 1.0}, {"b": 0.0, "c": 1.0}, PROBLEMS)
    assert found == {"gsm": Interval(1.0, 1.0, 1.0), "all": Interval(1.0, 1.0, 1.0)}
    assert difference_by_tier({}, {}, PROBLEMS) == {}


def test_growth_of_a_run() -> None:
    grown = growth(BEFORE, [BEFORE | {"b": 1.0}, AFTER], None, PROBLEMS)
    assert grown.base_to_last is not None
    assert grown.base_to_last["all"].value == 0.75
    assert grown.round_1_to_last is not None
    assert grown.round_1_to_last["all"].value == 0.5
    assert grown.system_over_policy is None
    one_round = growth(BEFORE, [AFTER], AFTER, PROBLEMS)
    assert one_round.round_1_to_last is None
    assert one_round.system_over_policy is not None
    assert one_round.system_over_policy["all"] == Interval(0.0, 0.0, 0.0)
