"""The dial: budgets of tokens read off a measured curve."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_math.config.curve import EFFORTS, Curve, CurvePoint
from rstar_math.config.reading import check
from rstar_math.errors import ConfigError


def curve(*points: tuple[int, float], alone: float | None = None) -> Curve:
    return Curve(
        benchmark="some problems",
        num_problems=100,
        seeds=(0,),
        strategy="mcts",
        alone=alone,
        points=tuple(CurvePoint(tokens=t, accuracy=a, tokens_p50=t, tokens_p95=t) for t, a in points),
    )


def test_budgets_worked_by_hand() -> None:
    measured = curve((100, 0.5), (200, 0.7), (400, 0.9), (800, 0.85), (1600, 0.9))
    assert measured.tokens_for("none") is None
    assert measured.tokens_for("minimal") == round(100 * 2**0.5)  # 0.6, half of the way from 0.5 to 0.7
    assert measured.tokens_for("low") == 200  # half of the way from 0.5 to 0.9
    assert measured.tokens_for("medium") == round(200 * 2**0.6)  # 0.82, six tenths of the way from 0.7 to 0.9
    assert measured.tokens_for("xhigh") == 400  # the smallest that is as good as any
    assert measured.tokens_for("max") == 1600


def test_where_tokens_bring_nothing_few_are_enough() -> None:
    flat = curve((100, 0.8), (1000, 0.8))
    assert [flat.tokens_for(effort) for effort in ("minimal", "low", "high", "xhigh", "max")] == [100] * 4 + [1000]


def test_effort_is_measured_from_what_the_policy_does_alone() -> None:
    measured = curve((100, 0.0), (200, 0.6), (400, 0.8), (800, 0.9), alone=0.7)
    assert measured.tokens_for("minimal") == round(200 * 2**0.75)  # 0.75: never worse than the policy alone
    assert measured.tokens_for("low") == 400
    assert curve((100, 0.5), (200, 0.6), alone=0.9).tokens_for("low") == 200  # no budget is as good


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), min_size=2, max_size=8, unique_by=lambda p: p[0]))
def test_more_effort_is_never_fewer_tokens(points: list[tuple[int, float]]) -> None:
    measured = curve(*sorted(points))
    budgets = [measured.tokens_for(effort) for effort in EFFORTS[1:]]
    assert all(a is not None and b is not None and a <= b for a, b in pairwise(budgets))
    assert budgets[-1] == measured.points[-1].tokens


@pytest.mark.parametrize(
    "points", [[(100, 0.5)], [(100, 0.5), (100, 0.6)], [(200, 0.5), (100, 0.6)], [(1, 0.5), (2, 1.5)]]
)
def test_what_is_no_curve_is_refused(points: list[tuple[int, float]]) -> None:
    value = {
        "benchmark": "b",
        "num_problems": 1,
        "seeds": [0],
        "strategy": "mcts",
        "points": [{"tokens": t, "accuracy": a, "tokens_p50": 1, "tokens_p95": 1} for t, a in points],
    }
    with pytest.raises(ConfigError, match="points"):
        check(Curve, value, "answering.json: curve")
