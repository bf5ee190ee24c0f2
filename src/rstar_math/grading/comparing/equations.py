"""Equations, chains of them and values with their names, against one another and against bare values."""

from __future__ import annotations

import re

from rstar_math.grading.comparing import real_sets, symbolic
from rstar_math.grading.comparing.canonical import is_equation, name_of, stated_values, without_approximation
from rstar_math.grading.comparing.conditions import compare_sets
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.comparing.solutions import same_solutions, with_names_of, with_same_arguments
from rstar_math.grading.reading.nodes import EXPRESSIONS, Node, Opaque, Relation, Symbol, symbols


def compare_equations(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Values with their names, values without, and equations that are answers themselves."""
    if isinstance(gold, Relation) and isinstance(prediction, Relation):
        gold, prediction = with_names_of(gold, prediction), with_names_of(prediction, gold)
        with_own_letters = with_same_arguments(gold, prediction)
        if with_own_letters is None:
            return Match(False, "equation")
        prediction = with_own_letters
    gold, prediction = without_approximation(gold), without_approximation(prediction)
    if not (is_equation(gold) or is_equation(prediction)):
        return by.compare(gold, prediction)
    gold_values, prediction_values = stated_values(gold), stated_values(prediction)
    refused: Match | None = None
    for gold_value in gold_values:
        for prediction_value in prediction_values:
            found = by.compare(gold_value, prediction_value)
            if found.equal:
                return _with_names(gold, prediction, found, by)
            if found.contested:
                refused = found
    if isinstance(gold, Relation) and isinstance(prediction, Relation):
        first, second = _as_zero(gold), _as_zero(prediction)
        if same_solutions(gold, prediction) or (first and second and symbolic.proportional(first, second)):
            return Match(True, "equation")
        return refused or Match(False, "equation")
    if isinstance(gold, Relation) and real_sets.is_conditional(prediction):
        return compare_sets(gold, prediction, by)
    return _calculation(gold, prediction, by) or refused or Match(False, "equation")


def _with_names(gold: Node, prediction: Node, found: Match, by: Comparison) -> Match:
    """Equal values; contested where the names before them differ."""
    if _other_quantities(gold, prediction):
        return Match(False, "equation")
    names = [name_of(node) for node in (gold, prediction)]
    if all(name is not None for name in names) and names[0] != names[1]:
        single = [name for name in names if name is not None and len(name) == 1 and name.islower()]
        if len(single) == 2:
            return by.contested("other_name")
    return Match(True, found.rule, found.contested)


def _calculation(gold: Node, prediction: Node, by: Comparison) -> Match | None:
    """An equation between numbers that holds, against a number: 8 = 8 against 8."""
    for equation, value in ((gold, prediction), (prediction, gold)):
        if not isinstance(equation, Relation) or isinstance(value, Relation) or symbols(equation):
            continue
        sides = equation.sides
        if not all(isinstance(side, EXPRESSIONS) for side in sides):
            continue
        first = by.compare(value, sides[-1])
        if first.equal and all(by.compare(sides[-1], side).equal for side in sides[:-1]):
            return by.contested("calculation")
    return None


def _other_quantities(gold: Node, prediction: Node) -> bool:
    """Whether two equations are on expressions that cannot be read, and differ, or on x with different marks."""
    if not isinstance(gold, Relation) or not isinstance(prediction, Relation):
        return False
    match gold.sides[0], prediction.sides[0]:
        case Opaque(text=first), Opaque(text=second):
            return first != second and bool(set(first + second) & set("+-*/^"))
        case Symbol(name=first), Symbol(name=second):
            letters = [re.split(r"[ ']", name)[0] for name in (first, second)]
            return first != second and letters[0] == letters[1] and first not in letters and second not in letters
        case _:
            return False


def _as_zero(relation: Relation) -> Node | None:
    """f of an equation f = 0 with two sides."""
    if relation.operators != ("=",) or not all(isinstance(side, EXPRESSIONS) for side in relation.sides):
        return None
    return symbolic.difference(relation.sides[0], relation.sides[1])
