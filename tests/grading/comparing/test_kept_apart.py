"""What may not be taken for the same, and what short forms mean: families of pairs, each line written for this file."""

from __future__ import annotations

import pytest

from rstar_math.grading import equivalent

APART = {
    "directions": [("25% decrease", "25% increase"), ("5 km east", "5 km west"), ("gain of 5", "loss of 5")],
    "what is counted is no measure": [("18^\\circ", "18 ways"), ("6 students", "6%"), ("30 books", "30 kg")],
    "currencies": [("18000 dollars", "18000 pesos"), ("50 yuan", "50 yen"), ("$12 per hour", "12 euros per hour")],
    "temperatures": [("300 K", "300^\\circ C"), ("77 degrees Fahrenheit", "77°C")],
    "blanks between digits": [("12", "1 2"), ("305", "30 5")],
    "the set of the empty set": [("\\emptyset", "\\{\\emptyset\\}")],
    "signs of logic": [("p \\lor q", "p \\land q")],
    "values left out": [("x \\ne 0, 1", "\\mathbb{R}\\setminus\\{0\\}"), ("x \\ge 1, x \\ne 2", "x \\ge 1")],
    "conditions at once": [("x>1, x<5", "\\mathbb{R}"), ("x>0 and y<0", "x>0 and y<-1"), ("x > 1, 3", "x > 1")],
    "complex letters": [("|z|^2", "z^2"), ("z\\bar z", "z^2"), ("|w - 1|^2", "(w-1)^2")],
    "small constants": [("\\sin x + 10^{-60}", "\\sin x"), ("e^x + \\frac{1}{99!}", "e^x"), ("2^x + 2^{-90}", "2^x")],
    "differences of sets": [("A \\setminus B", "B \\setminus A")],
    "functions": [("f(g(x))", "g(f(x))"), ("f(2x)", "2f(x)"), ("f^{-1}(x)", "1/f(x)"), ("F(x, y)", "F(y, x)")],
    "articles": [("a maximum", "a minimum")],
    "values of one name": [("x=1, 2", "x=1, y=2")],
    "quadratics": [("x^2 > 9", "x > 3"), ("x^2 < 4", "y^2 < 4"), ("x^2 \\le 4", "(-2, 2)")],
    "choices": [("(B) 12", "C"), ("(B) 12", "13"), ("(B) 12", "(C) 12")],
    "constants with two indices": [("C_1^2", "2"), ("C_6^2", "30")],
    "indices": [("a_n = 3n - 1", "a_k = 3k + 1"), ("n = 4k + 1", "n = 4m + 3"), ("y = 2m + 1", "y = 2k + 1")],
    "residues": [("x \\equiv 3 \\pmod 7", "x = 7k + 4"), ("3 \\pmod 7", "4"), ("3 \\pmod 7", "10")],
    "points": [("(1,2) + t(3,4)", "(1 + 3t, 2 - 4t)")],
    "degrees in steps": [("20^\\circ + 180^\\circ k", "20^\\circ + 360^\\circ n")],
    "contraries": [
        ("local maximum at $x=2$", "local minimum at x=2"),
        ("the first player wins", "the second player wins"),
        ("increasing on (0,1)", "decreasing on (0,1)"),
    ],
    "derivatives in time": [("\\dot x = 2", "\\ddot x = 2"), ("\\ddot{x} + x = 0", "\\dot{x} + x = 0")],
    "functions in words": [("\\operatorname{rank}(A)", "A"), ("\\operatorname{tr}(A)", "A")],
    "cross products": [("\\mathbf{a}\\times\\mathbf{b}", "\\mathbf{b}\\times\\mathbf{a}")],
    "labels": [("twice 5", "5"), ("more than 5", "5"), ("nearly 5", "5")],
    "families": [("y = Ce^{2x}", "y = ke^{-2x}"), ("y = Ce^x", "y = e^x"), ("\\frac{C}{2}", "\\frac{A}{2}")],
    "lists of words": [("Ada, Ben", "Ben, Cleo"), ("red and blue", "red")],
    "words": [("all odd primes", "all primes"), ("two fifths", "0.5"), ("12", "12 is not the answer")],
}
SAME = {
    "conditions at once": [
        ("x>1, x<5", "(1,5)"),
        ("x>2, x\\ne 3", "(2,3)\\cup(3,\\infty)"),
        ("x<1, x>5", "x<1 or x>5"),
    ],
    "values left out": [("x \\ne 0, 1", "\\mathbb{R}\\setminus\\{0, 1\\}")],
    "signs of logic": [("p \\lor q", "q \\lor p"), ("x>1 \\land x<5", "(1,5)")],
    "complex letters": [("z\\bar z", "|z|^2"), ("|zw|", "|z||w|"), ("\\operatorname{Re}(z)", "\\frac{z+\\bar z}{2}")],
    "functions": [("2f(x) + f(x)", "3f(x)"), ("f(0) + 1", "1 + f(0)"), ("P(A)P(B)", "P(B)P(A)"), ("h(a+b)", "ha + hb")],
    "quadratics": [("x^2 < 9", "-3 < x < 3"), ("(x-1)^2 > 0", "x \\ne 1"), ("x^2-2x-1 < 0", "(1-\\sqrt2, 1+\\sqrt2)")],
    "cubics": [("(x-1)(x-2)(x-3) > 0", "(1,2)\\cup(3,\\infty)"), ("(x-1)^2(x-3) \\ge 0", "\\{1\\}\\cup[3,\\infty)")],
    "choices": [("(B) 12", "B"), ("\\textbf{(D)}\\ 42", "(D)"), ("(B) 12", "12")],
    "money": [("\\$2.5M", "2500000"), ("€3k", "3000"), ("$12/hour", "12 dollars per hour"), ("\\text{Rs. }500", "500")],
    "units": [("12 m/s", "12\\ \\mathrm{m\\,s^{-1}}"), ("3.0 x 10^8 m/s", "3\\times 10^8"), ("ten hours", "10 hours")],
    "degrees": [("45^{o}", "45"), ("45^\\text{o}", "45^\\circ"), ("77°F", "77 degrees Fahrenheit")],
    "degrees in steps": [("20^\\circ + 180^\\circ k", "200^\\circ + 180^\\circ n")],
    "selections": [("C_6^2", "15"), ("A_6^2", "30"), ("C_5^2 + C_4^1", "14")],
    "mappings": [("x \\mapsto x + 1", "t \\mapsto t + 1"), ("f: x \\mapsto 2x", "2x")],
    "names": [("E[X^2] = 5", "5"), ("dy/dx = 2x", "2x"), ("x equals 7", "7"), ("x is greater than 2", "x > 2")],
    "logarithms": [("y = \\log_2 x", "2^y = x"), ("\\ln y = 2x", "y = e^{2x}")],
    "indices": [("a_n = 3n - 1", "a_k = 3k - 1"), ("n = 4k + 1", "n = 4m + 1")],
    "residues": [("x \\equiv 3 \\pmod 7", "x = 7k + 3"), ("3 \\pmod 7", "3")],
    "points": [("(1,2) + t(3,4)", "(1 + 3t, 2 + 4t)"), ("\\langle 1, 2\\rangle + \\langle 3, 4\\rangle", "(4, 6)")],
    "families": [("y = Ce^{2x}", "y = ke^{2x}"), ("C_1e^x + C_2e^{-x}", "Ae^x + Be^{-x}"), ("Ax + B", "B + Ax")],
    "chains": [("x = y = 2", "x = 2, y = 2"), ("a = b = c = 1", "(1, 1, 1)"), ("x = y = 2", "2")],
    "labels": [("\\text{center }(1,-2), \\text{ radius } 3", "radius 3, center (1,-2)")],
    "sentences": [
        ("The minimum is $\\sqrt{2}$, attained at $x=1$.", "\\sqrt2"),
        ("Ben has a winning strategy", "Ben"),
        ("Ben wins", "Ben has a winning strategy"),
        ("All even \\( n \\)", "n is even"),
        ("All $x \\neq 0$", "(-\\infty,0)\\cup(0,\\infty)"),
        ("no limit", "limit does not exist"),
        ("7", "## 7"),
    ],
    "constants": [("f(x) = cx \\text{ for some constant } c", "f(x) = kx")],
    "words": [("two thirds", "2/3"), ("one and a half", "1.5"), ("25 per cent", "1/4"), ("increase of 20%", "20%")],
    "phrases": [("All primes", "all prime numbers"), ("n = 5 is the only solution", "5"), ("Ada, Ben", "Ben and Ada")],
    "differentials": [("\\int_1^e \\frac{dx}{x}", "1")],
}


@pytest.mark.parametrize("kind", APART)
def test_kept_apart(kind: str) -> None:
    for one, other in APART[kind]:
        for gold, prediction in ((one, other), (other, one)):
            assert not equivalent(gold, prediction).equal, (gold, prediction)


@pytest.mark.parametrize("kind", SAME)
def test_the_same(kind: str) -> None:
    for gold, prediction in SAME[kind]:
        assert equivalent(gold, prediction).equal, (gold, prediction, equivalent(gold, prediction))
