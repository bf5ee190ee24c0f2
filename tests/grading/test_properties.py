"""Properties of grading: reflexive, symmetric where it should be, exact on numbers, and safe on any input."""

from __future__ import annotations

import time
from fractions import Fraction
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rstar_math.grading import POLICIES, equivalent, extract_answer
from rstar_math.grading.reading.normalise import normalised
from rstar_math.grading.shortcut import shortcut

settings.register_profile("grading", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("grading")

integers = st.integers(min_value=-(10**30), max_value=10**30)
fractions = st.builds(Fraction, st.integers(-(10**6), 10**6), st.integers(1, 10**6))


def _latex(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


PIECES = [
    *"0123456789+-*/^_=<>(){}[]|!,.;:&%$'\\ xyzniepIE",
    *("\\frac", "\\sqrt", "^{", "}", "**", "\\pm", "\\infty", "\\begin{pmatrix}", "\\end{pmatrix}", "\\\\", "\\text{"),
    *("\\left(", "\\right]", "\\cup", "\\le", "\\sum_{k=1}^{", "\\binom", "\\overline{", "\\log", "sin(", "factorial("),
    *(
        "Matrix([",
        "Interval(",
        "{x: ",
        " and ",
        " or ",
        "9^{9^{9",
        "(10!)!",
        "1e308",
        "99999999",
        "²",
        "½",
        "٣",
        "⟦",
        "\x00",
    ),
]

formulas = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
anything = formulas | st.text(max_size=60)

expressions = st.recursive(
    st.sampled_from(["x", "y", "2", "3", "7", "\\pi", "\\frac{1}{2}", "0.25", "\\sqrt{5}"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda t: f"({t[0]} + {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]}) \\cdot ({t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} - {t[1]})"),
        inner.map(lambda t: f"({t})^2"),
    ),
    max_leaves=6,
)

answers = st.one_of(
    expressions,
    st.lists(expressions, min_size=2, max_size=4).map(", ".join),
    st.tuples(expressions, expressions).map(lambda t: f"({t[0]}, {t[1]})"),
    st.lists(expressions, min_size=1, max_size=3).map(lambda items: "\\{" + ", ".join(items) + "\\}"),
    st.tuples(fractions, fractions).map(lambda t: f"[{min(t)}, {max(t)})"),
    st.tuples(expressions, expressions).map(lambda t: f"y = {t[0]} - {t[1]}"),
)


@given(answers)
def test_every_answer_equals_itself(answer: str) -> None:
    assert equivalent(answer, f" {answer} .").equal
    assert equivalent(answer, f"\\left( {answer} \\right)" if "," not in answer and "=" not in answer else answer).equal


@given(answers, answers)
def test_symmetric_within_a_kind(left: str, right: str) -> None:
    """The gold's shape may settle what a prediction means; between bare expressions there is nothing to settle."""
    forth, back = equivalent(left, right), equivalent(right, left)
    if not (forth.contested or back.contested):
        assert forth.equal == back.equal


@given(integers)
def test_an_integer_equals_what_is_printed_of_it_and_nothing_else(value: int) -> None:
    assert equivalent(str(value), f"{value:,}").equal
    assert equivalent(f"{value:,}".replace(",", "{,}"), str(value)).equal
    assert equivalent(str(value), f"{value}.0").equal
    assert equivalent(str(value), f"x = {value}").equal
    assert equivalent(str(value), f"[{value}]").equal
    assert equivalent(str(value), f"np.int64({value})").equal
    for changed in (value + 1, value - 1, 10 * value + 1, -value - 1):
        assert not equivalent(str(value), str(changed)).equal
        assert not equivalent(str(value), f"\\frac{{{2 * changed}}}{{2}}").equal


@given(fractions)
def test_a_fraction_equals_what_is_printed_of_it_and_nothing_else(value: Fraction) -> None:
    gold = _latex(value)
    assert equivalent(gold, str(value)).equal
    assert equivalent(gold, repr(value)).equal
    assert equivalent(gold, f"Rational({value.numerator}, {value.denominator})").equal
    assert equivalent(gold, repr(float(value))).equal
    assert equivalent(gold, f"{float(value):.15g}").equal
    assert equivalent(gold, f"\\boxed{{{gold}}}").equal
    changed = value + Fraction(1, value.denominator)
    assert not equivalent(gold, str(changed)).equal
    assert not equivalent(gold, _latex(changed)).equal
    assert not equivalent(gold, repr(float(value) * 1.001 + 0.01)).equal
    if value:
        assert not equivalent(gold, str(-value)).equal


short_numbers = st.one_of(
    st.integers(-9999, 9999).map(str),
    st.decimals(-99, 99, places=2, allow_nan=False).map(str),
    st.decimals(-99, 99, places=5, allow_nan=False).map(str),
    st.tuples(st.integers(-99, 99), st.integers(1, 99)).map(lambda t: f"{t[0]}/{t[1]}"),
)


@given(short_numbers, short_numbers, st.sampled_from(sorted(POLICIES)))
def test_the_shortcut_decides_as_the_full_comparison_does(gold: str, prediction: str, policy: str) -> None:
    quick = shortcut(gold, prediction)
    if quick is not None:
        thorough = equivalent(f"\\left({gold}\\right)", prediction, POLICIES[policy])
        assert quick.equal == thorough.equal
        assert not thorough.contested


@given(st.lists(integers, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_lists_in_any_order_and_with_nothing_missing(values: list[int], random: Random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    gold = "; ".join(map(str, values))
    assert equivalent(gold, str(shuffled)).equal
    assert equivalent(gold, str(set(shuffled))).equal
    assert not equivalent(gold, str(shuffled[1:])).equal
    assert not equivalent(gold, str([*shuffled, max(values) + 1])).equal
    assert not equivalent(gold, str([shuffled[0] + max(map(abs, values)) * 3 + 1, *shuffled[1:]])).equal


@given(st.tuples(integers, integers, integers))
def test_tuples_keep_their_order(values: tuple[int, int, int]) -> None:
    gold = f"\\left( {values[0]}, {values[1]}, {values[2]} \\right)"
    assert equivalent(gold, str(values)).equal
    assert not equivalent(gold, str(values[:2])).equal
    assume(values[0] != values[1])
    assert not equivalent(gold, str((values[1], values[0], values[2]))).equal


@given(fractions, fractions, st.booleans(), st.booleans())
def test_interval_ends_open_and_closed(first: Fraction, second: Fraction, low_closed: bool, high_closed: bool) -> None:
    assume(first != second)
    low, high = min(first, second), max(first, second)
    gold = f"x \\in {'[' if low_closed else '('}{_latex(low)}, {_latex(high)}{']' if high_closed else ')'}"
    relations = "<=" if low_closed else "<", "<=" if high_closed else "<"
    assert equivalent(gold, f"({low} {relations[0]} x) & (x {relations[1]} {high})").equal
    other = "<" if low_closed else "<=", relations[1]
    assert not equivalent(gold, f"({low} {other[0]} x) & (x {other[1]} {high})").equal


@given(expressions)
def test_an_expression_plus_one_is_another(expression: str) -> None:
    assert not equivalent(expression, f"{expression} + 1").equal
    assert equivalent(expression, f"({expression} + 1) - 1").equal


@given(anything, anything)
def test_no_input_crashes_or_hangs(gold: str, prediction: str) -> None:
    started = time.thread_time()
    for policy in POLICIES.values():
        equivalent(gold, prediction, policy)
    equivalent(gold, gold + " ")
    extract_answer(prediction)
    assert time.thread_time() - started < 5.0


@given(anything)
def test_normalising_never_fails(text: str) -> None:
    assert isinstance(normalised(text), str)


def test_long_and_deep_inputs_are_bounded() -> None:
    hostile = [
        "(" * 5_000,
        "(" * 500 + "1" + ")" * 500,
        "\\frac{" * 900 + "1",
        "{" * 2_000 + "}" * 2_000,
        "9" * 100_000,
        "1" + "+1" * 2_500,
        "-" * 5_000 + "1",
        "^".join(["9"] * 200),
        "!".join(["9"] * 50) + "!",
        "((((((9!)!)!)!)!)!)!",
        "factorial(factorial(factorial(50)))",
        "\\sum_{k=1}^{2000}\\sum_{j=1}^{2000} j^k",
        "\\binom{10^9}{5\\cdot 10^8}",
        "sin(" * 50 + "1" + ")" * 50,
        "exp(exp(exp(exp(100))))",
        "1e99999999999",
        "10**10**10 % 7",
        "\\pm 1 \\pm 2 \\pm 3 \\pm 4 \\pm 5",
        ", ".join(map(str, range(1_000))),
        "\\boxed{" * 500,
    ]
    for text in hostile:
        started = time.thread_time()
        equivalent("7", text)
        equivalent(text, "7.5")
        equivalent(text, text + "+0")
        assert time.thread_time() - started < 5.0, text[:60]
