"""Sets of real numbers: intervals, inequalities in one variable, unions and finite sets brought to one form.

A set is a sorted list of pieces that do not touch; two sets are equal where their pieces have equal ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from rstar_math.grading.bounds import NotNumericError
from rstar_math.grading.comparing.evaluate import approximately
from rstar_math.grading.comparing.polynomials import rational_coefficients, real_roots
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    MINUS_ONE,
    Call,
    Constant,
    Group,
    Named,
    Node,
    Number,
    Power,
    Product,
    Range,
    Relation,
    SetOperation,
    Sum,
    Symbol,
    negated,
    quotient,
    symbols,
)

INFINITY: Node = Constant("oo")
MINUS_INFINITY: Node = negated(INFINITY)
_ZERO = Number(Fraction(0))
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Piece:
    """One interval, or one point where both ends are the same.

    Attributes:
      low, high: its ends as expressions.
      low_at, high_at: their values, for sorting.
      low_closed, high_closed: whether the ends belong to it.
    """

    low: Node
    high: Node
    low_at: float
    high_at: float
    low_closed: bool
    high_closed: bool


def pieces(node: Node, *, tuples_are_intervals: bool = True) -> list[Piece] | None:
    """The set of real numbers that a node describes; None where it describes none that can be worked out.

    Args:
      node: an interval, an inequality, a union, a finite set ...
      tuples_are_intervals: read (a, b) and [a, b] as intervals.
    """
    if len(symbols(node)) > 1:  # conditions on several variables are no set of numbers
        return None
    try:
        found = _pieces(node, tuples_are_intervals)
    except NotNumericError:
        return None
    return _merged(found) if found is not None else None


def is_conditional(node: Node) -> bool:
    """Whether a node can only be a set of numbers: an interval, an inequality, a union."""
    if isinstance(node, (Range, SetOperation)):
        return True
    if isinstance(node, Relation):
        return any(operator not in {"=", "~"} for operator in node.operators)
    if isinstance(node, Named):
        return node.name in {"reals"}
    if not isinstance(node, Group):
        return False
    listed = len(symbols(node)) == 1 and all(is_inequality(item) for item in node.items) and bool(node.items)
    return listed or has_infinite_end(node)


def has_infinite_end(node: Group) -> bool:
    """Whether a pair in brackets can only be an interval, because it has an infinite end."""
    return (
        node.bracket in {"(", "["}
        and len(node.items) == 2
        and (_is_infinite(node.items[0], -1) or _is_infinite(node.items[1], 1))
    )


def _is_infinite(node: Node, sign: int) -> bool:
    if node == INFINITY:
        return sign > 0
    return isinstance(node, Product) and Constant("oo") in node.factors and sign < 0


def _pieces(node: Node, tuples: bool) -> list[Piece] | None:
    match node:
        case Range(low=low, high=high, low_closed=low_closed, high_closed=high_closed):
            return _interval(low, high, low_closed, high_closed)
        case Named(name="reals"):
            return _interval(MINUS_INFINITY, INFINITY, False, False)
        case Named(name="empty"):
            return []
        case Group(items=items, bracket="(" | "[" as bracket) if tuples and len(items) == 2:
            closed = bracket == "["
            return _interval(items[0], items[1], closed, closed)
        case Group(items=items) if any(is_inequality(item) for item in items):
            return _listed_conditions(items, tuples)
        case Group(items=items, bracket="{" | "" | "["):
            return _points(items, tuples)
        case SetOperation(operator=operator, parts=parts):
            return _combined(operator, parts, tuples)
        case Relation():
            return _of_relation(node, tuples)
        case Symbol():
            return None
        case _ if isinstance(node, EXPRESSIONS):
            return _interval(node, node, True, True)
        case _:
            return None


def is_inequality(node: Node) -> bool:
    """Whether a node is an inequality, or a chain with one in it."""
    return isinstance(node, Relation) and any(operator in _FLIPPED and operator != "=" for operator in node.operators)


def _listed_conditions(items: tuple[Node, ...], tuples: bool) -> list[Piece] | None:
    """Inequalities with commas between them: all hold at once where they can (x > 1, x < 5), otherwise one of them.

    None where numbers stand beside them: `x > 1, 3` says neither clearly.
    """
    if not all(isinstance(item, (Relation, SetOperation, Range)) for item in items):
        return None
    at_once = _combined("intersection", items, tuples)
    return at_once or (None if at_once is None else _combined("union", items, tuples))


def _points(items: tuple[Node, ...], tuples: bool) -> list[Piece] | None:
    found: list[Piece] = []
    for item in items:
        piece = _pieces(item, tuples)
        if piece is None:
            return None
        found.extend(piece)
    return found


def _interval(low: Node, high: Node, low_closed: bool, high_closed: bool) -> list[Piece]:
    low_at, high_at = approximately(low), approximately(high)
    if math.isinf(low_at):
        low_closed = False
    if math.isinf(high_at):
        high_closed = False
    if low_at > high_at or (low_at == high_at and not (low_closed and high_closed)):
        return []
    return [Piece(low, high, low_at, high_at, low_closed, high_closed)]


def _combined(operator: str, parts: tuple[Node, ...], tuples: bool) -> list[Piece] | None:
    sets = [_pieces(part, tuples) for part in parts]
    known = [found for found in sets if found is not None]
    if len(known) != len(sets):
        return None
    if operator == "union":
        return [piece for found in known for piece in found]
    result = _merged(known[0])
    for found in known[1:]:
        other = _merged(found)
        result = _intersection(result, _complement(other) if operator == "difference" else other)
    return result


def _same(left: float, right: float) -> bool:
    if math.isinf(left) or math.isinf(right):
        return left == right
    return abs(left - right) <= 1e-12 * max(abs(left), abs(right))


def _merged(found: list[Piece]) -> list[Piece]:
    """The pieces sorted, those that touch joined."""
    result: list[Piece] = []
    for piece in sorted(found, key=lambda piece: (piece.low_at, not piece.low_closed)):
        if result:
            last = result[-1]
            touches = _same(last.high_at, piece.low_at) and (last.high_closed or piece.low_closed)
            if (piece.low_at < last.high_at and not _same(last.high_at, piece.low_at)) or touches:
                longer = piece if piece.high_at > last.high_at and not _same(piece.high_at, last.high_at) else last
                closed = longer.high_closed
                if _same(piece.high_at, last.high_at):
                    closed = piece.high_closed or last.high_closed
                result[-1] = Piece(last.low, longer.high, last.low_at, longer.high_at, last.low_closed, closed)
                continue
        result.append(piece)
    return result


def _intersection(left: list[Piece], right: list[Piece]) -> list[Piece]:
    found: list[Piece] = []
    for a in left:
        for b in right:
            if _same(a.low_at, b.low_at):
                low, low_at, low_closed = a.low, a.low_at, a.low_closed and b.low_closed
            else:
                start = a if a.low_at > b.low_at else b
                low, low_at, low_closed = start.low, start.low_at, start.low_closed
            if _same(a.high_at, b.high_at):
                high, high_at, high_closed = a.high, a.high_at, a.high_closed and b.high_closed
            else:
                end = a if a.high_at < b.high_at else b
                high, high_at, high_closed = end.high, end.high_at, end.high_closed
            if (low_at < high_at and not _same(low_at, high_at)) or (
                _same(low_at, high_at) and low_closed and high_closed
            ):
                found.append(Piece(low, high, low_at, high_at, low_closed, high_closed))
    return _merged(found)


def _complement(found: list[Piece]) -> list[Piece]:
    result: list[Piece] = []
    low, low_at, low_closed = MINUS_INFINITY, -math.inf, False
    for piece in found:
        if piece.low_at > low_at or (_same(piece.low_at, low_at) and low_closed and not piece.low_closed):
            result.append(Piece(low, piece.low, low_at, piece.low_at, low_closed, not piece.low_closed))
        low, low_at, low_closed = piece.high, piece.high_at, not piece.high_closed
    if low_at < math.inf:
        result.append(Piece(low, INFINITY, low_at, math.inf, low_closed, False))
    return result


def _of_relation(relation: Relation, tuples: bool) -> list[Piece] | None:
    """The solution set of a chain of inequalities in one variable, each linear in it or in its absolute value."""
    names = symbols(relation)
    if relation.operators == ("in",):
        return _pieces(relation.sides[1], tuples)
    if len(names) != 1:
        return None
    (name,) = names
    result = _interval(MINUS_INFINITY, INFINITY, False, False)
    for left, operator, right in zip(relation.sides, relation.operators, relation.sides[1:], strict=False):
        if operator not in _FLIPPED:
            return None
        if not symbols(left) and not symbols(right):
            low, high = approximately(left), approximately(right)
            holds = {"<": low < high, "<=": low <= high, ">": low > high, ">=": low >= high}.get(operator, False)
            if not holds:
                return []
            continue
        found = _solved(left, operator, right, name)
        if found is None:
            return None
        result = _intersection(result, _merged(found))
    return result


def _solved(left: Node, operator: str, right: Node, name: str) -> list[Piece] | None:
    """The solutions of one inequality; None where its form is not known."""
    if not symbols(left):
        left, right, operator = right, left, _FLIPPED[operator]
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
    return _ray(bound, _FLIPPED[operator] if rise < 0 else operator)


def _solved_polynomial(node: Node, operator: str) -> list[Piece] | None:
    """The solutions of f > 0 (or another sign) for a polynomial whose real roots are rational, or of a quadratic.

    None where a root has no such form.
    """
    if operator not in {"<", "<=", ">", ">="}:
        return None
    numbers = rational_coefficients(node)
    if numbers is None or not 3 <= len(numbers) <= 7:
        return None
    roots = _real_roots(numbers)
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
            found += _interval(low, high, closed, closed)
    if closed:
        found += [piece for root in roots for piece in _interval(root, root, True, True)]
    return found


def _real_roots(numbers: list[Fraction]) -> list[Node] | None:
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
        root for i, root in enumerate(roots) if not i or not _same(approximately(roots[i - 1]), approximately(root))
    ]


def _divided(numbers: list[Fraction], root: Fraction) -> list[Fraction]:
    """A polynomial divided by x - root, which divides it."""
    found: list[Fraction] = []
    carried = Fraction(0)
    for number in reversed(numbers[1:]):
        carried = number + carried * root
        found.append(carried)
    return found[::-1]


def _between(low: Node, high: Node) -> Fraction:
    return Fraction((approximately(low) + approximately(high)) / 2)


def _beyond(low: Node, high: Node) -> Fraction:
    """A number between two ends of which at least one is infinite."""
    ends = [end for end in (approximately(low), approximately(high)) if math.isfinite(end)]
    return Fraction(0) if not ends else Fraction(ends[0]) + (1 if high == INFINITY else -1)


def _solved_absolute(inside: Node, operator: str, bound: Node, name: str) -> list[Piece] | None:
    below, above = _solved(inside, "<=", bound, name), _solved(inside, ">=", negated(bound), name)
    if below is None or above is None or approximately(bound) < 0:
        return None
    within = _intersection(_merged(below), _merged(above))
    inner = [
        Piece(piece.low, piece.high, piece.low_at, piece.high_at, operator in {"<=", ">"}, operator in {"<=", ">"})
        for piece in within
    ]
    if operator in {"<", "<="}:
        return inner
    return _complement(inner) if operator in {">", ">="} else None


def _ray(bound: Node, operator: str) -> list[Piece] | None:
    match operator:
        case "<" | "<=":
            return _interval(MINUS_INFINITY, bound, False, operator == "<=")
        case ">" | ">=":
            return _interval(bound, INFINITY, operator == ">=", False)
        case "!=":
            return _complement(_interval(bound, bound, True, True))
        case _:
            return _interval(bound, bound, True, True)


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
