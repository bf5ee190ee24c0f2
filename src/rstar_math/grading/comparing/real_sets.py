"""What describes a set of real numbers: intervals, inequalities in one variable, unions and finite sets."""

from __future__ import annotations

from rstar_math.grading.bounds import NotNumericError
from rstar_math.grading.comparing.evaluate import approximately
from rstar_math.grading.comparing.inequalities import FLIPPED, solved
from rstar_math.grading.comparing.pieces import (
    INFINITY,
    MINUS_INFINITY,
    Piece,
    complement,
    intersection,
    interval,
    merged,
)
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    Constant,
    Group,
    Named,
    Node,
    Product,
    Range,
    Relation,
    SetOperation,
    Symbol,
    symbols,
)


def pieces(node: Node) -> list[Piece] | None:
    """The set of real numbers that a node describes; None where it describes none that can be worked out."""
    if len(symbols(node)) > 1:  # conditions on several variables are no set of numbers
        return None
    try:
        found = _pieces(node)
    except NotNumericError:
        return None
    return merged(found) if found is not None else None


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


def _pieces(node: Node) -> list[Piece] | None:
    match node:
        case Range(low=low, high=high, low_closed=low_closed, high_closed=high_closed):
            return interval(low, high, low_closed, high_closed)
        case Named(name="reals"):
            return interval(MINUS_INFINITY, INFINITY, False, False)
        case Named(name="empty"):
            return []
        case Group(items=items, bracket="(" | "[" as bracket) if len(items) == 2:
            closed = bracket == "["
            return interval(items[0], items[1], closed, closed)
        case Group(items=items) if any(is_inequality(item) for item in items):
            return _listed_conditions(items)
        case Group(items=items, bracket="{" | "" | "["):
            return _points(items)
        case SetOperation(operator=operator, parts=parts):
            return _combined(operator, parts)
        case Relation():
            return _of_relation(node)
        case Symbol():
            return None
        case _ if isinstance(node, EXPRESSIONS):
            return interval(node, node, True, True)
        case _:
            return None


def is_inequality(node: Node) -> bool:
    """Whether a node is an inequality, or a chain with one in it."""
    return isinstance(node, Relation) and any(operator in FLIPPED and operator != "=" for operator in node.operators)


def _listed_conditions(items: tuple[Node, ...]) -> list[Piece] | None:
    """Inequalities with commas between them: all hold at once where they can (x > 1, x < 5), otherwise one of them.

    None where numbers stand beside them: `x > 1, 3` says neither clearly.
    """
    if not all(isinstance(item, (Relation, SetOperation, Range)) for item in items):
        return None
    at_once = _combined("intersection", items)
    return at_once or (None if at_once is None else _combined("union", items))


def _points(items: tuple[Node, ...]) -> list[Piece] | None:
    found: list[Piece] = []
    for item in items:
        piece = _pieces(item)
        if piece is None:
            return None
        found.extend(piece)
    return found


def _combined(operator: str, parts: tuple[Node, ...]) -> list[Piece] | None:
    sets = [_pieces(part) for part in parts]
    known = [found for found in sets if found is not None]
    if len(known) != len(sets):
        return None
    if operator == "union":
        return [piece for found in known for piece in found]
    result = merged(known[0])
    for found in known[1:]:
        other = merged(found)
        result = intersection(result, complement(other) if operator == "difference" else other)
    return result


def _of_relation(relation: Relation) -> list[Piece] | None:
    """The solution set of a chain of inequalities in one variable, each linear in it or in its absolute value."""
    names = symbols(relation)
    if relation.operators == ("in",):
        return _pieces(relation.sides[1])
    if len(names) != 1:
        return None
    (name,) = names
    result = interval(MINUS_INFINITY, INFINITY, False, False)
    for left, operator, right in zip(relation.sides, relation.operators, relation.sides[1:], strict=False):
        if operator not in FLIPPED:
            return None
        if not symbols(left) and not symbols(right):
            low, high = approximately(left), approximately(right)
            holds = {"<": low < high, "<=": low <= high, ">": low > high, ">=": low >= high}.get(operator, False)
            if not holds:
                return []
            continue
        found = solved(left, operator, right, name)
        if found is None:
            return None
        result = intersection(result, merged(found))
    return result
