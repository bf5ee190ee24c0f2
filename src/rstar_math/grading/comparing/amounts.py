"""Single values: digits with a base, numbers with units, percents, ratios, and bare expressions."""

from __future__ import annotations

from fractions import Fraction

from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.comparing.values import compare_expressions
from rstar_math.grading.reading import units
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    MINUS_ONE,
    SCALARS,
    Based,
    Call,
    Named,
    Node,
    Number,
    Opaque,
    Percent,
    Power,
    Product,
    Quantity,
    Ratio,
    symbols,
)


def compare_scalars(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Two single values, whatever stands around them."""
    if isinstance(gold, Based) or isinstance(prediction, Based):
        return _based(gold, prediction, by)
    if isinstance(gold, Quantity) or isinstance(prediction, Quantity):
        return _quantities(gold, prediction, by)
    if isinstance(gold, Percent) or isinstance(prediction, Percent):
        return _percents(gold, prediction, by)
    if isinstance(gold, Ratio) or isinstance(prediction, Ratio):
        return _ratios(gold, prediction, by)
    if isinstance(gold, (Named, Opaque)) or isinstance(prediction, (Named, Opaque)):
        return Match(False, "kind")
    return compare_expressions(gold, prediction, by)


def _based(gold: Node, prediction: Node, by: Comparison) -> Match:
    if isinstance(gold, Based) and isinstance(prediction, Based):
        if gold.base == prediction.base:
            return Match(gold.digits == prediction.digits, "base")
        same = _based_value(gold) == _based_value(prediction)
        return by.contested("base_values") if same else Match(False, "base")
    based, other = (gold, prediction) if isinstance(gold, Based) else (prediction, gold)
    assert isinstance(based, Based)
    if isinstance(other, Number) and not other.digits and other.value.denominator == 1:
        if based.digits == str(other.value.numerator):
            return Match(True, "base") if based.base == 10 else by.contested("implied_base")
        if _based_value(based) == other.value:
            return by.contested("base_values")
    return Match(False, "base")


def _quantities(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Numbers with units, which may be added or dropped."""
    amounts = [node.amount if isinstance(node, Quantity) else node for node in (gold, prediction)]
    found_units = [_unit_of(node) for node in (gold, prediction)]
    for node, other in ((gold, prediction), (prediction, gold)):
        if not isinstance(node, Quantity) or isinstance(other, Quantity):
            continue
        if node.product is not None and (symbols(other) or (node.attached and node is gold)):
            return by.compare(*((node.product, other) if node is gold else (other, node.product)))
        if node.compound:
            return Match(False, "unit")
    if any(isinstance(node, Quantity) and node.compound for node in (gold, prediction)):
        sizes = [units.size(unit) for unit in found_units]
        if sizes[0] is None or sizes[1] is None or sizes[0][0] != sizes[1][0]:
            return Match(False, "unit")
        amounts = [Product((amount, Number(size[1]))) for amount, size in zip(amounts, sizes, strict=True) if size]
        found_units = ["", ""]
    kinds = [isinstance(node, Percent) for node in amounts]
    if kinds[0] != kinds[1] and any(map(units.is_measure, found_units)):
        return Match(False, "unit")
    if not all(isinstance(amount, SCALARS) for amount in amounts):
        return by.compare(*amounts) if amounts != [gold, prediction] else Match(False, "unit")
    found = compare_scalars(amounts[0], amounts[1], by)
    if found.equal and units.differ(found_units[0], found_units[1]):
        return by.contested("unit_mismatch")
    rule = "unit" if found.rule in {"exact", "same_structure"} and found_units != ["", ""] else found.rule
    return Match(found.equal, rule, found.contested)


def _percents(gold: Node, prediction: Node, by: Comparison) -> Match:
    if isinstance(gold, Percent) and isinstance(prediction, Percent):
        found = compare_scalars(gold.amount, prediction.amount, by)
        return Match(found.equal, "percent", found.contested)
    found = compare_expressions(gold, prediction, by)
    if found.equal:
        return Match(True, "percent", found.contested)
    bare = [node.amount if isinstance(node, Percent) else node for node in (gold, prediction)]
    if compare_expressions(bare[0], bare[1], by).equal:
        return by.contested("percent_as_number")
    return Match(False, "percent")


def _ratios(gold: Node, prediction: Node, by: Comparison) -> Match:
    if isinstance(gold, Ratio) and isinstance(prediction, Ratio):
        if len(gold.parts) != len(prediction.parts):
            return Match(False, "ratio")
        found = by.in_order(gold.parts, prediction.parts, "ratio")
        if found.equal:
            return found
        # a : b = c : d where a d = b c
        first, second = gold.parts[0], prediction.parts[0]
        left = [Product((part, second)) for part in gold.parts]
        right = [Product((part, first)) for part in prediction.parts]
        if not (isinstance(first, EXPRESSIONS) and isinstance(second, EXPRESSIONS)):
            return Match(False, "ratio")
        return by.in_order(left, right, "ratio")
    ratio, other = (gold, prediction) if isinstance(gold, Ratio) else (prediction, gold)
    assert isinstance(ratio, Ratio)
    if len(ratio.parts) == 2 and all(isinstance(part, EXPRESSIONS) for part in (*ratio.parts, other)):
        quotient = Product((ratio.parts[0], Power(ratio.parts[1], MINUS_ONE)))
        if compare_expressions(quotient, other, by).equal:
            return by.contested("quotient_for_ratio")
    return Match(False, "ratio")


def _unit_of(node: Node) -> str:
    if isinstance(node, Call) and node.name == "degrees":
        return "degree"
    return node.unit if isinstance(node, Quantity) else ""


def _based_value(node: Based) -> Fraction:
    whole, _, places = node.digits.partition(".")
    value = 0
    for digit in whole + places:
        value = value * node.base + int(digit, 36)
    return Fraction(value, node.base ** len(places))
