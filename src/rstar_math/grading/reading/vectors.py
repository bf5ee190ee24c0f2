"""Determinants, and vectors that are written as sums of unit vectors."""

from __future__ import annotations

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    MINUS_ONE,
    Call,
    Constant,
    Group,
    Matrix,
    Node,
    Number,
    Product,
    Sum,
    Symbol,
    negated,
    walk,
    with_leaves,
)

_AXES = {"unit i": 0, "unit j": 1, "unit k": 2}
_PLAIN_AXES: dict[Node, int] = {Constant("i"): 0, Symbol("j"): 1, Symbol("k"): 2}
_MAX_ORDER = 4


def determinant(matrix: Matrix) -> Node:
    """The determinant of a small matrix, expanded along its first row.

    Raises:
      UnparsedError: it is not square, or larger than 4 by 4.
    """
    rows = matrix.rows
    if len(rows) != len(rows[0]) or len(rows) > _MAX_ORDER:
        raise UnparsedError(f"a determinant of {len(rows)} by {len(rows[0])} cells")
    if not all(isinstance(cell, EXPRESSIONS) for row in rows for cell in row):
        raise UnparsedError("a determinant of what are no numbers")
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for column, cell in enumerate(rows[0]):
        minor = Matrix(tuple((*row[:column], *row[column + 1 :]) for row in rows[1:]))
        term = Product((cell, determinant(minor)))
        terms.append(negated(term) if column % 2 else term)
    return Sum(tuple(terms))


def with_vectors(node: Node) -> Node:
    """A sum of multiples of marked unit vectors as a tuple; anything else as it is."""
    if not any(isinstance(part, Symbol) and part.name in _AXES for part in walk(node)):
        return node
    marked: dict[Node, int] = {Symbol(name): axis for name, axis in _AXES.items()}
    vector = _vector(node, marked)
    if vector is not None:
        return vector
    return with_leaves(
        node, {Symbol("unit i"): Constant("i"), Symbol("unit j"): Symbol("j"), Symbol("unit k"): Symbol("k")}
    )


def as_point(node: Node) -> Node:
    """(1, 2) + t(3, 4) as one tuple; anything else as it is."""
    if not isinstance(node, Sum):
        return node
    rows: list[tuple[Node, ...]] = []
    for term in node.terms:
        row = _coordinates(term)
        if row is None or (rows and len(row) != len(rows[0])):
            return node
        rows.append(row)
    return Group(tuple(Sum(column) for column in zip(*rows, strict=True)), "(")


def _coordinates(term: Node) -> tuple[Node, ...] | None:
    """The coordinates of a tuple, or of a multiple of one."""
    match term:
        case Group(items=items, bracket="(" | "<") if len(items) > 1:
            return items if all(isinstance(item, EXPRESSIONS) for item in items) else None
        case Call(name="apply", arguments=(Symbol() as factor, first, second, *rest)):
            return tuple(Product((factor, item)) for item in (first, second, *rest))
        case Product(factors=factors):
            rows = [(factor, row) for factor in factors if (row := _coordinates(factor)) is not None]
            if len(rows) != 1:
                return None
            others = tuple(factor for factor in factors if factor is not rows[0][0])
            if not all(isinstance(other, EXPRESSIONS) for other in others):
                return None
            return tuple(Product((*others, item)) for item in rows[0][1])
        case _:
            return None


def as_plain_vector(node: Node) -> Node:
    """3i - j + 2k as a tuple, for a comparison with one; anything else as it is."""
    return (_vector(node, _PLAIN_AXES) if isinstance(node, Sum) else None) or node


def _vector(node: Node, axes: dict[Node, int]) -> Group | None:
    terms = node.terms if isinstance(node, Sum) else (node,)
    coordinates: dict[int, Node] = {}
    for term in terms:
        found = _multiple(term, axes)
        if found is None or found[0] in coordinates:
            return None
        coordinates[found[0]] = found[1]
    if not coordinates:
        return None
    return Group(tuple(coordinates.get(axis, _ZERO) for axis in range(max(2, max(coordinates) + 1))), "(")


_ZERO = Number(MINUS_ONE.value + 1)
_ONE = Number(MINUS_ONE.value + 2)


def _multiple(term: Node, axes: dict[Node, int]) -> tuple[int, Node] | None:
    """(axis, coefficient) of a multiple of one unit vector; None for anything else."""
    if term in axes:
        return axes[term], _ONE
    if not isinstance(term, Product):
        return None
    found: tuple[int, Node] | None = None
    others: list[Node] = []
    for factor in term.factors:
        inner = _multiple(factor, axes)
        if inner is None:
            others.append(factor)
        elif found is None:
            found = inner
        else:
            return None
    if found is None or any(part in axes for other in others for part in walk(other)):
        return None
    factors = (*others, *(() if found[1] == _ONE else (found[1],)))
    return found[0], factors[0] if len(factors) == 1 else Product(factors) if factors else _ONE
