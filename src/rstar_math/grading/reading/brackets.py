"""What stands in brackets: a grouping, a tuple, a list, a set, an interval, a mapping; and in LaTeX's cases."""

from __future__ import annotations

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.grammar import Grammar
from rstar_math.grading.reading.nodes import (
    BOUND,
    Call,
    Constant,
    Group,
    Mapping,
    Named,
    Node,
    Opaque,
    Piecewise,
    Range,
    Relation,
    SetOperation,
    Symbol,
    negated,
    renamed,
    symbols,
)
from rstar_math.grading.reading.scan import Tokens, has, split, stretches
from rstar_math.grading.reading.tokens import Token

RELATIONS = frozenset({"=", "!=", "<", "<=", ">", ">=", "~", "in"})
"""The operators of a `Relation`."""

_MIRRORED = str.maketrans(")]}>", "([{<")
_SEPARATORS = frozenset({",", ";"})
_INFINITY = Constant("oo")


def bracketed(opening: str, closing: str, inner: Tokens, grammar: Grammar) -> Node:
    """The content of a pair of brackets, as what the brackets and the commas make of it.

    Raises:
      UnparsedError: the brackets do not match, or their content is not in the grammar.
    """
    if opening in {"floor", "ceiling"}:
        return Call(opening, (grammar.statement(inner),))
    parts, separators = split(inner, _SEPARATORS)
    if opening in {"\\{", "{"}:
        return _braced(opening, inner, parts, bool(separators), grammar)
    if separators and not parts[-1]:  # (5,)
        items = [item for part in parts[:-1] for item in _items_of(part, grammar)]
        return Group(tuple(items), "(" if opening == "(" else "[")
    if not inner:
        return Group((), "(" if opening == "(" else "[")
    if not all(parts):
        raise UnparsedError("an empty place between commas")
    if opening != closing.translate(_MIRRORED):
        if len(parts) != 2:
            raise UnparsedError("brackets that do not match")
        low, high = map(grammar.statement, parts)
        if (opening == "[" and low == negated(_INFINITY)) or (closing == "]" and high == _INFINITY):
            raise UnparsedError("an interval that contains infinity")
        return Range(low, high, opening == "[", closing == "]")
    if opening == "(" and not separators:
        return grammar.answer(inner)
    if opening == "[":
        return Group(tuple(item for part in parts for item in _items_of(part, grammar)), "[")
    return Group(tuple(map(grammar.statement, parts)), "(" if opening == "(" else "<")


def _items_of(part: Tokens, grammar: Grammar) -> list[Node]:
    return [item for piece in stretches(part, {"and", "or"}) for item in grammar.items(piece)]


def _braced(opening: str, inner: Tokens, parts: list[Tokens], is_list: bool, grammar: Grammar) -> Node:
    if not inner:
        return Group((), "{")
    if opening == "{" and not is_list and not has(inner, ":"):
        return grammar.answer(inner)
    builders, bars = split(inner, {"|"})
    if len(bars) == 1 and all(builders):
        return _set_builder(builders[0], builders[1], grammar)
    colons, marks = split(inner, {":"})
    if opening == "\\{" and len(marks) == 1 and _has_relation(colons[1]) and all(colons):
        return _set_builder(colons[0], colons[1], grammar)
    kept = [part for part in parts if part]
    pairs = [split(part, {":"})[0] for part in kept]
    if pairs and all(len(pair) == 2 and pair[0] and pair[1] for pair in pairs):
        return Mapping(tuple((grammar.statement(name), grammar.statement(value)) for name, value in pairs))
    return Group(tuple(item for part in kept for item in _items_of(part, grammar)), "{")


def _has_relation(found: Tokens) -> bool:
    return any(token.kind == "operator" and token.value in RELATIONS for token in found)


def _set_builder(variable: Tokens, condition: Tokens, grammar: Grammar) -> Node:
    """The set of the numbers that meet a condition: the condition itself."""
    if len(variable) > 1 and variable[1].value != "in":
        return _set_of_values(grammar.statement(variable), grammar.answer(condition))
    if variable[0].kind != "name":
        raise UnparsedError("a set of something else than a variable")
    if len(variable) > 1 and variable[-1].value != "reals":
        raise UnparsedError("a set over something else than the reals")
    node = renamed(grammar.answer(condition), {variable[0].value: BOUND})
    if isinstance(node, Group) and all(is_condition(item) for item in node.items):
        return SetOperation("intersection", node.items)
    return node


def is_condition(item: Node) -> bool:
    """Whether a node is a condition rather than a value: an inequality, a union."""
    return (isinstance(item, Relation) and not set(item.operators) <= {"=", "~"}) or isinstance(item, SetOperation)


def _set_of_values(value: Node, condition: Node) -> Node:
    """{2k + 1 : k in the integers}, as the value being in the set that its variable is taken from.

    Raises:
      UnparsedError: the condition says something else.
    """
    match condition:
        case Relation(sides=(Symbol(name=name), Named() as values), operators=("in",)) if name in symbols(value):
            return Relation((renamed(value, {name: BOUND}), values), ("in",))
        case _:
            raise UnparsedError("a set of values with another condition")


def cases(inner: Tokens, grammar: Grammar) -> Node:
    """A system of equations, or values with their conditions."""
    rows = stretches(inner, {"row"})
    pieces: list[tuple[Node, Node]] = []
    for row in rows:
        value, condition = _piece(row, grammar)
        if condition is None:
            break
        pieces.append((grammar.statement(value), condition))
    else:
        if pieces:
            return Piecewise(tuple(pieces))
    lines = [[token for token in row if token.value != "&"] for row in rows]
    return Group(tuple(item for line in lines for item in grammar.items(line)), "")


_EMPTY_WORDS = frozenset({"is", "are", "a", "an", "the", "integer", "number"})
_CONDITION_WORDS = frozenset({"if", "when", "for", "where"})
_OTHERWISE = frozenset({"otherwise", "else"})
_BETWEEN = frozenset({"&", ","})


def _piece(row: Tokens, grammar: Grammar) -> tuple[Tokens, Node | None]:
    """The value of one case, and its condition; None where it has none."""
    parts, marks = split(row, _BETWEEN)
    if not marks:
        words = [i for i, token in enumerate(row) if token.value.lower() in _CONDITION_WORDS | _OTHERWISE]
        if not words or not words[0]:
            return row, None
        parts = [row[: words[0]], row[words[0] :]]
    condition = [token for part in parts[1:] for token in part]
    while condition and condition[0].value.lower() in _CONDITION_WORDS | _BETWEEN:
        condition = condition[1:]
    if not parts[0] or not condition:
        return row, None
    if condition[0].value.lower() in _OTHERWISE or condition[0] == Token("named", "true"):
        return parts[0], Named("true")
    if not any(token.kind == "text" for token in condition):
        try:
            return parts[0], grammar.answer(condition)
        except UnparsedError:
            pass
    words_of_it = (token.value.lower() for token in condition)
    return parts[0], Opaque(" ".join(word for word in words_of_it if word not in _EMPTY_WORDS))
