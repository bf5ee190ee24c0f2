"""Sums and products over an index, derivatives, integrals: what binds a variable in what follows."""

from __future__ import annotations

import re
from collections.abc import Callable

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.cursor import Cursor
from rstar_math.grading.reading.grammar import Grammar
from rstar_math.grading.reading.nodes import Call, Node, Symbol, renamed, symbols, walk
from rstar_math.grading.reading.scan import Tokens, depths, split, with_constant_as_name


def series(cursor: Cursor, name: str, product: Callable[[], Node], grammar: Grammar) -> Node:
    """A sum or product over an index with bounds."""
    lower, upper = _bounds(cursor)
    sides = split(lower, {"="})[0]
    if len(sides) != 2 or len(sides[0]) != 1 or not upper:
        raise UnparsedError("bounds that are no integers")
    bound = sides[0][0]
    outside = cursor.tokens
    if bound.kind == "constant":
        cursor.tokens = [*outside[: cursor.i], *with_constant_as_name(outside[cursor.i :], bound)]
    body = product()
    cursor.tokens = outside
    index = (bound.kind == "constant" and bound.written) or bound.value
    number = 1 + sum(isinstance(part, Symbol) and part.name.startswith("index ") for part in walk(body))
    names = {name: re.sub(rf"(?:^|(?<=_)){re.escape(index)}$", f"index {number}", name) for name in symbols(body)}
    low, high = grammar.expression(sides[1]), grammar.expression(upper)
    return Call(name, (renamed(body, names), Symbol(f"index {number}"), low, high))


def derivative(cursor: Cursor, product: Callable[[], Node]) -> Node | None:
    """d/dx of what follows; None where no derivative stands here."""
    values = [token.value for token in cursor.tokens[cursor.i : cursor.i + 7]]
    if values[:5] != ["{", "d", "}", "{", "d"] or values[6:] != ["}"]:
        return None
    variable = cursor.tokens[cursor.i + 5]
    if variable.kind != "name" or cursor.i + 7 >= len(cursor.tokens):
        return None
    cursor.i += 7
    return Call("derivative", (product(), Symbol(variable.value)))


def _bounds(cursor: Cursor) -> tuple[Tokens, Tokens]:
    """What stands below and above a sum, product or integral; empty where nothing does."""
    found: dict[str, Tokens] = {"_": [], "^": []}
    for _ in range(2):
        if cursor.at("_", "^"):
            place = cursor.tokens[cursor.i].value
            cursor.i += 1
            token = cursor.here("a bound that is missing")
            if token.kind == "open":
                found[place] = cursor.inside()
            else:
                found[place] = [token]
                cursor.i += 1
    return found["_"], found["^"]


def integral(cursor: Cursor, grammar: Grammar) -> Node:
    """A definite integral, its variable behind the d at its end."""
    bounds = _bounds(cursor)
    rest = cursor.tokens[cursor.i :]
    for end, depth in enumerate(depths(rest[:-1])):
        if depth == 0 and rest[end].kind == "name" and rest[end].value == "d" and rest[end + 1].kind == "name":
            break
    else:
        raise UnparsedError("an integral without its variable")
    body = grammar.expression(rest[:end])
    cursor.i += end + 2
    if not all(bounds):
        raise UnparsedError("an integral without bounds")
    low, high = map(grammar.expression, bounds)
    return Call("integral", (body, Symbol(rest[end + 1].value), low, high))
