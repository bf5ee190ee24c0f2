"""Sets of numbers and what describes them: intervals, inequalities in one variable or several, unions."""

from __future__ import annotations

from rstar_math.grading.comparing import real_sets, symbolic
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.comparing.values import compare_expressions
from rstar_math.grading.reading.nodes import (
    BOUND,
    EXPRESSIONS,
    SCALARS,
    Group,
    Node,
    Range,
    Relation,
    SetOperation,
    symbols,
)


def compare_sets(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Sets of real numbers by their pieces; what is none by its form."""
    left, right = real_sets.pieces(gold), real_sets.pieces(prediction)
    if left is None or right is None:
        return _conditions(gold, prediction, by)
    if isinstance(gold, SCALARS) or isinstance(prediction, SCALARS):
        return Match(False, "interval")
    if _other_variable(gold, prediction):
        return Match(False, "inequality")
    if len(left) != len(right):
        return Match(False, "interval")
    contested = False
    for a, b in zip(left, right, strict=True):
        if (a.low_closed, a.high_closed) != (b.low_closed, b.high_closed):
            return Match(False, "interval_ends")
        for first, second in ((a.low, b.low), (a.high, b.high)):
            found = compare_expressions(first, second, by)
            if not found.equal:
                return Match(False, "interval", found.contested)
            contested |= found.contested
    return Match(True, "interval", contested)


def _conditions(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Intervals and inequalities with variables in their bounds, or in several variables."""
    if isinstance(gold, SetOperation) and isinstance(prediction, SetOperation):
        if gold.operator != prediction.operator or len(gold.parts) != len(prediction.parts):
            return Match(False, "set_operation")
        if gold.operator == "difference":
            first = by.compare(gold.parts[0], prediction.parts[0])
            return by.matching(gold.parts[1:], prediction.parts[1:], "set_operation") if first.equal else first
        return by.matching(gold.parts, prediction.parts, "set_operation")
    gold, prediction = _as_range(gold), _as_range(prediction)
    if isinstance(gold, Range) and isinstance(prediction, Range):
        if (gold.low_closed, gold.high_closed) != (prediction.low_closed, prediction.high_closed):
            return Match(False, "interval_ends")
        return by.in_order((gold.low, gold.high), (prediction.low, prediction.high), "interval")
    if isinstance(gold, Relation) and isinstance(prediction, Relation):
        return _inequalities(gold, prediction, by)
    return Match(False, "set")


def _inequalities(gold: Relation, prediction: Relation, by: Comparison) -> Match:
    """Two inequalities as f > 0 with proportional f, or chains side by side."""
    first, second = _as_positive(gold), _as_positive(prediction)
    if first and second:
        same = first[1] == second[1] and symbolic.proportional(first[0], second[0], positive=True)
        return Match(same, "inequality")
    for relation in (prediction, _reversed(prediction)):
        if gold.operators == relation.operators:
            found = by.in_order(gold.sides, relation.sides, "inequality")
            if found.equal:
                return found
    return Match(False, "inequality")


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _as_range(node: Node) -> Node:
    """A pair in brackets as an interval."""
    if isinstance(node, Group) and len(node.items) == 2 and node.bracket in {"(", "["}:
        return Range(node.items[0], node.items[1], node.bracket == "[", node.bracket == "[")
    return node


def _other_variable(gold: Node, prediction: Node) -> bool:
    """Whether two conditions are on one variable each, and not the same: x > 3 and y > 3."""
    names = [symbols(node) - {BOUND} for node in (gold, prediction)]
    return len(names[0]) == len(names[1]) == 1 and names[0] != names[1]


def _as_positive(relation: Relation) -> tuple[Node, bool] | None:
    """(f, strict) of an inequality f > 0 or f >= 0."""
    if len(relation.operators) != 1 or not all(isinstance(side, EXPRESSIONS) for side in relation.sides):
        return None
    left, right = relation.sides
    match relation.operators[0]:
        case ">" | ">=" as operator:
            return symbolic.difference(left, right), operator == ">"
        case "<" | "<=" as operator:
            return symbolic.difference(right, left), operator == "<"
        case _:
            return None


def _reversed(relation: Relation) -> Relation:
    operators = tuple(_MIRRORED.get(operator, operator) for operator in reversed(relation.operators))
    return Relation(tuple(reversed(relation.sides)), operators)
