"""Equality of expressions with variables.

Rational expressions are compared exactly (`polynomials`). Others are equal where they agree, to 35 digits, at all
points that their own constants suggest (`points`); where not every piece of them can be met, they are not equal.
Complex values decide only where there are no real ones, so that a choice of branch does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rstar_math.grading.bounds import NotNumericError, TooLargeError, UndefinedError
from rstar_math.grading.comparing import quotients
from rstar_math.grading.comparing.evaluate import Evaluator, context
from rstar_math.grading.comparing.exact import NotRationalError, exact
from rstar_math.grading.comparing.points import Point, complex_points, integer_points, real_points
from rstar_math.grading.reading.nodes import Call, Constant, Node, Number, Power, Sum, Symbol, negated, symbols, walk

_BITS = 200
_MAX_SPREAD = 3_000
_ENOUGH_REAL_POINTS = 3
_ENOUGH_COMPLEX_POINTS = 6
_INTEGER_NAMES = frozenset(["n", "k", "m", "j", "l", "p", "q", "r", "s", "t", "N", "M", "K", "a", "b"])
_OF_INTEGERS = frozenset(
    {"factorial", "factorial2", "binomial", "floor", "ceiling", "sum", "prod", "mod", "gcd", "lcm"}
)


def identical(left: Node, right: Node, tolerance: float = 0.0, *, common_log: bool = False) -> bool | None:
    """Whether two expressions have the same value for all values of their variables.

    Args:
      left, right: expressions.
      tolerance: relative difference allowed at each point; 0 for exact expressions.
      common_log: read a log without a base as decimal.

    Returns:
      None where too few points could be evaluated to tell.
    """
    bits = _needed_bits(left, right)
    if bits is None:
        return None
    conjugated = _complex_letters(left, right)
    if not conjugated or not any(name.endswith(" bar") for name in conjugated):
        proved = None if tolerance else quotients.equal(left, right)
        if proved is not None:
            return proved
    if conjugated:
        return _identical_at_complex(left, right, conjugated, bits, tolerance)
    coverage = real_points(left, right)
    num_real = num_other = 0
    other_agree = True
    for point in coverage.points:
        pair = _values_at(left, right, point, common_log, bits)
        if pair is None:
            continue
        agree = _close(pair, tolerance)
        if pair.is_real:
            num_real += 1
            if not agree:
                return False
        elif _defined_on_one_side(pair, left, right):
            return False
        else:
            num_other += 1
            other_agree &= agree
    if num_real >= _ENOUGH_REAL_POINTS:
        return True if coverage.complete else None
    if num_real + num_other >= _ENOUGH_REAL_POINTS:
        return other_agree if coverage.complete or not other_agree else None
    return None


def _needed_bits(left: Node, right: Node) -> int | None:
    """A precision at which the smallest constant beside the largest is still seen; None where that is too costly.

    At 200 bits sin x + 10^-60 would be sin x.
    """
    spread = 0.0
    for part in (*walk(left), *walk(right)):
        match part:
            case Number(value=value):
                spread = max(spread, _size(value))
            case Power(base=Number(value=value), exponent=Number(value=exponent)):
                spread += _size(value) * min(float(abs(exponent)), 1e6)
            case Call(name="factorial" | "factorial2", arguments=(Number(value=value),)):
                spread += _size(value) * min(float(abs(value)), 1e6)
            case _:
                pass
    if spread <= 60:
        return _BITS
    return int(_BITS + 2 * spread) if spread <= _MAX_SPREAD else None


def _size(value: Fraction) -> float:
    """About the binary logarithm of the larger of numerator and denominator."""
    return float(max(abs(value.numerator).bit_length(), value.denominator.bit_length()))


def _complex_letters(left: Node, right: Node) -> frozenset[str]:
    """Letters that may stand for complex numbers: those beside their own conjugates, and z and w between bars."""
    names = symbols(left) | symbols(right)
    found = {name for name in names if name.endswith(" bar") and name.removesuffix(" bar") in names}
    if found:
        return frozenset(found | {name.removesuffix(" bar") for name in found})
    if not any(name[0] in "zw" and name.partition("_")[0] in {"z", "w"} for name in names):
        return frozenset()
    return frozenset(
        name
        for part in (*walk(left), *walk(right))
        if isinstance(part, Call) and part.name == "abs"
        for name in symbols(part)
        if name.partition("_")[0] in {"z", "w"}
    )


def _identical_at_complex(left: Node, right: Node, letters: frozenset[str], bits: int, tolerance: float) -> bool | None:
    """Whether two expressions agree where `letters` are complex, and what carries a bar is the conjugate."""
    mp = context()
    num_points = 0
    for point in complex_points(left, right, letters):
        with mp.workprec(bits):
            values = {name: mp.mpc(_mpf(value[0]), _mpf(value[1])) for name, value in point.items()}
            values = {name: mp.re(value) if mp.im(value) == 0 else value for name, value in values.items()}
        pair = _values(left, right, values, False, bits)
        if pair is None:
            continue
        if not _close(pair, tolerance):
            return False
        num_points += 1
    return True if num_points >= _ENOUGH_COMPLEX_POINTS else None


def _mpf(value: Fraction) -> Any:
    return context().mpf(value.numerator) / value.denominator


def identical_at_integers(left: Node, right: Node) -> bool:
    """Whether two expressions in integer-like variables agree at all the integers tried, and these are enough."""
    names = symbols(left) | symbols(right)
    if not names or not all(name[:1] in _INTEGER_NAMES for name in names):
        return False
    if not (_speaks_of_integers(left) or _speaks_of_integers(right)):
        return False
    coverage = integer_points(left, right)
    num_points = 0
    for point in coverage.points if coverage.complete else ():
        same = _same_at_integers(left, right, point)
        if same is False:
            return False
        num_points += same is True
    return num_points >= 6


def _same_at_integers(left: Node, right: Node, point: Point) -> bool | None:
    """Whether two expressions agree at a point of integers; None where one has no value there."""
    try:
        return exact(left, point) == exact(right, point)
    except (NotRationalError, UndefinedError, TooLargeError):
        pair = _values_at(left, right, point, common_log=False)
        return None if pair is None else _close(pair, 0.0)


def proportional(left: Node, right: Node, *, positive: bool = False) -> bool:
    """Whether left = c * right with a constant c other than 0, and above 0 where `positive`: equations as f = 0."""
    if not symbols(left) or symbols(left) != symbols(right):
        return False
    mp = context()
    ratio: Any = None
    num_points = 0
    bits = _needed_bits(left, right)
    if bits is None:
        return False
    coverage = real_points(left, right)
    for point in coverage.points if coverage.complete else ():
        pair = _values_at(left, right, point, False, bits)
        if pair is None:
            continue
        if _defined_on_one_side(pair, left, right):
            return False
        if abs(pair.second) <= pair.epsilon or abs(pair.first) <= pair.epsilon:
            if abs(pair.second) <= pair.epsilon and abs(pair.first) <= pair.epsilon and len(coverage.points) > 8:
                continue
            return False
        with mp.workprec(bits):
            current = pair.first / pair.second
            if ratio is None:
                ratio = current
            elif abs(current - ratio) > abs(ratio) * mp.mpf(2) ** (100 - bits):
                return False
        num_points += 1
    if num_points < _ENOUGH_REAL_POINTS:
        return False
    return not positive or (mp.im(ratio) == 0 and mp.re(ratio) > 0)


def differ_by_constant(left: Node, right: Node, constants: Iterable[str]) -> bool:
    """Whether two antiderivatives, their constants of integration set to 0, differ by a number only."""
    ignored = set(constants)
    if not (symbols(left) | symbols(right)) - ignored:
        return False
    mp = context()
    difference: Any = None
    num_points = 0
    coverage = real_points(left, right)
    for point in coverage.points if coverage.complete else ():
        pair = _values_at(left, right, {**point, **dict.fromkeys(ignored, Fraction(0))}, common_log=False)
        if pair is None:
            continue
        if not pair.is_real:
            if _defined_on_one_side(pair, left, right):
                return False
            continue
        with mp.workprec(_BITS):
            current = pair.first - pair.second
            if difference is None:
                difference = current
            elif abs(current - difference) > max(pair.epsilon, abs(pair.first) * mp.mpf(2) ** -100):
                return False
        num_points += 1
    return num_points >= _ENOUGH_REAL_POINTS


def has_additive(node: Node, names: Iterable[str]) -> str | None:
    """The name among `names` that is a term of the sum `node` by itself."""
    if isinstance(node, Sum):
        for term in node.terms:
            if isinstance(term, Symbol) and term.name in names:
                return term.name
    return None


def difference(left: Node, right: Node) -> Node:
    """left - right."""
    return Sum((left, negated(right)))


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of two expressions at a point.

    Attributes:
      first, second: mpf or mpc.
      epsilon: absolute error of both.
      complex_sides: for each, whether a value on the way to it was not real.
      bits: working precision.
    """

    first: Any
    second: Any
    epsilon: Any
    complex_sides: tuple[bool, bool]
    bits: int = _BITS

    @property
    def is_real(self) -> bool:
        return not any(self.complex_sides)


