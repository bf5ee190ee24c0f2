"""Lists with dots in them, and values that run over all integers: pi/4 + k pi."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from rstar_math.grading.bounds import MAX_ITEMS, TooLargeError, UndefinedError
from rstar_math.grading.comparing.exact import NotRationalError, exact
from rstar_math.grading.comparing.polynomials import Polynomial, UnprovedError
from rstar_math.grading.comparing.quotients import Ring
from rstar_math.grading.reading.nodes import (
    Call,
    Constant,
    Group,
    Named,
    Node,
    Number,
    Product,
    Sum,
    Symbol,
    renamed,
    symbols,
    walk,
)

_RUNNING = frozenset("knmlj")
_DOTS = Named("dots")


def with_dots_filled(node: Group) -> Group:
    """A list of numbers in equal steps with all its members: 1, 2, ..., 10.

    Where it has no end, or the end is no number, the members that say nothing new are left out.
    """
    place = node.items.index(_DOTS)
    before, after = node.items[:place], node.items[place + 1 :]
    try:
        values = [exact(item) for item in before]
    except (NotRationalError, UndefinedError, TooLargeError):
        return node
    steps = {b - a for a, b in pairwise(values)}
    if len(values) < 2 or len(steps) != 1 or _DOTS in after:
        return node
    (step,) = steps
    if not after or not step:
        return Group((*before[:2], _DOTS, *after), node.bracket)
    try:
        rest = [exact(item) for item in after]
    except (NotRationalError, UndefinedError, TooLargeError):
        return Group((*before[:2], _DOTS, *after), node.bracket)
    number = (rest[-1] - values[0]) / step + 1
    expected = [rest[-1] - step * i for i in reversed(range(len(rest)))]
    if number.denominator != 1 or not len(values) <= number <= MAX_ITEMS or rest != expected:
        return node
    return Group(tuple(Number(values[0] + step * i) for i in range(int(number))), node.bracket)


def same_progression(gold: Node, prediction: Node) -> bool:
    """Whether two multiples of pi, or of degrees, plus a constant run over the same values.

    Their letters are any integers. They must be ones that integers have, and pi must stand with them: `k` alone is a
    variable like any other.
    """
    gold, prediction = _in_half_turns(gold), _in_half_turns(prediction)
    letters = [symbols(node) & _RUNNING for node in (gold, prediction)]
    if any(len(found) != 1 for found in letters) or symbols(gold) - letters[0] != symbols(prediction) - letters[1]:
        return False
    if not all(any(part == Constant("pi") for part in walk(node)) for node in (gold, prediction)):
        return False
    (one,), (other,) = letters
    ring = Ring()
    try:
        first, second = ring.quotient(gold), ring.quotient(renamed(prediction, {other: one}))
    except (UnprovedError, UndefinedError):
        return False
    if first.denominators or second.denominators:
        return False
    left, right = (
        _line(part.numerator, ring.index(Symbol(one)), ring.index(Constant("pi"))) for part in (first, second)
    )
    if left is None or right is None:
        return False
    if abs(left[0]) != abs(right[0]):
        return False
    rest = dict(left[1])
    for monomial, coefficient in right[1].items():
        rest[monomial] = rest.get(monomial, Fraction(0)) - coefficient
    rest = {monomial: coefficient for monomial, coefficient in rest.items() if coefficient}
    pi = ((ring.index(Constant("pi")), 1),)
    return not rest or (set(rest) == {pi} and (rest[pi] / left[0]).denominator == 1)


def _in_half_turns(node: Node) -> Node:
    """A sum of angles in degrees with pi in place of the degree, so that both are read alike."""
    match node:
        case Call(name="degrees", arguments=(amount,)):
            return Product((amount, Constant("pi")))
        case Sum(terms=terms):
            return Sum(tuple(_in_half_turns(term) for term in terms))
        case Product(factors=factors):
            return Product(tuple(_in_half_turns(factor) for factor in factors))
        case _:
            return node


def _line(polynomial: Polynomial, letter: int, pi: int) -> tuple[Fraction, Polynomial] | None:
    """(slope, rest) of slope * letter * pi + rest; None for any other."""
    slope = polynomial.get(tuple(sorted([(letter, 1), (pi, 1)])))
    if slope is None:
        return None
    rest = {monomial: c for monomial, c in polynomial.items() if monomial != tuple(sorted([(letter, 1), (pi, 1)]))}
    if any(index == letter for monomial in rest for index, _ in monomial):
        return None
    return slope, rest
