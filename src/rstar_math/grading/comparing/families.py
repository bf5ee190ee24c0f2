"""Families of solutions: C e^x is K e^x, their constants being arbitrary."""

from __future__ import annotations

from itertools import permutations

from rstar_math.grading.reading.nodes import Node, renamed, symbols

_ARBITRARY = frozenset(["C", "c", "K", "k", "A", "B", "D"]) | {f"{letter}_{i}" for letter in "CcKkAB" for i in range(5)}
_CERTAIN = frozenset("Cc") | {f"{letter}_{i}" for letter in "Cc" for i in range(5)}
_VARIABLES = frozenset("xyt") | {"theta"}
_MOST = 3


def with_constants_of(gold: Node, prediction: Node) -> list[Node] | None:
    """The prediction with the reference's arbitrary constants, in every order; None where these are no families.

    A family is a function of x, y, t or theta whose constants are C or c, with or without a number, on one side.
    """
    names = symbols(gold), symbols(prediction)
    own, theirs = names[1] - names[0], names[0] - names[1]
    if not 1 <= len(own) == len(theirs) <= _MOST or not own | theirs <= _ARBITRARY:
        return None
    if not (own <= _CERTAIN or theirs <= _CERTAIN) or not names[0] & names[1] & _VARIABLES:
        return None
    before = sorted(own)
    return [renamed(prediction, dict(zip(before, order, strict=True))) for order in permutations(sorted(theirs))]
