"""The numbers that solve one inequality: linear in its variable or in its absolute value, or polynomial."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from rstar_math.grading.comparing.evaluate import approximately
from rstar_math.grading.comparing.pieces import (
    INFINITY,
    MINUS_INFINITY,
    Piece,
    complement,
    intersection,
    interval,
    merged,
)
from rstar_math.grading.comparing.quotients import rational_coefficients
from rstar_math.grading.comparing.roots import roots_of
from rstar_math.grading.reading.nodes import (
    MINUS_ONE,
    Call,
    Node,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    negated,
    quotient,
    symbols,
)

_ZERO = Number(Fraction(0))
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def solved(left: Node, operator: str, right: Node, name: str) -> list[Piece] | None:
    """The solutions of one inequality; None where its form is not known."""
    if not symbols(left):
        left, right, operator = right, left, FLIPPED[operator]
    if not symbols(right) and isinstance(left, Call) and left.name == "abs":
        return _solved_absolute(left.arguments[0], operator, right, name)
    line = _line(Sum((left, negated(right))), name)
    if line is None:
        return _solved_polynomial(Sum((left, negated(right))), operator)
    slope, constant = line
    rise = approximately(slope)
    if rise == 0 or not math.isfinite(rise):
        return None
    bound = quotient(negated(constant), slope) if slope != Number(Fraction(1)) else negated(constant)
    return _ray(bound, FLIPPED[operator] if rise < 0 else operator)


def _solved_polynomial(node: Node, operator: str) -> list[Piece] | None:
    """The solutions of f > 0 (or another sign) for a polynomial whose real roots are rational, or of a quadratic.

    None where a root has no such form.
    """
    if operator not in {"<", "<=", ">", ">="}:
        return None
    numbers = rational_coefficients(node)
    if numbers is None or not 3 <= len(numbers) <= 7:
        return None
    roots = roots_of(numbers)
    if roots is None:
        return None
    closed = operator in {"<=", ">="}
    wanted = 1 if operator in {">", ">="} else -1
    ends: list[Node] = [MINUS_INFINITY, *roots, INFINITY]
    found = []
    for i, (low, high) in enumerate(pairwise(ends)):
        inside = _between(low, high) if 0 < i < len(ends) - 2 else _beyond(low, high)
        value = sum(number * inside**power for power, number in enumerate(numbers))
        if (value > 0) - (value < 0) == wanted:
            found += interval(low, high, closed, closed)
    if closed:
        found += [piece for root in roots for piece in interval(root, root, True, True)]
    return found


def _between(low: Node, high: Node) -> Fraction:
    return Fraction((approximately(low) + approximately(high)) / 2)


def _beyond(low: Node, high: Node) -> Fraction:
    """A number between two ends of which at least one is infinite."""
    ends = [end for end in (approximately(low), approximately(high)) if math.isfinite(end)]
    return Fraction(0) if not ends else Fraction(ends[0]) + (1 if high == INFINITY else -1)


def _solved_absolute(inside: Node, operator: str, bound: Node, name: str) -> list[Piece] | None:
    below, above = solved(inside, "<=", bound, name), solved(inside, ">=", negated(bound), name)
    if below is None or above is None or approximately(bound) < 0:
        return None
    within = intersection(merged(below), merged(above))
    inner = [
        Piece(piece.low, piece.high, piece.low_at, piece.high_at, operator in {"<=", ">"}, operator in {"<=", ">"})
        for piece in within
    ]
    if operator in {"<", "<="}:
        return inner
    return complement(inner) if operator in {">", ">="} else None


def _ray(bound: Node, operator: str) -> list[Piece] | None:
    match operator:
        case "<" | "<=":
            return interval(MINUS_INFINITY, bound, False, operator == "<=")
        case ">" | ">=":
            return interval(bound, INFINITY, operator == ">=", False)
        case "!=":
            return complement(interval(bound, bound, True, True))
        case _:
            return interval(bound, bound, True, True)


def _line(node: Node, name: str) -> tuple[Node, Node] | None:
    """(slope, constant) of an expression linear in a variable; None for anything else."""
    one: Node = Number(Fraction(1))
    if not symbols(node):
        return _ZERO, node
    match node:
        case Symbol():
            return one, _ZERO
        case Sum(terms=terms):
            lines = [_line(term, name) for term in terms]
            known = [line for line in lines if line is not None]
            if len(known) != len(lines):
                return None
            return _added([line[0] for line in known]), _added([line[1] for line in known])
        case Product(factors=factors):
            with_variable = [factor for factor in factors if symbols(factor)]
            if len(with_variable) != 1:
                return None
            line = _line(with_variable[0], name)
            if line is None:
                return None
            scale = tuple(factor for factor in factors if not symbols(factor))
            return _scaled(line[0], scale), _scaled(line[1], scale)
        case Power(base=base, exponent=exponent) if exponent == one:
            return _line(base, name)
        case _:
            return None


def _added(parts: list[Node]) -> Node:
    kept = [part for part in parts if part != _ZERO]
    if not kept:
        return _ZERO
    if all(isinstance(part, Number) and not part.digits for part in kept):
        return Number(sum((part.value for part in kept if isinstance(part, Number)), Fraction(0)))
    return kept[0] if len(kept) == 1 else Sum(tuple(kept))


def _scaled(part: Node, scale: tuple[Node, ...]) -> Node:
    if part == _ZERO or not scale:
        return part
    if scale == (MINUS_ONE,):
        return negated(part)
    if all(isinstance(factor, Number) and not factor.digits for factor in (part, *scale)):
        value = Fraction(1)
        for factor in (part, *scale):
            assert isinstance(factor, Number)
            value *= factor.value
        return Number(value)
    return Product((*scale, part))
