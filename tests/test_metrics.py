"""Statistics, against numbers worked by hand or by another formula."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.metrics import (
    Interval,
    best_of_k,
    confidence_threshold,
    maj_at_k,
    mean_by_group,
    paired_difference,
    pass_at_k,
    precision_and_coverage,
    resamples,
    vote_at_k,
    wilson,
    wilson_of_means,
)


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k", "expected"),
    [(4, 1, 1, 0.25), (4, 1, 2, 0.5), (5, 2, 3, 0.9), (3, 0, 3, 0.0), (3, 1, 3, 1.0), (10, 5, 2, 1 - 10 / 45)],
)
def test_pass_at_k_by_hand(num_samples: int, num_correct: int, k: int, expected: float) -> None:
    assert pass_at_k(num_samples, num_correct, k) == pytest.approx(expected)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.integers(1, 80), st.data())
def test_pass_at_k_is_the_product_formula(num_samples: int, data: st.DataObject) -> None:
    num_correct = data.draw(st.integers(0, num_samples))
    k = data.draw(st.integers(1, num_samples))
    all_wrong = math.prod(max(0.0, 1 - k / i) for i in range(num_samples - num_correct + 1, num_samples + 1))
    assert pass_at_k(num_samples, num_correct, k) == pytest.approx(1 - all_wrong)


@pytest.mark.parametrize("k", [0, 5, -1])
def test_pass_at_k_needs_enough_samples(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}; it must be between 1 and the number of samples, 4"):
        pass_at_k(4, 1, k)


@pytest.mark.parametrize(
    ("num_correct", "num_total", "low", "high"),
    [
        (8, 10, 0.49016, 0.94332),
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (50, 100, 0.40383, 0.59617),
        (1, 1, 0.20655, 1.0),
    ],
)
def test_wilson_against_scipys(num_correct: int, num_total: int, low: float, high: float) -> None:
    interval = wilson(num_correct, num_total)
    assert interval.value == num_correct / num_total
    assert interval.low == pytest.approx(low, abs=1e-4)
    assert interval.high == pytest.approx(high, abs=1e-4)


def test_wilson_of_nothing() -> None:
    assert wilson(0, 0) == Interval(0.0, 0.0, 1.0)


def test_wilson_of_means() -> None:
    def counts(interval: Interval, num_correct: float, num_total: float) -> None:
        expected = wilson(num_correct, num_total)
        assert (interval.value, interval.low, interval.high) == pytest.approx(
            (expected.value, expected.low, expected.high)
        )

    one_each = [1.0, 0.0, 1.0, 1.0]
    counts(wilson_of_means(one_each, 1), 3, 4)
    counts(wilson_of_means(one_each, 8), 3, 4)  # all answers to a problem alike: eight say no more than one
    # means 1/2, 1, 0, 1/2: p (1 - p) = 1/4, variance (0 + 1/4 + 1/4 + 0) / 3 = 1/6: 4 * 3/2 = 6 independent answers
    counts(wilson_of_means([0.5, 1.0, 0.0, 0.5], 2), 3, 6)
    counts(wilson_of_means([0.5] * 4, 2), 4, 8)  # no variance over problems: as many as there are
    counts(wilson_of_means([1.0] * 16, 4), 16, 16)  # nothing is known about their variance: as one each
    counts(wilson_of_means([0.25], 4), 0.25, 1)
    assert wilson_of_means([], 3) == Interval(0.0, 0.0, 1.0)


def test_interval_excludes_zero() -> None:
    assert Interval(0.2, 0.1, 0.3).excludes_zero
    assert Interval(-0.2, -0.3, -0.1).excludes_zero
    assert not Interval(0.2, 0.0, 0.3).excludes_zero
    assert not Interval(0.0, -0.1, 0.1).excludes_zero


def test_paired_difference_by_hand() -> None:
    interval = paired_difference([1, 1, 0, 1], [0, 1, 0, 0])
    assert interval.value == 0.5
    assert interval.low == 0.0  # of four draws from (1, 0, 0, 1), about 1 in 16 has only zeros
    assert interval.high == 1.0
    assert paired_difference([1, 0], [1, 0]) == Interval(0.0, 0.0, 0.0)
    assert paired_difference([1, 1, 1], [0, 0, 0]) == Interval(1.0, 1.0, 1.0)
    assert paired_difference([1, 0, 1], [0, 0, 0], seed=3) == paired_difference([1, 0, 1], [0, 0, 0], seed=3)


def test_paired_difference_is_paired() -> None:
    # the same totals; a wins on ten problems, or wins on 160 and loses on 150
    one_way = paired_difference([1] * 10 + [0] * 290, [0] * 300)
    both_ways = paired_difference([1] * 160 + [0] * 140, [0] * 150 + [1] * 150)
    assert one_way.value == pytest.approx(both_ways.value + 0.0) == pytest.approx(10 / 300)
    assert one_way.excludes_zero
    assert not both_ways.excludes_zero


def test_paired_difference_covers_the_truth() -> None:
    """Of 200 repeated experiments with a known difference of 0.1, about 95 % of the intervals hold it."""
    rng = random.Random(1)
    covered = 0
    for _ in range(200):
        a = [float(rng.random() < 0.6) for _ in range(80)]
        b = [float(rng.random() < 0.5) for _ in range(80)]
        interval = paired_difference(a, b, num_resamples=300)
        covered += interval.low <= 0.1 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 0.0])])
def test_paired_difference_needs_the_same_problems(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="paired outcomes need the same problems"):
        paired_difference(a, b)


def test_mean_by_group() -> None:
    values = {"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.5}
    means = mean_by_group(values, {"a": "math", "b": "gsm", "c": "math", "d": None})
    assert means == {"math": 1.0, "gsm": 0.0, "all": 0.625}
    assert list(means) == ["math", "gsm", "all"]
    assert mean_by_group({}, {}) == {}


CONFIDENCES = [0.2, 0.9, 0.5, 0.7, 0.5]
CORRECT = [False, True, True, True, False]


@pytest.mark.parametrize(
    ("threshold", "precision", "coverage"),
    [(0.0, 0.6, 1.0), (0.5, 0.75, 0.8), (0.51, 1.0, 0.4), (0.9, 1.0, 0.2), (0.95, None, 0.0)],
)
def test_precision_and_coverage(threshold: float, precision: float | None, coverage: float) -> None:
    assert precision_and_coverage(CONFIDENCES, CORRECT, threshold) == (precision, coverage)


def test_no_answers_have_no_precision() -> None:
    assert precision_and_coverage([], [], 0.5) == (None, 0.0)


def test_a_threshold_is_one_whose_precision_is_shown() -> None:
    # 50 of 50 right from 0.9 on: the one-sided 95 % Wilson bound is 1 / (1 + 1.6449**2 / 50) = 0.9487
    confidences, correct = [0.9] * 50, [True] * 50
    assert confidence_threshold(confidences, correct, 0.94) == 0.9
    assert confidence_threshold(confidences, correct, 0.95) is None
    # ten more at 0.5, half of them right: 55 of 60 are 0.917, and shown to be 0.8385
    confidences, correct = confidences + [0.5] * 10, correct + [True, False] * 5
    assert confidence_threshold(confidences, correct, 0.9) == 0.9
    assert confidence_threshold(confidences, correct, 0.84) == 0.9
    assert confidence_threshold(confidences, correct, 0.838) == 0.5


def test_too_few_or_too_bad_answers_give_no_threshold() -> None:
    assert confidence_threshold([], [], 0.9) is None
    assert confidence_threshold([1.0] * 5, [True] * 5, 0.9) is None
    assert confidence_threshold([0.1, 0.5, 0.9], [False] * 3, 0.1) is None


def test_a_threshold_holds_on_other_answers() -> None:
    """Of 200 draws of 100 answers, at most some 5 % may choose a threshold below which their law does not reach 0.9."""
    rng = random.Random(0)
    law = ((1.0, 0.97), (0.8, 0.4), (0.5, 0.3))  # from 0.8 on 87 % are right
    num_chosen, num_wrong = 0, 0
    for _ in range(200):
        drawn = [law[min(2, int(rng.expovariate(1.6)))] for _ in range(100)]
        threshold = confidence_threshold([c for c, _ in drawn], [rng.random() < p for _, p in drawn], 0.9)
        num_chosen += threshold is not None
        num_wrong += threshold is not None and threshold < 1.0
    assert num_chosen > 50
    assert num_wrong <= 14


def test_maj_at_k_by_hand() -> None:
    classes, correct = [0, 1, 1, 0, 0, 2, 1], [False, True, True, False, False, False, True]
    assert maj_at_k(classes, correct, 1) == pytest.approx(3 / 7)
    assert maj_at_k(classes, correct, 2) == pytest.approx(1 / 3)  # 0 1: a tie, 0 came first; 1 0: 1 came first; 0 2
    assert maj_at_k(classes, correct, 3) == pytest.approx(1 / 2)  # 0 1 1; 0 0 2
    assert maj_at_k(classes, correct, 7) == 0.0  # three of each: 0 came first
    assert maj_at_k([None, 1, None, None], [False, True, False, False], 2) == 0.5  # nothing finished is wrong


def test_a_vote_with_weights_by_hand() -> None:
    classes, correct = [0, 0, 1], [False, False, True]
    assert vote_at_k(classes, [0.2, 0.2, 0.5], correct, 3) == 1.0
    assert vote_at_k(classes, [0.3, 0.3, 0.5], correct, 3) == 0.0


@given(
    st.lists(st.tuples(st.sampled_from([None, 0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_best_of_k_is_the_mean_over_all_subsets(samples: list[tuple[float | None, bool]], k: int) -> None:
    values, correct = [v for v, _ in samples], [c for _, c in samples]
    if k > len(samples):
        with pytest.raises(ValueError, match="between 1 and"):
            best_of_k(values, correct, k)
        return
    subsets = list(itertools.combinations(range(len(samples)), k))
    best = [max(s, key=lambda i: (-1.0 if (v := values[i]) is None else v, -i)) for s in subsets]
    assert best_of_k(values, correct, k) == pytest.approx(sum(correct[i] for i in best) / len(subsets))


def test_all_estimates_agree_on_one_sample() -> None:
    classes, correct = [0, 1, 1, 2, 1], [False, True, True, False, True]
    share = pass_at_k(5, 3, 1)
    assert share == maj_at_k(classes, correct, 1) == best_of_k([0.1, 0.2, 0.3, 0.4, 0.5], correct, 1)


def test_resamples_are_draws_with_replacement_and_the_same_each_time() -> None:
    for num_values in (1, 2, 50, 2500):  # the last are too many to be remembered
        values = list(range(num_values))
        draws = [list(chosen(values)) for chosen in resamples(num_values, 5, seed=1)]
        assert draws == [list(chosen(values)) for chosen in resamples(num_values, 5, seed=1)]
        assert all(len(draw) == num_values and set(draw) <= set(values) for draw in draws)
        if num_values > 2:
            assert draws != [list(chosen(values)) for chosen in resamples(num_values, 5, seed=2)]
            assert any(len(set(draw)) < num_values for draw in draws)
