"""Equations that say the same after a transformation.

Solved for another quantity, as a chain of equal sides, as a function of another letter.
"""

from __future__ import annotations

from dataclasses import dataclass

from rstar_math.grading.bounds import UndefinedError
from rstar_math.grading.comparing import polynomials
from rstar_math.grading.comparing.polynomials import Polynomial, UnprovedError
from rstar_math.grading.comparing.quotients import Quotient, Ring
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    Call,
    Constant,
    Node,
    Number,
    Power,
    Relation,
    Sum,
    Symbol,
    negated,
    renamed,
    symbols,
    walk,
    with_constant_named,
)

_COORDINATES = frozenset("xyz")
"""Letters of points in the plane or in space: there, every point of a curve counts."""


_COUNTERS = frozenset("kmnjlt")
"""Letters that run over integers where they stand alone on the right: n = 4k + 1."""

_PLANE = frozenset("yzfghvF")
"""Letters on the left of a function or a curve, where the letter on the right is a quantity of its own."""


@dataclass(frozen=True, slots=True)
class _Zeros:
    """An equation as numerator / denominators = 0.

    Attributes:
      quotient: of the difference of its sides.
      solved: whether one side is a variable that the other does not contain.
    """

    quotient: Quotient
    solved: bool


def with_names_of(node: Relation, other: Relation) -> Relation:
    """An equation in which e or i stands for a quantity because it does in the other: V = IR beside I = V/R."""
    for letter, constant in (("I", "i"), ("i", "i"), ("E", "e"), ("e", "e")):
        if letter in symbols(other) and letter not in symbols(node) and Constant(constant) in set(walk(node)):
            changed = with_constant_named(node, constant, letter)
            if isinstance(changed, Relation):
                node = changed
    return node


def with_same_arguments(gold: Relation, prediction: Relation) -> Relation | None:
    """The prediction with the reference's letters where both define one function: f(y) = y^2 as f(x) = x^2.

    None where both define one function, of letters that cannot be exchanged: then they say different things.
    """
    match gold.sides[0], prediction.sides[0]:
        case Call(name="apply", arguments=(f, *theirs)), Call(name="apply", arguments=(g, *own)) if f == g:
            before = [symbol.name for symbol in own if isinstance(symbol, Symbol)]
            after = [symbol.name for symbol in theirs if isinstance(symbol, Symbol)]
            if len(before) != len(own) or len(after) != len(theirs) or before == after:
                return prediction
            if len(before) != len(after):
                return None
            if len(set(before)) != len(before) or len(set(after)) != len(after):
                return prediction
            free = symbols(prediction) - set(before)
            if free & set(after) or symbols(gold) - set(after) & set(before):
                return None
            changed = renamed(prediction, dict(zip(before, after, strict=True)))
            return changed if isinstance(changed, Relation) else prediction
        case Symbol(name=theirs_name), Symbol(name=own_name):
            return _with_index(prediction, gold, own_name, theirs_name)
        case _:
            return prediction


def _with_index(prediction: Relation, gold: Relation, own: str, theirs: str) -> Relation:
    """a_k = 3k - 1 with the index of a_n = 3n - 1; n = 4m + 1 with the letter of n = 4k + 1."""
    (head, _, before), (other_head, _, after) = own.partition("_"), theirs.partition("_")
    if not before and not after and head == other_head:
        letters = [symbols(node) - {own} for node in (prediction, gold)]
        if len(letters[0]) == len(letters[1]) == 1 and (letters[0] | letters[1]) <= _COUNTERS and own not in _PLANE:
            (before,), (after,) = letters
            head = ""
    if head == other_head or not head:
        is_index = len(before) == len(after) == 1 and before != after and before.isalpha() and after.isalpha()
        if is_index and after not in symbols(prediction) and before not in symbols(gold):
            changed = renamed(prediction, {before: after, **({own: theirs} if head else {})})
            return changed if isinstance(changed, Relation) else prediction
    return prediction


def same_solutions(gold: Relation, prediction: Relation) -> bool:
    """Whether two equations, or chains of them, are proved to have the same solutions.

    Differs from equality of sets of points for formulas between quantities: `F = ma` and `a = F/m` are the same,
    though the second does not speak of m = 0. Equations in x, y and z alone are curves, and must agree everywhere.
    """
    gold, prediction = _without_logarithm(gold), _without_logarithm(prediction)
    if symbols(gold) != symbols(prediction) or not symbols(gold):
        return False
    ring = Ring()
    try:
        left, right = _zeros(gold, ring), _zeros(prediction, ring)
    except (UnprovedError, UndefinedError):
        return False
    if left is None or right is None:
        return False
    if len(left) == len(right) == 1:
        return _same(left[0], right[0], symbols(gold))
    if any(zeros.quotient.denominators for zeros in (*left, *right)):
        return False
    numerators = [[zeros.quotient.numerator for zeros in side] for side in (left, right)]
    if any(polynomials.degree(numerator) != 1 for side in numerators for numerator in side):
        return False
    if not all(isinstance(key, Symbol) for side in numerators for poly in side for key in ring.variables(poly)):
        return False
    return polynomials.same_span(*numerators)


def _without_logarithm(relation: Relation) -> Relation:
    """ln y = x as y = e^x, and logarithms to the base of a number likewise; anything else as it is."""
    match relation.sides:
        case (Call(name="ln", arguments=(inside,)), other) | (other, Call(name="ln", arguments=(inside,))):
            return Relation((inside, Power(Constant("e"), other)), relation.operators)
        case (Call(name="log", arguments=(inside, Number() as base)), other) | (
            other,
            Call(name="log", arguments=(inside, Number() as base)),
        ) if base.value > 0 and base.value != 1:
            return Relation((inside, Power(base, other)), relation.operators)
        case _:
            return relation


def _zeros(relation: Relation, ring: Ring) -> list[_Zeros] | None:
    """The equations of a chain, each as f = 0; None where a side is no expression."""
    if any(operator != "=" for operator in relation.operators):
        return None
    if not all(isinstance(side, EXPRESSIONS) for side in relation.sides):
        return None
    found = []
    for left, right in zip(relation.sides, relation.sides[1:], strict=False):
        quotient = ring.quotient(Sum((left, negated(right))))
        if not quotient.numerator:
            return None
        found.append(_Zeros(quotient, _is_solved(left, right) or _is_solved(right, left)))
    return found


def _is_solved(side: Node, other: Node) -> bool:
    return isinstance(side, Symbol) and side.name not in symbols(other)


def _same(left: _Zeros, right: _Zeros, names: frozenset[str]) -> bool:
    first, second = left.quotient, right.quotient
    if polynomials.monic(first.numerator) != polynomials.monic(second.numerator):
        return False
    if sorted(map(_text, first.denominators)) == sorted(map(_text, second.denominators)):
        return True
    if (left.solved or right.solved) and not names <= _COORDINATES and len(names) > 1:
        return True
    return all(_never_zero(first.numerator, factor) for factor in (*first.denominators, *second.denominators))


def _text(polynomial: Polynomial) -> str:
    return repr(sorted(polynomial.items()))


def _never_zero(numerator: Polynomial, factor: Polynomial) -> bool:
    """Whether a numerator is proved to have no zero where a factor of a denominator is 0."""
    line = polynomials.line(factor)
    if line is None:
        return False
    index, slope, constant = line
    rest = polynomials.substituted(numerator, index, -constant / slope)
    return bool(rest) and polynomials.is_constant(rest)
