"""Letters before brackets: functions where they are applied throughout, factors where they also stand alone."""

from __future__ import annotations

from functools import partial

from rstar_math.grading.comparing.exact import FUNCTION_LETTERS
from rstar_math.grading.reading.nodes import (
    MINUS_ONE,
    Call,
    Matrix,
    Node,
    Power,
    Range,
    Relation,
    SetOperation,
    Symbol,
    children,
    symbols,
    walk,
    with_parts,
)


def with_functions(gold: Node, prediction: Node) -> tuple[Node, Node]:
    """Two expressions in which letters such as f are functions of which nothing is known, if they are only applied.

    f(g(x)) is not g(f(x)) then, nor f(2x) twice f(x). Beside `fx - f`, f(x - 1) is a product and stays one.
    """
    if not any(isinstance(part, Call) and part.name == "apply" for node in (gold, prediction) for part in walk(node)):
        return gold, prediction
    applied = _applied(gold) | _applied(prediction)
    alone = _standing_alone(gold) | _standing_alone(prediction)
    names = frozenset(name for name in applied - alone if name.rstrip("'") in FUNCTION_LETTERS)
    return _with(gold, names), _with(prediction, names)


def has_functions(node: Node) -> bool:
    """Whether `with_functions` has put functions into a node."""
    return any(isinstance(part, Call) and part.name.startswith("function ") for part in walk(node))


def _head(node: Node) -> tuple[str, str] | None:
    """(letter, name of the function) of a call: f and its inverse have the same letter; None for anything else."""
    match node:
        case Call(name="apply", arguments=(Symbol(name=name), *_)):
            return name, name
        case Call(name="apply", arguments=(Power(base=Symbol(name=name), exponent=exponent), *_)):
            return (name, f"{name} inverse") if exponent == MINUS_ONE else None
        case _:
            return None


def _applied(node: Node) -> frozenset[str]:
    return frozenset(head[0] for part in walk(node) if (head := _head(part)) is not None)


def _standing_alone(node: Node) -> frozenset[str]:
    """Letters that stand somewhere else than before brackets."""
    if isinstance(node, Symbol):
        return frozenset({node.name})
    parts = children(node)[1:] if _head(node) is not None else children(node)
    return frozenset().union(*(_standing_alone(part) for part in parts))


def _with(node: Node, names: frozenset[str]) -> Node:
    """The node with the calls of the letters `names` as functions."""
    if not symbols(node) & names or isinstance(node, (Range, SetOperation, Relation, Matrix)):
        return node
    head = _head(node)
    if isinstance(node, Call) and head is not None and head[0] in names:
        return Call(f"function {head[1]}", tuple(_with(part, names) for part in node.arguments[1:]))
    return with_parts(node, partial(_with, names=names))
