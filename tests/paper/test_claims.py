"""Claims are decided by intervals over seeds and problems, not by single numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rstar_math.intervals import Estimate
from rstar_math.metrics import wilson
from rstar_math.paper.claims import Claim, Evidence, Measured, combined, compare, decided, rises


def rows(correct: Mapping[str, int | None], tier: str = "gsm") -> list[dict[str, Any]]:
    return [
        {"problem": problem, "correct": None if value is None else bool(value), "tier": tier, "tokens_generated": 10}
        for problem, value in correct.items()
    ]


def evidence(value: float, error: float = 0.01) -> Evidence:
    """A difference with a standard error of 1 point and 1,000 degrees of freedom: 2 points are shown."""
    return Evidence("a - b", Estimate(value, error, 1000.0, error, 3, 1000))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.03, 0.25], "holds"),
        ([0.03, 0.01], "within noise"),
        ([0.0], "within noise"),
        ([0.05, -0.2], "does not hold"),
        ([0.0, -0.2], "does not hold"),
        ([0.2, -0.021], "within noise"),  # p = 0.036, but the lowest of two
        ([], "not measured"),
    ],
)
def test_a_claim_holds_where_all_its_differences_are_positive(values: list[float], verdict: str) -> None:
    assert decided([Claim("", tuple(map(evidence, values)))])[0].verdict == verdict


def test_the_claims_of_a_table_are_corrected_together() -> None:
    # p = 0.0129, 0.0127 against it, 0.0357, none: Holm multiplies by 3, 2, 1
    claims = [Claim(str(v), (evidence(v),)) for v in (0.0249, -0.025, 0.021)] + [Claim("", ())]
    assert [decided([claim])[0].verdict for claim in claims[:3]] == ["holds", "does not hold", "holds"]
    together = decided(claims)
    assert [d.verdict for d in together] == ["holds", "does not hold", "holds", "not measured"]
    assert together[0].p == pytest.approx(together[1].p)
    assert {d.num_claims for d in together} == {3}
    more = decided([*claims, *[Claim(str(i), (evidence(0.0),)) for i in range(3)]])
    assert [d.verdict for d in more[:3]] == ["within noise"] * 3
    assert [d.claim for d in more[:4]] == claims


def test_a_margin_asks_for_one_gain_and_no_loss_beyond_it() -> None:
    def verdict(*values: float) -> str:
        return decided([Claim("", tuple(map(evidence, values)), margin=0.02)])[0].verdict

    assert verdict(0.05, 0.0) == "holds"  # 0 lies two standard errors above the margin
    assert verdict(0.05, -0.005) == "within noise"
    assert verdict(0.0, 0.0) == "within noise"
    assert verdict(0.05, -0.05) == "does not hold"
    assert verdict(0.05, -0.03) == "within noise"


def test_no_worse_alone_asks_for_no_gain() -> None:
    def verdict(*values: float) -> str:
        claim = Claim("", tuple(map(evidence, values)), margin=0.02, may_be_level=True)
        return decided([claim])[0].verdict

    assert verdict(0.0) == "holds"
    assert verdict(0.05, 0.0) == "holds"
    assert verdict(-0.005) == "within noise"
    assert verdict(-0.05) == "does not hold"


def test_primary_claims_are_corrected_by_themselves() -> None:
    def claims(primary: bool) -> list[Claim]:
        further = [Claim("", (evidence(0.0),)) for _ in range(20)]
        return [
            Claim("of two", (evidence(0.024),), primary=primary),
            Claim("", (evidence(0.0),), primary=True),
            *further,
        ]

    among_two, among_many = decided(claims(True)), decided(claims(False))
    assert (among_two[0].verdict, among_two[0].num_claims, among_two[2].num_claims) == ("holds", 2, 20)
    assert (among_many[0].verdict, among_many[0].num_claims) == ("within noise", 21)
    assert among_two[0].p == pytest.approx(2 * among_two[0].claim.p)


def test_seeds_with_problems_of_their_own_are_pooled() -> None:
    measured = Measured("m", {1: rows({"a": 1, "b": 0}), 2: rows({"c": 1, "d": 1, "e": None})})
    assert measured.outcomes() == {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}
    accuracy, alone = measured.accuracy(), Measured("m", {2: measured.rows[2]}).accuracy()
    assert accuracy is not None
    assert accuracy.value == 0.75
    assert accuracy.low < 0.3006  # Wilson, 3 of 4; two seeds that differ say less
    assert alone == wilson(2, 2)
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
    assert decided([Claim("", (found,))])[0].verdict == "holds"
    assert decided([Claim("", (compare(worse, better),))])[0].verdict == "does not hold"


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


def test_a_series_may_rise_as_a_whole_and_not_at_every_step() -> None:
    counts = [10, 60, 50, 90]
    series = [
        Measured(f"round {n}", {1: rows({f"p{i}": i < count for i in range(100)})})
        for n, count in enumerate(counts, start=1)
    ]
    whole, steps = rises("policy", series)
    assert decided([whole])[0].verdict == "holds"
    assert [e.label for e in steps.evidence] == ["round 2 - round 1", "round 3 - round 2", "round 4 - round 3"]
    assert decided([steps])[0].verdict == "does not hold"


def test_a_statistic_of_several_means_is_shown_for_each_seed() -> None:
    high = Measured("high", {1: rows({f"a{i}": 1 for i in range(30)}), 2: rows({f"b{i}": i % 2 for i in range(30)})})
    low = Measured("low", {1: rows({f"a{i}": 0 for i in range(30)}), 2: rows({f"b{i}": 0 for i in range(30)})})
    found = combined("high - low", [(high, None), (low, None)], lambda means: means[0] - means[1])
    assert found.difference.value == pytest.approx(0.75)
    assert found.difference.low < 0 < 0.75 < found.difference.high  # two seeds, 1.0 and 0.5
    assert found.estimate.num_problems == 60
    assert found.by_seed == {1: 1.0, 2: 0.5}
    half = combined("half", [(high, lambda row: float(row["correct"]) / 2), (low, None)], lambda means: means[0])
    assert half.by_seed == {1: 0.5, 2: 0.25}
