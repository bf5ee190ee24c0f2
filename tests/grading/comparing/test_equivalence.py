"""The rules: what is equal, what is not, and which rule says so. Every line was written by hand for this file."""

from __future__ import annotations

import pytest

from rstar_math.grading import POLICIES, equivalent

EQUAL = [
    # numbers and how they are written
    ("1200", "1,200"),
    ("1200", "1{,}200"),
    ("1200", "1\\,200"),
    ("1234567", "1 234 567"),
    ("-7", "−7"),
    ("7", "7.0"),
    ("\\frac{7}{9}", "7/9"),
    ("\\dfrac79", "\\tfrac{7}{9}"),
    ("\\frac{7}{9}", "0.7777777777777778"),
    ("0.\\overline{7}", "7/9"),
    ("0.8\\overline{3}", "5/6"),
    ("0.777...", "7/9"),
    ("4\\frac{2}{3}", "14/3"),
    ("-4\\frac{2}{3}", "-14/3"),
    ("4 2/3", "\\frac{14}{3}"),
    ("6.5e-4", "0.00065"),
    ("6.5 \\times 10^{-4}", "13/20000"),
    ("\\sqrt{48}", "4\\sqrt3"),
    ("\\sqrt[3]{-27}", "-3"),
    ("5√7", "5*sqrt(7)"),
    ("¾", "0.75"),
    ("3!", "6"),
    ("\\binom{7}{3}", "35"),
    ("2^{200}", "4**100"),
    ("3^{3^{3^{3}}}", "3^{3^{27}}"),
    ("\\log_2 32", "5"),
    ("\\log 1000", "3"),
    ("\\sin 30^\\circ", "\\frac12"),
    ("|-4|", "4"),
    ("\\lfloor 7/2 \\rfloor", "3"),
    ("\\sum_{k=1}^{4} k^2", "30"),
    ("0x1f", "31"),
    # what programs print
    ("\\frac{3}{8}", "Fraction(3, 8)"),
    ("\\frac{3}{8}", "Rational(3, 8)"),
    ("\\frac{3}{8}", "np.float64(0.375)"),
    ("\\frac{3}{8}", "Decimal('0.375')"),
    ("3", "np.int64(3)"),
    ("2 - 5i", "(2-5j)"),
    ("2 - 5i", "2 - 5*I"),
    ("\\infty", "oo"),
    ("\\frac{3\\pi}{4}", "2.356194490192345"),
    ("\\sqrt{5}", "2.23606797749979"),
    ("e^3", "exp(3)"),
    ("4", "[4]"),
    ("4", "{4}"),
    ("x = 4", "[{x: 4}]"),
    ("(1, 2)", "{x: 1, y: 2}"),
    ("(1,2),(3,4)", "[{x: 1, y: 2}, {x: 3, y: 4}]"),
    ("2, 5", "FiniteSet(2, 5)"),
    ("2, 5", "frozenset({5, 2})"),
    ("2, 5", "[2. 5.]"),
    ("(3, -1)", "Point2D(3, -1)"),
    ("\\begin{pmatrix} 1 & 0 \\\\ 2 & 5 \\end{pmatrix}", "Matrix([[1, 0], [2, 5]])"),
    ("\\begin{bmatrix} 1 & 0 \\\\ 2 & 5 \\end{bmatrix}", "array([[1, 0],\n       [2, 5]])"),
    ("\\begin{pmatrix} 1 & 0 \\\\ 2 & 5 \\end{pmatrix}", "[[1 0]\n [2 5]]"),
    # names, units, wrappers
    ("9", "$x = 9$"),
    ("9", "\\boxed{9}."),
    ("9", "**9**"),
    ("9", "the answer is 9"),
    ("f(x) = 3x - 1", "3*x - 1"),
    ("\\frac{AB}{CD} = \\frac{2}{3}", "2/3"),
    ("P(A \\mid B) = 0.4", "2/5"),
    ("9 \\text{ cm}", "9"),
    ("9 \\mathrm{~cm}^2", "9 square centimeters"),
    ("9", "9 \\text{ apples}"),
    ("\\$4.50", "4.5"),
    ("35^\\circ", "35 degrees"),
    ("12\\%", "0.12"),
    ("12\\%", "12 percent"),
    # expressions and equations
    ("(a+b)^2", "a**2 + 2*a*b + b**2"),
    ("\\frac{x^2-9}{x-3}", "x + 3"),
    ("2\\sin x\\cos x", "sin(2*x)"),
    ("x\\sqrt{x}", "x**(3/2)"),
    ("\\tan^{-1} x", "atan(x)"),
    ("\\ln x^3", "3*log(x)"),
    ("\\frac{n(n-1)}{2}", "\\binom{n}{2}"),
    ("(n+1)!", "(n+1)\\cdot n!"),
    ("x_1 + x_2", "x1 + x2"),
    ("f(2) + 1", "1 + f{\\left(2 \\right)}"),
    ("\\frac{h(a+b)}{2}", "(a*h + b*h)/2"),
    ("\\sqrt{ab}", "\\sqrt{a}\\sqrt{b}"),
    ("y = 4x + 1", "4x - y + 1 = 0"),
    ("y = 4x + 1", "Eq(y, 4*x + 1)"),
    # several answers
    ("3, -3", "\\pm 3"),
    ("3, -3", "x=-3 \\text{ or } x=3"),
    ("1 \\pm \\sqrt{6}", "[1 - sqrt(6), 1 + sqrt(6)]"),
    ("\\{1 \\pm \\sqrt{6}, 2\\}", "2, 1+\\sqrt6, 1-\\sqrt6"),
    ("4, 7, \\text{ and } 9", "{9, 7, 4}"),
    ("(1,4),(4,1)", "(4,1),(1,4)"),
    ("p=5,q=2;p=7,q=2", "(7,2),(5,2)"),
    # sets of numbers
    ("(-\\infty, 3]", "x \\le 3"),
    ("(-\\infty, 3]", "(-oo < x) & (x <= 3)"),
    ("[1, 4)", "Interval.Ropen(1, 4)"),
    ("[1, 4)", "\\{x \\mid 1 \\le x < 4\\}"),
    ("(-\\infty,-2)\\cup(2,\\infty)", "|x| > 2"),
    ("(-\\infty,-2)\\cup(2,\\infty)", "Union(Interval.open(2, oo), Interval.open(-oo, -2))"),
    ("\\mathbb{R} \\setminus \\{5\\}", "x \\ne 5"),
    ("[0, 2]", "Union(Interval(0, 1), Interval(1, 2))"),
    ("\\text{all real numbers}", "(-\\infty, \\infty)"),
    ("3 - 2x < 7", "x > -2"),
    ("a + b > c", "c < b + a"),
    # words
    ("\\text{Odd}", "odd"),
    ("\\text{the parabola}", "Parabola."),
    ("\\text{(D)}", "D"),
    ("D", "(D) 17"),
    ("ACD", "A, C and D"),
    ("9:05", "09:05"),
    ("2:30 \\text{ p.m.}", "2:30 PM"),
    ("4:6", "2:3"),
    ("231_5", "231_{5}"),
    ("\\text{March 4, 2021}", "2021-03-04"),
]

