"""How precisely numbers are written, and whether two agree as far as that, or to many bits."""

from __future__ import annotations

from fractions import Fraction

from rstar_math.grading import bounds
from rstar_math.grading.bounds import TooLargeError
from rstar_math.grading.comparing.evaluate import LIMIT_BITS, Evaluator, context
from rstar_math.grading.comparing.exact import exact_or_none
from rstar_math.grading.reading.nodes import MINUS_ONE, Node, Number, Percent, Power, Product, walk

DOUBLE_PRECISION = 1e-12
"""Relative error of a float that was computed in double precision, in a few operations."""

FLOAT_DIGITS = 10
"""A decimal written with at least this many significant digits stands for a float, not for itself."""


def decimals(node: Node) -> list[Number]:
    """The literals of a node that are written with a decimal point or an exponent."""
    return [part for part in walk(node) if isinstance(part, Number) and part.digits]


def written_precision(node: Node) -> float:
    """Relative precision of the floats in a node: two units in the last digit of the shortest; 0 without floats."""
    digits = [number.digits for number in decimals(node) if number.digits >= FLOAT_DIGITS]
    return max(2.0 * 10.0 ** (1 - min(digits)), DOUBLE_PRECISION) if digits else 0.0


def bare_decimal(node: Node) -> Number | None:
    """The decimal that a node is, powers of ten multiplied out."""
    match node:
        case Number(digits=digits) if digits:
            return node
        case Product(factors=(Number() as number, rest)) if number.digits or number == MINUS_ONE:
            inner = bare_decimal(rest)
            if number == MINUS_ONE and inner is not None:
                return Number(-inner.value, inner.digits, inner.last_place)
            scale = exact_or_none(rest)
            if isinstance(rest, Power) and rest.base == Number(Fraction(10)) and scale:
                return Number(number.value * scale, number.digits, number.last_place * scale)
            return None
        case Percent(amount=amount):
            inner = bare_decimal(amount)
            return Number(inner.value / 100, inner.digits, inner.last_place / 100) if inner else None
        case _:
            return None


def correctly_rounded(node: Node, value: object, place_value: Fraction | None = None) -> bool:
    """Whether a decimal is within half a unit of its last digit, or of another place, of a value."""
    literal = bare_decimal(node)
    if literal is None:
        return False
    mp = context()
    with mp.workprec(200):
        written = mp.mpf(literal.value.numerator) / literal.value.denominator
        unit = place_value or literal.last_place
        place = mp.mpf(unit.numerator) / unit.denominator
        return bool(abs(value - written) <= place / 2 * (1 + mp.mpf(10) ** -6))


def equal_to_many_bits(gold: Node, prediction: Node, *, common_log: bool) -> bool:
    """Whether two numbers agree to 150 bits behind the last bit that either computation may have lost."""
    mp = context()
    bits = 256
    for _ in range(2):
        evaluators = [Evaluator(bits, common_log=common_log) for _ in range(2)]
        first, second = evaluators[0](gold), evaluators[1](prediction)
        if not (mp.isfinite(first) and mp.isfinite(second)):
            return bool(first == second)
        size = max(evaluator.largest for evaluator in evaluators)
        with mp.workprec(bits):
            distance = abs(first - second)
            if distance > mp.mpf(2) ** (size - bits + 40):
                scale = max(abs(first), abs(second))
                return bool(distance <= scale * mp.mpf(2) ** (100 - bits))
        if size <= bits - 200:
            return True
        bits = int(size) + 300
        if bits > bounds.MAX_BITS:
            raise TooLargeError
    return True


def equal_limits(gold: Node, prediction: Node) -> bool:
    """Whether two numbers agree to 25 digits, where integrals or infinite sums stand in them."""
    mp = context()
    first, second = Evaluator(LIMIT_BITS)(gold), Evaluator(LIMIT_BITS)(prediction)
    if not (mp.isfinite(first) and mp.isfinite(second)):
        return False
    if decimals(gold) or decimals(prediction):
        return bool(abs(first - second) <= DOUBLE_PRECISION * abs(first))
    return bool(abs(first - second) <= mp.mpf(10) ** -25 * max(abs(first), abs(second)))
