"""Numbers as they are written: their values, the digits that count, and where they end."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.literals import literal
from rstar_math.grading.reading.nodes import Number


@pytest.mark.parametrize(
    ("text", "value", "behind"),
    [
        ("12", "12", ""),
        ("1,234,567 x", "1234567", " x"),
        ("1 234", "1234", ""),
        ("1_234", "1234", ""),
        ("0x1f", "31", ""),
        ("0b101", "5", ""),
        (r"0.\overline{3}", "1/3", ""),
        ("0.1(6)", "1/6", ""),
        (r"0.\dot{1}4285\dot{7}", "1/7", ""),
        ("0.333...", "1/3", ""),
        ("2.5.", "5/2", "."),
        ("5..7", "5", "..7"),
    ],
)
def test_the_value_of_a_number_and_its_end(text: str, value: str, behind: str) -> None:
    number, _, end = literal(text, 0, separable=True)
    assert number.value == Fraction(value)
    assert text[end:] == behind


def test_decimals_know_their_digits_and_their_last_place() -> None:
    assert literal("0.0120", 0, separable=True)[0] == Number(Fraction("0.012"), 3, Fraction(1, 10_000))
    assert literal("1.5e3", 0, separable=True)[0] == Number(Fraction(1500), 2, Fraction(100))


def test_groups_are_two_numbers_where_commas_separate() -> None:
    number, written, end = literal("1,234", 0, separable=False)
    assert (number.value, written, end) == (Fraction(1), "1", 1)
    assert literal("x^2 345", 2, separable=True)[1] == "2"


def test_exponents_are_bounded() -> None:
    with pytest.raises(UnparsedError, match="exponent"):
        literal("1e99999", 0, separable=True)
