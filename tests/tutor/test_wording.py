"""What is said, and what is not."""

from __future__ import annotations

from rstar_math.tutor.known import KnownStep
from rstar_math.tutor.wording import brief, described, is_number_of, kind_of, without


def step(expression: str, needs: frozenset[int] = frozenset()) -> KnownStep:
    return KnownStep("", f"x = {expression}", "x", "1", expression, needs, ())


def test_kinds_of_steps() -> None:
    assert kind_of(step("12 * 4")) == "The next step is a product, made from numbers of the question."
    assert kind_of(step("a + b", frozenset({0}))) == "The next step is a sum, made from what you have so far."
    assert "a greatest common divisor, made from what you have so far and a number" in kind_of(
        step("gcd(a, 12)", frozenset({0}))
    )
    assert "a computation" in kind_of(step("[x for x in y]"))


def test_what_an_expression_computes() -> None:
    assert described("12 + 4", "16") == "16, the sum of 12 and 4"
    assert described("7", "7") == "7, as it stands"
    assert described("isqrt(9)", "3") == "3, a square root"
    assert described(None, "3") == "3"


def test_the_answer_does_not_stand_in_a_text() -> None:
    assert (
        without("so it is 1,380 or 1380.0, not 138 or x1380", "1380", "no number")
        == "so it is … or …, not 138 or x1380"
    )
    assert without("print(-42)", "-42", "") == "print(-…)"
    assert without("it is 12", "12", "12 cups") == "it is 12"  # to leave it out would tell it
    assert without("it is \\pi", "\\pi", "") == "it is …"
    assert is_number_of("12 cups", "12.0")
    assert not is_number_of("12 cups", "many")
    assert brief("a  b\n" * 100, 10) == "a b a b a…"
