"""Conditions of values that are given case by case, and residues."""

from __future__ import annotations

from rstar_math.grading.bounds import TooLargeError, UndefinedError
from rstar_math.grading.comparing.evaluate import NotRationalError, exact
from rstar_math.grading.comparing.polynomials import rational_coefficients
from rstar_math.grading.reading.nodes import (
    Congruence,
    Group,
    Named,
    Node,
    Number,
    Opaque,
    Piecewise,
    Relation,
    SetOperation,
    Symbol,
    symbols,
)

_RUNNING = frozenset("kmnjlt")

_OTHERWISE = Named("true")
_OPPOSITES = {"odd": "even", "even": "odd", "rational": "irrational", "irrational": "rational"}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}


def conditions_written_out(node: Piecewise, other: Piecewise) -> Piecewise:
    """Two cases of which one holds "otherwise", that condition written out.

    Other cases are left as they are, and so are these where `other` says "otherwise" too.
    """
    if len(node.pieces) != 2 or all(_OTHERWISE not in piece for piece in node.pieces):
        return node
    if any(_OTHERWISE in piece for piece in other.pieces):
        return node
    (value, condition), (rest, _) = sorted(node.pieces, key=lambda piece: piece[1] == _OTHERWISE)
    opposite = _opposite(condition)
    return node if opposite is None else Piecewise(((value, condition), (rest, opposite)))


def _opposite(condition: Node) -> Node | None:
    match condition:
        case Relation(sides=(left, right), operators=(operator,)) if operator in _NEGATED:
            return Relation((left, right), (_NEGATED[operator],))
        case SetOperation(operator="intersection" | "union" as operator, parts=parts):
            opposites = [_opposite(part) for part in parts]
            known = tuple(part for part in opposites if part is not None)
            if len(known) != len(parts):
                return None
            return SetOperation("union" if operator == "intersection" else "intersection", known)
        case Opaque(text=text):
            words = text.split()
            changed = [_OPPOSITES.get(word, word) for word in words]
            return Opaque(" ".join(changed)) if changed != words else None
        case _:
            return None


def as_congruence(node: Node) -> Node:
    """x = 7k + 3 as the residue 3 modulo 7, k being any integer; anything else as it is."""
    if not isinstance(node, Relation) or node.operators != ("=",) or not isinstance(node.sides[0], Symbol):
        return node
    names = symbols(node.sides[1])
    if len(names) != 1 or not names <= _RUNNING or node.sides[0].name in names:
        return node
    numbers = rational_coefficients(node.sides[1])
    if numbers is None or len(numbers) != 2 or any(number.denominator != 1 for number in numbers):
        return node
    modulus = abs(int(numbers[1]))
    return Congruence(Number(numbers[0]), modulus) if modulus > 1 else node


def residues(node: Congruence) -> frozenset[int] | None:
    """The residues as the smallest numbers that are not negative; None where one is no integer."""
    items = node.residues.items if isinstance(node.residues, Group) else (node.residues,)
    found = set()
    for item in items:
        if symbols(item):
            return None
        try:
            value = exact(item)
        except (NotRationalError, UndefinedError, TooLargeError):
            return None
        if value.denominator != 1:
            return None
        found.add(int(value) % node.modulus)
    return frozenset(found)
