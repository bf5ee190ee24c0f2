"""What a learner may write, and what is read in it."""

from __future__ import annotations

import pytest

from rstar_math.tutor.reading import MAX_CHARS, MAX_PIECES, numbers_in, pieces_of, read


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("48", "48"),
        (" 1,248. ", "1248"),
        ("-3.5", "-3.5"),
        ("$48$", "48"),
        ("\\boxed{48}", "48"),
        ("50 %", "50"),
        ("007", "7"),
        ("12 × 4", "12 * 4"),
        ("12·4", "12 * 4"),
        ("2^5", "2 ** 5"),
        ("\\frac{1}{2}", "1 / 2"),
        ("total", "total"),
        ("print(first + 1)", "first + 1"),
        ("So Bo pays 48 dollars in the end.", "48"),
        ("12 pencils at 4 dollars are 48 dollars", "48"),
    ],
)
def test_one_value(text: str, report: str) -> None:
    (piece,) = read(text).pieces
    assert piece.report == report


@pytest.mark.parametrize(
    ("text", "name", "expression", "claims"),
    [
        ("12 * 4 = 48", None, "12 * 4", ("48",)),
        ("total = 12 * 4 = 48", "total", "12 * 4", ("48",)),
        ("12 * 4 == 48", None, "12 * 4", ("48",)),
        ("48 = 12 * 4", None, "12 * 4", ("48",)),
        ("I think 12 * 4 = 48 is next", None, "12 * 4", ("48",)),
        ("total = 12 * 4", "total", "12 * 4", ()),
        ("total: int = 12 * 4", "total", "12 * 4", ()),
        ("total += 4", "total", None, ()),
    ],
)
def test_equations_and_assignments(
    text: str, name: str | None, expression: str | None, claims: tuple[str, ...]
) -> None:
    (piece,) = read(text).pieces
    assert (piece.name, piece.expression, piece.claims) == (name, expression, claims)


def test_several_lines() -> None:
    pieces = read("# first\na, b = 3, 4\nc = a * b; d = c + 1\nfor i in range(3):\n    d += i").pieces
    assert [p.name for p in pieces] == ["a", "b", "c", "d", "d"]
    assert [p.report for p in read("first = 12 * 4\n12 + 3 = 15\nso I get 48").pieces] == ["first", "12 + 3", "48"]
    assert read("The answer is 48.").pieces[0].is_answer
    assert read("import os").pieces[0].report is None


@pytest.mark.parametrize(
    "text", ["", "   \n", "# nothing but words", "I do not know", "?!", "(" * 1500, "x" * (MAX_CHARS + 1)]
)
def test_nothing_to_read(text: str) -> None:
    found = read(text)
    assert not found.pieces
    assert found.why


def test_what_is_too_much_or_no_python() -> None:
    assert str(MAX_PIECES) in read("x = 1\n" * (MAX_PIECES + 1)).why
    assert pieces_of("x = = 3") is None
    assert pieces_of("x\0y") is None
    assert numbers_in("From 1,248 to 3.5, x2 and -7.") == ["1248", "3.5", "7"]
