"""Identity of expressions with variables: what agrees only on one side of a place is refused, wherever the place is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.grading import equivalent

sizes = st.one_of(st.integers(1, 50), st.integers(51, 100_000), st.sampled_from([10**6, 10**7]))
letters = st.sampled_from(["x", "t", "u"])


@settings(deadline=None, derandomize=True, max_examples=30)
@given(letters, sizes, st.sampled_from(["+", "-"]))
def test_bars_are_not_left_out_wherever_they_bend(x: str, c: int, sign: str) -> None:
    inside = f"{x} {sign} {c}"
    for gold, prediction in (
        (f"|{inside}|", inside),
        (f"\\sqrt{{({inside})^2}}", inside),
        (f"\\sqrt[4]{{({inside})^4}}", inside),
        (f"|{inside}| + {x}", f"2{x} {sign} {c}"),
        (f"\\ln|{inside}|", f"\\ln({inside})"),
        (f"\\operatorname{{sgn}}({inside})", "1"),
        (f"\\operatorname{{sgn}}({inside})", "-1"),
        (f"\\max({x}, {c})", x),
        (f"\\max({x}, {c})", str(c)),
        (f"\\min({x}, -{c})", x),
        (f"\\frac{{|{inside}|}}{{{inside}}}", "1"),
        (f"|{x}^2 - {c}|", f"{x}^2 - {c}"),
        (f"|{c}{x} - 1|", f"{c}{x} - 1"),
    ):
        assert not equivalent(gold, prediction).equal, (gold, prediction)
        assert not equivalent(prediction, gold).equal, (prediction, gold)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(letters, sizes, st.sampled_from(["+", "-"]))
def test_bars_are_known_in_every_form(x: str, c: int, sign: str) -> None:
    inside = f"{x} {sign} {c}"
    for gold, prediction in (
        (f"|{inside}|", f"\\sqrt{{({inside})^2}}"),
        (f"|{inside}|", f"Abs({x} {sign} {c})"),
        (f"|{inside}|", f"\\max({inside}, -({inside}))"),
        (f"|{x}^2 + {c}|", f"{c} + {x}^2"),
        (f"|{inside}|^2", f"({inside})^2"),
        (f"\\ln(({inside})^2)", f"2\\ln|{inside}|"),
    ):
        assert equivalent(gold, prediction).equal, (gold, prediction)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(sizes, sizes)
def test_bars_in_two_variables(c: int, d: int) -> None:
    assert not equivalent(f"|x - y + {c}|", f"x - y + {c}").equal
    assert not equivalent(f"|{d}x + {c}y|", f"{d}x + {c}y").equal
    assert equivalent(f"|x - {c}y|", f"|{c}y - x|").equal


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(2, 4_000), st.integers(0, 3))
def test_steps_are_met_over_the_whole_period(c: int, shift: int) -> None:
    for gold, prediction in (
        (f"\\lfloor n/{c} \\rfloor", "0"),
        (f"\\lfloor \\frac{{n + {shift}}}{{{c}}} \\rfloor", f"\\lfloor \\frac{{n + {shift + 1}}}{{{c}}} \\rfloor"),
        (f"\\gcd(n, {c})", "1"),
        (f"\\operatorname{{lcm}}(n, {c})", str(c)),
        (f"\\operatorname{{lcm}}(n, {c})", f"{c}n"),
        (f"\\binom{{n}}{{{c + 30}}}", "0"),
        (f"Mod(n, {c})", "n"),
        (f"\\lceil x/{c} \\rceil", "1"),
        (f"\\lfloor x + \\frac{{1}}{{{c}}} \\rfloor", "\\lfloor x \\rfloor"),
    ):
        assert not equivalent(gold, prediction).equal, (gold, prediction)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(2, 60))
def test_steps_that_agree_everywhere_are_equal(c: int) -> None:
    for gold, prediction in (
        (f"\\lfloor x + {c} \\rfloor", f"\\lfloor x \\rfloor + {c}"),
        ("\\lfloor \\frac{n}{2} \\rfloor + \\lceil \\frac{n}{2} \\rceil", "n"),
        (f"Mod(n, {c}) + {c} \\lfloor n/{c} \\rfloor", "n"),
        (f"\\gcd(n, {c})", f"\\gcd({c}, n)"),
        (f"\\gcd(n + {c}, {c})", f"\\gcd({c}, n)"),
    ):
        assert equivalent(gold, prediction).equal, (gold, prediction)


@pytest.mark.parametrize("degree", [11, 13, 20])
def test_a_product_that_vanishes_at_small_integers_is_not_zero(degree: int) -> None:
    gold = "".join(f"(n - {i})" for i in range(1, degree + 1))
    assert not equivalent(gold, "0").equal
    assert not equivalent(f"\\prod_{{k=1}}^{{{degree}}} (n - k)", "0").equal
    assert not equivalent(f"n + {gold}", "n").equal


@pytest.mark.parametrize(
    ("gold", "prediction", "equal"),
    [
        ("x^{2/3}", "\\sqrt[3]{x^2}", True),
        ("\\sqrt[3]{x}", "x^{1/3}", True),
        ("(x^2)^{1/4}", "\\sqrt{x}", False),
        ("(x^2)^{1/2}", "|x|", True),
        ("\\sqrt{1 - \\sin^2 x}", "\\cos x", False),
        ("\\sqrt{1 - \\sin^2 x}", "|\\cos x|", True),
        ("\\arcsin(\\sin x)", "x", False),
        ("\\arctan(\\tan x)", "x", False),
        ("\\arctan x + \\arctan \\frac{1}{x}", "\\frac{\\pi}{2}", False),
        ("\\sqrt{x^2 + 2x + 1}", "x + 1", False),
        ("\\sqrt{x^2 + 2x + 1}", "|x + 1|", True),
        ("|x^2 + x + 1|", "x^2 + x + 1", True),
        ("|e^x - 1000|", "1000 - e^x", False),
        ("|\\ln x - 9|", "9 - \\ln x", False),
        ("|2^x - 70000|", "70000 - 2^x", False),
        ("\\cos x", "\\frac{e^{ix} + e^{-ix}}{2}", True),
        ("\\frac{x^2 - 9}{x - 3}", "x + 3", True),
        ("\\sqrt{ab}", "\\sqrt{a}\\sqrt{b}", True),
        ("\\ln|xy|", "\\ln(xy)", False),
        ("x + 10^{-60}", "x", False),
        ("(x + y)^{12} - y", "(y + x)^{12} - y", True),
        ("(x + y)^{12}", "(y + x)^{12} + 10^{-9}", False),
    ],
)
def test_identities(gold: str, prediction: str, equal: bool) -> None:
    assert equivalent(gold, prediction).equal == equal
    assert equivalent(prediction, gold).equal == equal
