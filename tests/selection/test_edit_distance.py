"""The edit distance of two texts, whole and up to a bound."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.selection.select import (
    edit_distance,
)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2), ("flaw", "lawn", 2)],
)
def test_edit_distance(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == distance
    for limit in range(5):
        assert edit_distance(a, b, at_most=limit) == min(distance, limit)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text("ab ", max_size=14), st.text("ab ", max_size=14), st.integers(0, 8))
def test_a_bounded_edit_distance_is_the_whole_one_up_to_its_bound(a: str, b: str, limit: int) -> None:
    table = [[max(i, j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            replaced = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, replaced)
    assert edit_distance(a, b) == table[-1][-1]
    assert edit_distance(a, b, at_most=limit) == min(table[-1][-1], limit)


def test_a_bounded_edit_distance_of_long_texts_is_soon_told() -> None:
    one, other = "".join(map(str, range(2000))), "".join(map(str, range(2000, 0, -1)))
    changed = one[:2000] + "x" + one[2001:4000] + "yz" + one[4000:]
    began = time.process_time()
    assert edit_distance(one, other, at_most=20) == 20
    assert edit_distance(one, changed, at_most=20) == 3
    assert time.process_time() - began < 2  # the whole tables have 50 million cells, some 20 seconds each
