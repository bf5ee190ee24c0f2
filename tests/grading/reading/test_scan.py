"""Looking along tokens: what closes a bracket, what stands between separators, and where words begin."""

from __future__ import annotations

import pytest

from rstar_math.grading.bounds import MAX_DEPTH, UnparsedError
from rstar_math.grading.reading.scan import check_brackets, closing, has, is_enclosed, split, stretches, written
from rstar_math.grading.reading.tokens import tokens
from rstar_math.grading.reading.trailing import unit_start, without_prose


def test_separators_inside_brackets_do_not_separate() -> None:
    parts, separators = split(tokens("(1,2),3;4"), {",", ";"})
    assert [written(part) for part in parts] == ["(1,2)", "3", "4"]
    assert separators == [",", ";"]
    assert has(tokens("1,x"), ",")
    assert not has(tokens("(1,x)"), ",")


def test_stretches_leave_out_what_is_empty() -> None:
    assert [written(part) for part in stretches(tokens("x,,y,"), {","})] == ["x", "y"]


def test_closing_is_the_bracket_of_the_same_level() -> None:
    found = tokens("((x)+1)(y)")
    assert closing(found, 0) == 6
    assert not is_enclosed(found)
    assert is_enclosed(found, 7)
    with pytest.raises(UnparsedError, match="never closed"):
        closing(tokens("(x"), 0)


@pytest.mark.parametrize("text", ["(x", "x)", ")x(", "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1)])
def test_brackets_that_do_not_pair_off_or_go_too_deep_are_refused(text: str) -> None:
    with pytest.raises(UnparsedError):
        check_brackets(tokens(text))
    check_brackets(tokens("(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH))


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("5 ⟦meters⟧", 1),
        ("5 ⟦m⟧/⟦s⟧", 1),
        ("5 ⟦m⟧^2", 1),
        ("5 ⟦m⟧^{-2}", 1),
        ("3/⟦hour⟧", 1),
        ("5 (⟦cm⟧)", 1),
        ("x^2", 3),
        ("⟦apples⟧", 0),
    ],
)
def test_trailing_words_begin_behind_the_expression(text: str, start: int) -> None:
    assert unit_start(tokens(text)) == start


def test_words_before_an_expression_end_in_a_verb() -> None:
    assert written(without_prose(tokens("⟦the⟧ ⟦mode⟧ ⟦is⟧ 3"))) == "3"
    assert len(without_prose(tokens("⟦mode⟧ 3"))) == 2
