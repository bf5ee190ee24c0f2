"""Claims are decided by intervals over problems, not by single numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rstar_math.metrics import Interval
from rstar_math.paper.claims import Claim, Evidence, Measured, bootstrap, combined, compare, rises


def rows(correct: Mapping[str, int | None], tier: str = "gsm") -> list[dict[str, Any]]:
    return [
        {"problem": problem, "correct": None if value is None else bool(value), "tier": tier, "tokens_generated": 10}
        for problem, value in correct.items()
    ]


def evidence(low: float, high: float) -> Evidence:
    return Evidence("a - b", Interval((low + high) / 2, low, high))


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(0.01, 0.1), (0.2, 0.3)], "holds"),
        ([(0.01, 0.1), (-0.01, 0.3)], "within noise"),
        ([(0.0, 0.1)], "within noise"),
        ([(0.01, 0.1), (-0.3, -0.1)], "does not hold"),
        ([(-0.1, 0.1), (-0.3, -0.1)], "does not hold"),
        ([], "not measured"),
    ],
)
def test_a_claim_holds_where_all_its_differences_are_positive(
    intervals: list[tuple[float, float]], verdict: str
) -> None:
    assert Claim("", tuple(evidence(*i) for i in intervals)).verdict == verdict


def test_seeds_with_problems_of_their_own_are_pooled() -> None:
    measured = Measured("m", {1: rows({"a": 1, "b": 0}), 2: rows({"c": 1, "d": 1, "e": None})})
    assert measured.outcomes() == {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}
    accuracy = measured.accuracy()
    assert accuracy is not None
    assert accuracy.value == 0.75
    assert accuracy.low == pytest.approx(0.3006, abs=1e-4)  # Wilson, 3 of 4
    assert measured.accuracy_by_seed() == {1: 0.5, 2: 1.0}


def test_seeds_with_the_same_problems_are_averaged_by_problem() -> None:
    measured = Measured("m", {1: rows({"a": 1, "b": 0}), 2: rows({"a": 0, "b": 0})})
    assert measured.outcomes() == {"a": 0.5, "b": 0.0}
    assert measured.accuracy() is not None


def test_differences_are_paired_over_common_problems() -> None:
    better = Measured("better", {1: rows({f"p{i}": 1 for i in range(40)})})
    worse = Measured("worse", {1: rows({f"p{i}": i % 2 for i in range(40)} | {"other": 1})})
    found = compare(better, worse)
    assert found.label == "better - worse"
    assert found.difference.value == 0.5
    assert found.by_seed == {1: 0.5}
    assert found.verdict == "holds"
    assert compare(worse, better).verdict == "does not hold"


def test_tiers_are_compared_apart() -> None:
    first = Measured("first", {1: rows({"a": 0}) + rows({"b": 1}, "math")})
    last = Measured("last", {1: rows({"a": 1}) + rows({"b": 1}, "math")})
    assert compare(last, first, "gsm").difference.value == 1.0
    assert compare(last, first, "math").difference.value == 0.0
    assert first.tiers() == ["gsm", "math"]


def test_intervals_do_not_hang_on_the_order_in_which_searches_ended() -> None:
    first = {f"p{i}": int(i % 3 == 0) for i in range(50)}
    last = {f"p{i}": int(i % 4 != 0) for i in range(50)}
    backwards = [dict(reversed(of.items())) for of in (first, last)]
    here, there = (
        compare(Measured("last", {1: rows(b)}), Measured("first", {1: rows(a)})).difference
        for a, b in ((first, last), backwards)
    )
    assert here == there
    tables = [{key: float(value) for key, value in of.items()} for of in (first, last, *backwards)]
    assert bootstrap(tables[:2], lambda m: m[1] - m[0]) == bootstrap(tables[2:], lambda m: m[1] - m[0])


def test_a_series_may_rise_as_a_whole_and_not_at_every_step() -> None:
    counts = [10, 60, 55, 90]
    series = [
        Measured(f"round {n}", {1: rows({f"p{i}": i < count for i in range(100)})})
        for n, count in enumerate(counts, start=1)
    ]
    whole, steps = rises("policy", series)
    assert whole.verdict == "holds"
    assert [e.label for e in steps.evidence] == ["round 2 - round 1", "round 3 - round 2", "round 4 - round 3"]
    assert steps.verdict == "does not hold"


def test_a_statistic_of_several_means_is_resampled_over_problems() -> None:
    a = {f"p{i}": 1.0 for i in range(60)}
    b = {f"p{i}": float(i % 2) for i in range(60)}
    found = bootstrap([a, b], lambda means: means[0] - means[1])
    assert found.value == 0.5
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    with pytest.raises(ValueError, match="no problem"):
        bootstrap([a, {"other": 1.0}], lambda means: means[0])


def test_a_statistic_of_several_means_is_shown_for_each_seed() -> None:
    high = Measured("high", {1: rows({f"a{i}": 1 for i in range(30)}), 2: rows({f"b{i}": i % 2 for i in range(30)})})
    low = Measured("low", {1: rows({f"a{i}": 0 for i in range(30)}), 2: rows({f"b{i}": 0 for i in range(30)})})
    found = combined("high - low", [(high, None), (low, None)], lambda means: means[0] - means[1])
    assert found.difference.value == pytest.approx(0.75)
    assert 0.5 < found.difference.low < 0.75 < found.difference.high < 1
    assert found.by_seed == {1: 1.0, 2: 0.5}
    half = combined("half", [(high, lambda row: float(row["correct"]) / 2), (low, None)], lambda means: means[0])
    assert half.by_seed == {1: 0.5, 2: 0.25}
