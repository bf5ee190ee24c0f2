"""Messages within the limits of a client: the answer is never cut away by a limit that leaves room for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_math.serve.limits import limited, num_tokens

PIECES = ("Step 1\n\n", "x = 3 + 4 ", "The answer is 7.")


def words(text: str) -> Sequence[int]:
    return range(len(text.split()))


def nothing_known(text: str) -> None:
    return None


def test_a_message_that_fits_stays_whole() -> None:
    for most in (None, 11, 100):
        found = limited(PIECES, PIECES[-1], most, ("Question:",), words)
        assert (found.pieces, found.finish_reason, found.note) == (PIECES, "stop", "")


@pytest.mark.parametrize(("most", "stops"), [(10, ()), (4, ()), (None, ("\n\n",)), (256, ("+", "Step"))])
def test_without_room_for_the_steps_the_answer_stays(most: int | None, stops: tuple[str, ...]) -> None:
    found = limited(PIECES, PIECES[-1], most, stops, words)
    assert (found.pieces, found.finish_reason) == (("The answer is 7.",), "stop")
    assert "left out" in found.note


def test_without_room_for_the_answer_it_is_cut() -> None:
    found = limited(PIECES, PIECES[-1], 2, (), words)
    assert (found.pieces, found.finish_reason) == (("The answer ",), "length")
    assert limited(PIECES, PIECES[-1], None, ("answer",), words).pieces == ("The ",)


def test_unknown_tokens_are_counted_by_bytes() -> None:
    assert num_tokens("12345", nothing_known) == 2
    assert num_tokens("", nothing_known) == 0


@given(st.text(max_size=60), st.integers(1, 20), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_the_limits_hold_for_any_text(short: str, most: int, stops: list[str]) -> None:
    for encode in (words, nothing_known):
        found = "".join(limited(("steps ", short), short, most, stops, encode).pieces)
        assert num_tokens(found, encode) <= most
        assert not any(stop in found for stop in stops)
