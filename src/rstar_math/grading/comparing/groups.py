"""Several values: named ones, matrices, tuples, lists and sets."""

from __future__ import annotations

from rstar_math.grading import bounds
from rstar_math.grading.comparing import real_sets
from rstar_math.grading.comparing.canonical import is_equation, named_values
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.reading.constructors import matrix_rows
from rstar_math.grading.reading.nodes import Group, Matrix, Node


def compare_mappings(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Values by name, of which one side may leave out the names."""
    left = named_values(gold)
    right = named_values(prediction)
    if left is not None and right is not None:
        if left.keys() == right.keys():
            return by.in_order([left[name] for name in left], [right[name] for name in left], "named_values")
        return Match(False, "named_values")
    named, other = (left, prediction) if left is not None else (right, gold)
    if named is None or not isinstance(other, Group) or len(other.items) != len(named):
        return Match(False, "named_values")
    if other.bracket == "{" or any(is_equation(item) for item in other.items):  # x = 1, 2 is no x = 1, y = 2
        return Match(False, "named_values")
    if left is not None:  # the reference gives its values in the order that it means
        return by.in_order(tuple(named.values()), other.items, "named_values")
    return by.in_order(other.items, tuple(named[name] for name in sorted(named)), "named_values")


def compare_matrices(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Matrices cell by cell; of one row or column, also against a list or a tuple."""
    left, right = _rows(gold), _rows(prediction)
    if left is not None and right is not None:
        if _shape(left) == _shape(right):
            return by.in_order(_cells(left), _cells(right), "matrix")
        if 1 in _shape(left) and _shape(left) == tuple(reversed(_shape(right))):
            found = by.in_order(_cells(left), _cells(right), "matrix")
            return by.contested("transposed_vector") if found.equal else Match(False, "matrix")
        return Match(False, "matrix")
    rows, flat = (left, prediction) if left is not None else (right, gold)
    if rows is None or not isinstance(flat, Group) or flat.bracket == "{" or 1 not in _shape(rows):
        if rows is not None and _shape(rows) == (1, 1):
            return by.compare(_cells(rows)[0] if left is not None else gold, prediction if left else rows[0][0])
        return Match(False, "matrix")
    if left is not None:
        found = by.in_order(_cells(rows), flat.items, "matrix")
    else:
        found = by.in_order(flat.items, _cells(rows), "matrix")
    return by.contested("flat_vector") if found.equal else found


def compare_groups(gold: Group, prediction: Node, by: Comparison) -> Match:
    """Tuples and pairs in order, other lists and sets in any order."""
    if not isinstance(prediction, Group):
        return Match(False, "number_of_answers")
    if gold.bracket in {"(", "<"}:
        return _tuples(gold, prediction, by)
    if gold.bracket == "[" and len(gold.items) == 2 and prediction.bracket in {"[", "("}:
        # most likely a closed interval: in order, and never equal to an open one
        if prediction.bracket == "(":
            if real_sets.pieces(gold):
                return Match(False, "interval_ends")
            found = by.in_order(gold.items, prediction.items, "list")
            return by.contested("list_for_tuple") if found.equal else found
        return by.in_order(gold.items, prediction.items, "list")
    if prediction.bracket in {"(", "<"}:
        found = _answers(gold, prediction, by)
        return by.contested("list_for_tuple") if found.equal else found
    return _answers(gold, prediction, by)


def _tuples(gold: Group, prediction: Group, by: Comparison) -> Match:
    if len(gold.items) != len(prediction.items) or prediction.bracket == "{":
        return Match(False, "tuple")
    found = by.in_order(gold.items, prediction.items, "tuple")
    if found.equal and prediction.bracket in {"[", ""}:
        return by.contested("list_for_tuple")
    return found


def _answers(gold: Group, prediction: Group, by: Comparison) -> Match:
    """Several answers in any order."""
    if not gold.items or not prediction.items:
        return Match(gold.items == prediction.items, "empty_set")
    if len(gold.items) == len(prediction.items):
        return by.matching(gold.items, prediction.items, "answers")
    if len(prediction.items) > len(gold.items):
        return without_repetition(gold, prediction, by)
    return Match(False, "number_of_answers")


def without_repetition(gold: Node, prediction: Group, by: Comparison) -> Match:
    """A prediction that gives some answer more than once."""
    if len(prediction.items) > bounds.MAX_ITEMS:
        return Match(False, "number_of_answers")
    kept: list[Node] = []
    for item in prediction.items:
        if not any(by.compare(item, other).equal for other in kept):
            kept.append(item)
    items = gold.items if isinstance(gold, Group) else (gold,)
    if len(kept) != len(items) or len(kept) == len(prediction.items):
        return Match(False, "number_of_answers")
    found = by.matching(items, tuple(kept), "answers")
    return by.contested("repeated_answers") if found.equal else Match(False, "number_of_answers")


def _rows(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    if isinstance(node, Matrix):
        return node.rows
    return matrix_rows(node) if isinstance(node, Group) and node.bracket == "[" else None


def _shape(rows: tuple[tuple[Node, ...], ...]) -> tuple[int, int]:
    return len(rows), len(rows[0])


def _cells(rows: tuple[tuple[Node, ...], ...]) -> tuple[Node, ...]:
    return tuple(cell for row in rows for cell in row)