DIFFERENT = [
    ("1200", "1201"),
    ("1200", "12"),
    ("12", "1,2"),
    ("4", "-4"),
    ("4", "4x"),
    ("4", "4, 5"),
    ("4", "4 or 5"),
    ("4", "4^2"),
    ("4", "4/0"),
    ("4", ""),
    ("4", "None"),
    ("4", "nan"),
    ("4", "Error: division by zero in line 4"),
    ("4", "four apples and 4 pears"),
    ("\\frac{5}{6}", "0.83"),
    ("\\frac{5}{6}", "0.8333334"),
    ("3.14", "\\pi"),
    ("10^{40}", "10^{40}+1"),
    ("2^{300}", "2^{300}+1"),
    ("3^{3^{3^{3}}}", "3^{3^{28}}"),
    ("8^{8^{8^{8}}}", "8"),
    ("(30!)!", "30!"),
    ("\\sqrt{2}+10^{-30}", "\\sqrt{2}"),
    ("x^2", "2x"),
    ("x", "|x|"),
    ("a - b", "b - a"),
    ("f(0)", "0"),
    ("f(0)", "-f(0)"),
    ("\\sqrt{x^2}", "x"),
    ("y = 4x + 1", "y = 4x - 1"),
    ("2x + y = 1", "1"),
    ("xy = 6", "6"),
    ("1, 2, 3", "1, 2"),
    ("1, 2", "1, 2, 3"),
    ("2, 2", "2"),
    ("(1, 2)", "(2, 1)"),
    ("(1, 2)", "{1, 2}"),
    ("(1, 2)", "(1, 2, 0)"),
    ("[1, 4)", "(1, 4)"),
    ("[1, 4]", "(1, 4)"),
    ("(5, \\infty)", "[5, \\infty)"),
    ("x > 5", "x \\ge 5"),
    ("x > 5", "x < 5"),
    ("(-\\infty,-2)\\cup(2,\\infty)", "(2, \\infty)"),
    ("\\begin{pmatrix} 1 & 0 \\\\ 2 & 5 \\end{pmatrix}", "Matrix([[1, 2], [0, 5]])"),
    ("9 \\text{ cm}", "90 \\text{ cm}"),
    ("12\\%", "1.2\\%"),
    ("B", "C"),
    ("ACD", "AC"),
    ("\\text{odd}", "even"),
    ("9:05", "9:50"),
    ("2:30 am", "2:30 pm"),
    ("2:3", "3:2"),
    ("231_5", "231_6"),
    ("231_5", "232_5"),
    ("1+2i", "2+i"),
]

