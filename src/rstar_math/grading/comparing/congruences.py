"""Residues of a modulus."""

from __future__ import annotations

from rstar_math.grading.comparing.exact import exact_or_none
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.comparing.quotients import rational_coefficients
from rstar_math.grading.reading.nodes import EXPRESSIONS, Congruence, Group, Node, Number, Relation, Symbol, symbols

_RUNNING = frozenset("kmnjlt")


def compare_congruences(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Residues of one modulus; x = 7k + 3 is one, and a bare residue may leave its modulus to the question."""
    for one, other in ((gold, prediction), (prediction, gold)):
        if isinstance(one, Congruence) and isinstance(other, EXPRESSIONS) and one.residues == other:
            return by.contested("omitted_condition")
    gold, prediction = _as_congruence(gold), _as_congruence(prediction)
    if not isinstance(gold, Congruence) or not isinstance(prediction, Congruence):
        return Match(False, "congruence")
    if gold.modulus != prediction.modulus:
        return Match(False, "congruence")
    left, right = _residues(gold), _residues(prediction)
    if left is None or right is None:
        return by.compare(gold.residues, prediction.residues)
    return Match(left == right, "congruence")


def _as_congruence(node: Node) -> Node:
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


def _residues(node: Congruence) -> frozenset[int] | None:
    """The residues as the smallest numbers that are not negative; None where one is no integer."""
    items = node.residues.items if isinstance(node.residues, Group) else (node.residues,)
    found = set()
    for item in items:
        if symbols(item):
            return None
        value = exact_or_none(item)
        if value is None or value.denominator != 1:
            return None
        found.add(int(value) % node.modulus)
    return frozenset(found)
