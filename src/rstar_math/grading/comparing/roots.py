"""Real roots of polynomials in one variable, about or exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from rstar_math.grading.comparing.evaluate import approximately
from rstar_math.grading.comparing.pieces import same_place
from rstar_math.grading.reading.nodes import Call, Node, Number, Product, Sum, negated


def real_roots(numbers: Sequence[Fraction]) -> list[float]:
    """Where a polynomial changes sign, about: its real roots of odd multiplicity, and perhaps others.

    Args:
      numbers: coefficients, the constant first.
    """
    roots: list[float] = []
    derivative = [index * number for index, number in enumerate(numbers)][1:]
    if len(numbers) == 2:
        return [float(-numbers[0] / numbers[1])]
    if len(numbers) < 2:
        return []
    bound = float(1 + max(abs(number / numbers[-1]) for number in numbers))
    stops = [-bound, *real_roots(derivative), bound]

    def sign(x: float) -> int:
        exact = Fraction(x)
        value = Fraction(0)
        for number in reversed(numbers):
            value = value * exact + number
        return (value > 0) - (value < 0)

    for low, high in pairwise(stops):
        if sign(low) * sign(high) > 0:
            continue
        start = sign(low)
        for _ in range(60):
            middle = (low + high) / 2
            if sign(middle) == start:
                low = middle
            else:
                high = middle
        roots.append(high)
    return sorted(root for root in set(roots) if math.isfinite(root))


def roots_of(numbers: list[Fraction]) -> list[Node] | None:
    """The real roots of a polynomial in order, each once; None where they are neither rational nor of a quadratic."""
    roots: list[Node] = []
    rest = list(numbers)
    for about in real_roots(tuple(numbers)):
        root = Fraction(about).limit_denominator(1000)
        while len(rest) > 1 and sum(number * root**power for power, number in enumerate(rest)) == 0:
            rest = _divided(rest, root)
            roots.append(Number(root))
    if len(rest) == 3:
        c, b, a = rest
        under = b * b - 4 * a * c
        if under >= 0:
            surd = Product((Number(1 / (2 * abs(a))), Call("sqrt", (Number(under),))))
            middle = Number(-b / (2 * a))
            roots += [Sum((middle, negated(surd))), Sum((middle, surd))]
    elif len(rest) != 1:
        return None
    roots.sort(key=approximately)
    return [
        root
        for i, root in enumerate(roots)
        if not i or not same_place(approximately(roots[i - 1]), approximately(root))
    ]


def _divided(numbers: list[Fraction], root: Fraction) -> list[Fraction]:
    """A polynomial divided by x - root, which divides it."""
    found: list[Fraction] = []
    carried = Fraction(0)
    for number in reversed(numbers[1:]):
        carried = number + carried * root
        found.append(carried)
    return found[::-1]