CONTESTED = [
    ("\\frac{5}{6}", "0.8333", True, "rounded_decimals"),
    ("\\frac{5}{6}", "0.833", False, "rounded_decimals"),
    ("12\\%", "12", True, "percent_as_number"),
    ("231_5", "231", True, "implied_base"),
    ("231_5", "66", False, "base_values"),
    ("2,5", "2.5", True, "decimal_comma"),
    ("(1, 2)", "[1, 2]", True, "list_for_tuple"),
    ("1, 2", "(1, 2)", True, "list_for_tuple"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1, 2)", True, "flat_vector"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "[[1, 2]]", False, "transposed_vector"),
    ("12", "\\text{twelve}", True, "number_words"),
    ("5 \\text{ cm}", "5 \\text{ m}", False, "unit_mismatch"),
    ("20:34", "20:34:00", True, "missing_seconds"),
    ("\\text{no solution}", "[]", True, "no_solution"),
    ("\\text{yes}", "True", True, "truth_words"),
    ("x = 2", "y = 2", True, "other_name"),
    ("8", "8 = 8", True, "calculation"),
    ("2", "[2, 2]", True, "repeated_answers"),
    ("1:2", "0.5", True, "quotient_for_ratio"),
    ("30^\\circ", "\\pi/6", True, "radians_for_degrees"),
    ("(-1)^{2n}", "1", True, "integer_variables"),
    ("x^2/2 + C", "(x^2 + 1)/2 + C", True, "integration_constant"),
    ("2\\pi k \\text{ for any integer } k", "2\\pi k", True, "omitted_condition"),
    ("188", "188.000000001", True, "float_noise"),
]


@pytest.mark.parametrize(("gold", "prediction"), EQUAL)
def test_equal(gold: str, prediction: str) -> None:
    verdict = equivalent(gold, prediction)
    assert verdict.equal, verdict
    assert not verdict.timed_out


@pytest.mark.parametrize(("gold", "prediction"), DIFFERENT)
def test_different(gold: str, prediction: str) -> None:
    verdict = equivalent(gold, prediction)
    assert not verdict.equal, verdict
    assert verdict.rule


@pytest.mark.parametrize(("gold", "prediction", "equal", "matter"), CONTESTED)
def test_contested_matters_go_as_the_policy_says(gold: str, prediction: str, equal: bool, matter: str) -> None:
    verdict = equivalent(gold, prediction)
    assert (verdict.equal, verdict.contested, verdict.rule) == (equal, True, matter)
    assert not equivalent(gold, prediction, POLICIES["strict"]).equal
    assert equivalent(gold, prediction, POLICIES["lenient"]).equal


@pytest.mark.parametrize(("gold", "prediction"), EQUAL + DIFFERENT)
def test_what_is_not_contested_is_the_same_under_every_policy(gold: str, prediction: str) -> None:
    verdict = equivalent(gold, prediction)
    if not verdict.contested:
        assert {equivalent(gold, prediction, policy).equal for policy in POLICIES.values()} == {verdict.equal}


def test_no_prediction_is_not_equal() -> None:
    assert equivalent("4", None).rule == "no_answer"
    assert equivalent("4", "   ").rule == "no_answer"


def test_the_rule_tells_what_decided() -> None:
    assert equivalent("12", "12").rule == "identical"
    assert equivalent("12", "13").rule == "integer"
    assert equivalent("0.5", "1/2").rule == "exact"
    assert equivalent("[0, 1)", "[0, 1]").rule == "interval_ends"
    assert equivalent("1, 2", "1").rule == "number_of_answers"
    assert equivalent("\\pi", "3.141592653589793").rule == "double_precision"
