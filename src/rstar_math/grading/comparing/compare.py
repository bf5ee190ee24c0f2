"""Comparison by kind: what the reference is settles what the prediction may mean."""

from __future__ import annotations

from functools import partial

from rstar_math.grading.comparing import real_sets
from rstar_math.grading.comparing.amounts import compare_scalars
from rstar_math.grading.comparing.canonical import beside, chain_of_names, is_equation, settled
from rstar_math.grading.comparing.cases import compare_cases
from rstar_math.grading.comparing.conditions import compare_sets
from rstar_math.grading.comparing.congruences import compare_congruences
from rstar_math.grading.comparing.equations import compare_equations
from rstar_math.grading.comparing.groups import compare_groups, compare_mappings, compare_matrices, without_repetition
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.comparing.values import has_undefined
from rstar_math.grading.policy import Policy
from rstar_math.grading.reading.nodes import Congruence, Group, Mapping, Matrix, Node, Piecewise


def compare(gold: Node, prediction: Node, policy: Policy) -> Match:
    """Whether a prediction means the same as the reference, by the kind of the reference."""
    by = Comparison(policy, partial(compare, policy=policy))
    gold, prediction = beside(gold, settled(prediction)), beside(prediction, settled(gold))
    if gold == prediction and not has_undefined(gold):
        return Match(True, "same_structure")
    if isinstance(gold, Congruence) or isinstance(prediction, Congruence):
        return compare_congruences(gold, prediction, by)
    if is_equation(gold) or is_equation(prediction):
        if isinstance(prediction, (Group, Mapping)) or isinstance(gold, (Group, Mapping)):
            chains = chain_of_names(gold), chain_of_names(prediction)
            if chains[0] is not None or chains[1] is not None:
                return by.compare(chains[0] or gold, chains[1] or prediction)
        return compare_equations(gold, prediction, by)
    if real_sets.is_conditional(gold) or real_sets.is_conditional(prediction):
        return compare_sets(gold, prediction, by)
    if isinstance(gold, Piecewise) or isinstance(prediction, Piecewise):
        return compare_cases(gold, prediction, by)
    if isinstance(gold, Mapping) or isinstance(prediction, Mapping):
        return compare_mappings(gold, prediction, by)
    if isinstance(gold, Matrix) or isinstance(prediction, Matrix):
        return compare_matrices(gold, prediction, by)
    if isinstance(gold, Group):
        return compare_groups(gold, prediction, by)
    if isinstance(prediction, Group):
        if prediction.bracket in {"", "[", "{"} and len(prediction.items) > 1:
            return without_repetition(gold, prediction, by)
        return Match(False, "number_of_answers")
    return compare_scalars(gold, prediction, by)
