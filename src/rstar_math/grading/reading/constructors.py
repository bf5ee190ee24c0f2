"""What Python, sympy and numpy print as a name with arguments, and sets by their names."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    Constant,
    Group,
    Matrix,
    Named,
    Node,
    Number,
    Piecewise,
    Product,
    Range,
    Relation,
    SetOperation,
    Sum,
    negated,
)

_COMPARISONS = {
    "Eq": "=", "Equality": "=", "Ne": "!=", "Unequality": "!=", "Lt": "<", "StrictLessThan": "<", "Le": "<=",
    "LessThan": "<=", "Gt": ">", "StrictGreaterThan": ">", "Ge": ">=", "GreaterThan": ">=", "Contains": "in",
}  # fmt: skip
_RANGE_ENDS = {
    "Interval": (True, True),
    "Interval.open": (False, False),
    "Interval.Lopen": (False, True),
    "Interval.Ropen": (True, False),
}
OF_ONE = frozenset({"Symbol", "str", "np.str_"})
"""Constructors whose first argument is the value, whatever follows it."""


def constructed(name: str, nodes: Sequence[Node]) -> Node:
    """The value of a constructor by its positional arguments.

    Raises:
      UnparsedError: the constructor does not take these.
    """
    first = nodes[0] if nodes else None
    one = first if len(nodes) == 1 else None
    items = one.items if isinstance(one, Group) else tuple(nodes)
    match name, len(nodes):
        case _ if name in OF_ONE and first is not None:
            return first
        case _, 2 if name in _COMPARISONS:
            return Relation((nodes[0], nodes[1]), (_COMPARISONS[name],))
        case "Piecewise", _:
            pairs = [node.items for node in nodes if isinstance(node, Group) and len(node.items) == 2]
            if len(pairs) == len(nodes) > 0:
                return Piecewise(tuple((value, condition) for value, condition in pairs))
        case (("And" | "Or" | "Union" | "Intersection"), _):
            return SetOperation("intersection" if name in {"And", "Intersection"} else "union", tuple(nodes))
        case _, (2 | 3 | 4) if name in _RANGE_ENDS:
            low_closed, high_closed = _RANGE_ENDS[name]
            if flags := nodes[2:]:
                low_closed = flags[0] != Named("true")
                high_closed = len(flags) < 2 or flags[1] != Named("true")
            return Range(nodes[0], nodes[1], low_closed, high_closed)
        case "Complement", 2:
            return SetOperation("difference", (nodes[0], nodes[1]))
        case "FiniteSet", _:
            return Group(tuple(nodes), "{")
        case (("set" | "frozenset"), _):
            return Group(items, "{")
        case (("list" | "List" | "deque"), _):
            return Group(items, "[")
        case (("Tuple" | "tuple" | "Point" | "Point2D" | "Point3D" | "Vector" | "Vector2D" | "vector"), _):
            return Group(items, "(")
        case (("dict" | "OrderedDict" | "Dict"), 1):
            return nodes[0]
        case _, 1 if "atrix" in name or name.endswith("array"):
            return _matrix_of(nodes[0], is_sympy="atrix" in name)
        case _, 3 if ("atrix" in name or name.endswith("array")) and isinstance(nodes[2], Group):
            return _matrix_of_shape(nodes)
        case (("mpc" | "complex" | "np.complex128"), 2):
            return Sum((nodes[0], Product((nodes[1], Constant("i")))))
        case _:
            pass
    if isinstance(one, (*EXPRESSIONS, Named)):
        return one
    raise UnparsedError(f"{name} of {len(nodes)} arguments")


def named_set(name: str) -> Node:
    """A set by its name, as an interval where it is one."""
    zero, infinity = Number(Fraction(0)), Constant("oo")
    match name:
        case "positive reals" | "nonnegative reals":
            return Range(zero, infinity, name == "nonnegative reals", False)
        case "negative reals" | "nonpositive reals":
            return Range(negated(infinity), zero, False, name == "nonpositive reals")
        case _:
            return Named(name)


def _matrix_of(node: Node, *, is_sympy: bool) -> Node:
    """The matrix of nested lists; of a flat list, sympy's column or numpy's vector."""
    rows = matrix_rows(node)
    if rows is not None:
        return Matrix(rows)
    if isinstance(node, Group) and is_sympy:
        return Matrix(tuple((item,) for item in node.items))
    return node


def _matrix_of_shape(nodes: Sequence[Node]) -> Node:
    """Matrix(2, 2, [a, b, c, d])."""
    height, width, cells = nodes
    if isinstance(height, Number) and isinstance(width, Number) and isinstance(cells, Group):
        num_rows, num_columns = int(height.value), int(width.value)
        if num_rows > 0 and num_columns > 0 and num_rows * num_columns == len(cells.items):
            return Matrix(tuple(tuple(cells.items[i * num_columns : (i + 1) * num_columns]) for i in range(num_rows)))
    raise UnparsedError("a matrix whose cells do not fit its shape")


def matrix_rows(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    """The rows of a list of lists of equal length; None for anything else."""
    if not isinstance(node, Group) or not node.items:
        return None
    rows: list[tuple[Node, ...]] = []
    for item in node.items:
        if not isinstance(item, Group) or item.bracket not in {"[", "("} or not item.items:
            return None
        if any(isinstance(cell, Group) for cell in item.items):
            return None
        rows.append(item.items)
    return tuple(rows) if len({len(row) for row in rows}) == 1 else None
