"""Intervals over seeds and problems: worked by hand, and their coverage by simulation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.intervals import Cell, estimate, holm, paired, ratio, share
from rstar_math.metrics import wilson
from tests.scripts import ROOT, loaded_script


@pytest.fixture(scope="module")
def simulation() -> Iterator[ModuleType]:
    with loaded_script(ROOT / "perf" / "intervals.py") as module:
        yield module


def own(*seeds: list[float]) -> dict[Cell, float]:
    """Seeds with problems of their own."""
    return {(s, f"{s}/{i}"): value for s, values in enumerate(seeds) for i, value in enumerate(values)}


def shared(*seeds: list[float]) -> dict[Cell, float]:
    """Seeds with the same problems."""
    return {(s, f"p{i}"): value for s, values in enumerate(seeds) for i, value in enumerate(values)}


def test_with_own_problems_it_is_the_t_interval_over_seeds() -> None:
    # means 0.2, 0.4, 0.6 of twenty: standard error 0.2 / sqrt(3), t of 2 degrees of freedom is 4.3027
    found = estimate({c: (v,) for c, v in own(*([1.0] * k + [0.0] * (20 - k) for k in (4, 8, 12))).items()})
    assert found.value == pytest.approx(0.4)
    assert found.error == pytest.approx(0.2 / math.sqrt(3))
    assert found.freedom == 2
    assert found.interval.high - 0.4 == pytest.approx(4.302653 * 0.2 / math.sqrt(3), rel=1e-6)
    assert found.by_seed == {0: 0.2, 1: 0.4, 2: 0.6}
    # t = 0.4 / 0.11547 = 3.4641: two-sided p of 2 degrees of freedom is 1 - t / sqrt(2 + t^2)
    t = 0.4 * math.sqrt(3) / 0.2
    assert found.p_value() == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert found.p_value(0.4) == 1.0
    assert (found.num_seeds, found.num_problems) == (3, 60)
    assert found.method == "t over 3 seeds and problems"


def test_seeds_that_agree_leave_the_interval_over_problems() -> None:
    found = estimate({c: (v,) for c, v in own(*[[1.0] * 10 + [0.0] * 10] * 3).items()})
    over_problems = math.sqrt(0.25 / 59)  # 60 outcomes, half of them right
    assert found.problem_error == pytest.approx(over_problems)
    assert found.interval.high - 0.5 == pytest.approx(2.000995 * over_problems, rel=1e-6)  # t of 59


def test_shared_problems_are_a_sample_too() -> None:
    # every seed gives the same outcomes: nothing differs but problems, and they are not three times as many
    found = estimate({c: (v,) for c, v in shared(*[[1.0] * 10 + [0.0] * 10] * 3).items()})
    over_problems = math.sqrt(0.25 / 19)
    assert found.problem_error == pytest.approx(over_problems)
    assert found.interval.high - 0.5 >= 2.09 * over_problems


def test_two_way_variance_by_hand() -> None:
    # rows are seeds: [1, 0, 1], [0, 0, 1]. Seed means 2/3, 1/3: variance 1/36 of the mean. Problem means 1/2, 0, 1:
    # 1/4 / 3 = 1/12. Cells: (1/2)^2 * 6 / 5 / 6 = 1/20.
    found = estimate({c: (v,) for c, v in shared([1, 0, 1], [0, 0, 1]).items()})
    seeds, problems = 1 / 36, 1 / 12 - 1 / 20
    assert found.error == pytest.approx(math.sqrt(seeds + problems))
    assert found.freedom == pytest.approx((seeds + problems) ** 2 / (seeds**2 / 1 + problems**2 / 2))


def test_one_seed_is_told() -> None:
    found = paired(own([1, 1, 0, 1, 1]), own([0, 1, 0, 0, 1]))
    assert found.value == pytest.approx(0.4)
    assert found.error == found.problem_error == pytest.approx(math.sqrt(0.3 / 5))
    assert found.method == "t over problems, one seed"


def test_what_never_differs_is_not_without_doubt() -> None:
    found = paired(own([1.0] * 10, [1.0] * 10), own([0.0] * 10, [0.0] * 10))
    assert found.interval.low < 1 < found.interval.high
    assert 0 < found.p_value() < 0.05
    same = paired(own([1.0] * 10), own([1.0] * 10))
    assert same.interval.low < 0 < same.interval.high
    assert same.p_value() == 1


def test_only_cells_of_both_are_compared() -> None:
    assert paired({(1, "a"): 1.0, (1, "b"): 1.0}, {(1, "a"): 0.0, (2, "b"): 0.0}).num_problems == 1
    with pytest.raises(ValueError, match="no cells"):
        paired({(1, "a"): 1.0}, {(2, "a"): 0.0})


def test_a_statistic_need_not_be_a_mean() -> None:
    # ranked right of pairs: 8 of 10, 9 of 10, 10 of 20
    cells = {(1, "a"): (8.0, 10.0), (2, "b"): (9.0, 10.0), (3, "c"): (10.0, 20.0)}
    found = estimate(cells, ratio)
    assert found.value == pytest.approx(27 / 40)
    left_out = [19 / 30, 18 / 30, 17 / 20]
    assert found.error == pytest.approx(math.sqrt(2 / 3 * sum((v - 27 / 40) ** 2 for v in left_out)))
    assert found.by_seed == {1: 0.8, 2: 0.9, 3: 0.5}


def test_a_share_of_single_answers_is_wilsons() -> None:
    assert share(own([1, 1, 1, 0])) == pytest.approx(wilson(3, 4))
    assert share(own([1.0] * 9)) == wilson(9, 9)
    assert share({}) is None


def test_a_share_under_several_seeds_is_wider() -> None:
    right = [[1.0] * k + [0.0] * (50 - k) for k in (40, 45, 48)]
    found, plain = share(own(*right)), wilson(133, 150)
    assert found is not None
    assert found.value == pytest.approx(plain.value)
    assert found.low < plain.low < plain.high < found.high <= 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=4, max_size=4), min_size=1, max_size=4),
    st.booleans(),
    st.floats(-1, 1),
)
def test_p_and_interval_say_the_same(outcomes: list[list[float]], is_shared: bool, null: float) -> None:
    cells = (shared if is_shared else own)(*outcomes)
    found = estimate({c: (v,) for c, v in cells.items()})
    inside = found.interval.low <= null <= found.interval.high
    assert inside == (found.p_value(null) >= 0.05 - 1e-9)
    assert found.p_above(null) == 1 or found.p_below(null) == 1
    assert estimate({c: (v,) for c, v in reversed(cells.items())}) == found


@pytest.mark.parametrize("is_shared", [False, True])
def test_three_seeds_are_enough_for_the_interval_and_not_for_a_bootstrap(
    simulation: ModuleType, is_shared: bool
) -> None:
    """perf/intervals.py has more designs and repeats."""
    found = simulation.coverage(simulation.Design(3, 30, is_shared, 0.6), repeats=250)
    assert 0.92 <= found["intervals"] <= 0.99
    assert found["hierarchical"] < 0.9
    assert found["problems"] < 0.8