def _values_at(left: Node, right: Node, point: Point, common_log: bool, bits: int = _BITS) -> _Values | None:
    """The values at a real point; None where one has no finite value there."""
    with context().workprec(bits):
        values = {name: _mpf(value) for name, value in point.items()}
    return _values(left, right, values, common_log, bits)


def _values(left: Node, right: Node, values: dict[str, Any], common_log: bool, bits: int) -> _Values | None:
    mp = context()
    try:
        evaluators = [Evaluator(bits, values, common_log=common_log, real_roots=True) for _ in range(2)]
        first, second = evaluators[0](left), evaluators[1](right)
    except (UndefinedError, TooLargeError, NotNumericError):
        return None
    if not (mp.isfinite(first) and mp.isfinite(second)):
        return None
    lost = max(evaluator.largest for evaluator in evaluators)
    if lost > bits - 60:
        return None
    epsilon = mp.mpf(2) ** (max(lost, 0.0) - bits + 40)
    return _Values(first, second, epsilon, (evaluators[0].met_complex, evaluators[1].met_complex), bits)


def _defined_on_one_side(pair: _Values, left: Node, right: Node) -> bool:
    """Whether only one of two real expressions has a real value at a point: ln|x| and ln x at -1.

    Expressions in several variables may be meant for positive ones (the root of a product as a product of roots);
    they count as different only where bars or an even power keep one of them real.
    """
    if pair.complex_sides[0] == pair.complex_sides[1]:
        return False
    real = right if pair.complex_sides[0] else left
    if any(part == Constant("i") for node in (left, right) for part in walk(node)):
        return False
    return len(symbols(left) | symbols(right)) == 1 or any(_keeps_real(part) for part in walk(real))


def _keeps_real(part: Node) -> bool:
    match part:
        case Call(name="abs", arguments=(argument,)):
            return bool(symbols(argument))
        case Power(base=base, exponent=Number(value=value)):
            return bool(symbols(base)) and value.denominator == 1 and value % 2 == 0
        case _:
            return False


def _close(pair: _Values, tolerance: float) -> bool:
    mp = context()
    with mp.workprec(pair.bits):
        distance = abs(pair.first - pair.second)
        scale = max(abs(pair.first), abs(pair.second))
        if distance <= scale * max(mp.mpf(2) ** (80 - pair.bits), tolerance):
            return True
        return bool(distance <= pair.epsilon)


def _speaks_of_integers(node: Node) -> bool:
    for part in walk(node):
        if isinstance(part, Call) and part.name in _OF_INTEGERS:
            return True
        if isinstance(part, Power) and symbols(part.exponent) and not symbols(part.base):
            if any(isinstance(piece, Number) and piece.value < 0 for piece in walk(part.base)):
                return True
            if any(piece == Constant("i") for piece in walk(part.base)):
                return True
        if isinstance(part, Call) and part.name in {"sin", "cos"} and any(p == Constant("pi") for p in walk(part)):
            return True
    return False
