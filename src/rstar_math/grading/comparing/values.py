"""Two expressions: numbers exactly or to the precision written, others at points of their variables."""

from __future__ import annotations

from fractions import Fraction

from rstar_math.grading.bounds import NotNumericError, TooLargeError, UndefinedError
from rstar_math.grading.comparing import quotients, symbolic
from rstar_math.grading.comparing.evaluate import Evaluator, context
from rstar_math.grading.comparing.exact import NotRationalError, exact
from rstar_math.grading.comparing.families import with_constants_of
from rstar_math.grading.comparing.function_letters import has_functions, with_functions
from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.comparing.precision import (
    DOUBLE_PRECISION,
    bare_decimal,
    correctly_rounded,
    decimals,
    equal_limits,
    equal_to_many_bits,
    written_precision,
)
from rstar_math.grading.comparing.progressions import same_progression
from rstar_math.grading.reading.nodes import Call, Constant, Node, Number, Power, Product, Sum, symbols, walk


def compare_expressions(gold: Node, prediction: Node, by: Comparison) -> Match:
    """Two expressions: numbers exactly or to the precision written, others at points."""
    if gold == prediction and not has_undefined(gold):
        return Match(True, "same_structure")
    gold, prediction = with_functions(gold, prediction)
    if has_functions(gold) or has_functions(prediction):
        return Match(quotients.equal(gold, prediction) is True, "identity")
    if symbols(gold) or symbols(prediction):
        return _symbolic(gold, prediction, by)
    try:
        return _numbers(gold, prediction, by)
    except UndefinedError:
        return Match(False, "undefined_value")
    except NotNumericError:
        return Match(False, "no_value")
    except TooLargeError:
        return _logarithms(gold, prediction)


def _numbers(gold: Node, prediction: Node, by: Comparison) -> Match:
    try:
        first, second = exact(gold), exact(prediction)
        if first == second:
            return Match(True, "exact")
        if not decimals(gold) and not decimals(prediction):
            return Match(False, "exact")
    except (NotRationalError, TooLargeError):
        if _has_limit(gold) or _has_limit(prediction):
            return Match(equal_limits(gold, prediction), "limit")
        has_log = _has_bare_log(gold) or _has_bare_log(prediction)
        for common_log in (False, True) if has_log else (False,):
            if equal_to_many_bits(gold, prediction, common_log=common_log):
                return Match(True, "exact")
    noise = _float_noise(gold, prediction, by) or _same_float(gold, prediction)
    if noise is not None:
        return noise
    rounded = _rounded(gold, prediction, by) or _rounded(prediction, gold, by)
    return rounded or _degrees(gold, prediction, by) or Match(False, "number")


def _float_noise(gold: Node, prediction: Node, by: Comparison) -> Match | None:
    """Equality to double precision, where one side is written with as many digits as a float has."""
    tolerance = max(written_precision(gold), written_precision(prediction))
    if not tolerance:
        return None
    mp = context()
    for common_log in (False, True):
        first = Evaluator(200, common_log=common_log)(gold)
        second = Evaluator(200, common_log=common_log)(prediction)
        if not (mp.isfinite(first) and mp.isfinite(second)):
            return None
        distance, scale = abs(first - second), max(abs(first), abs(second))
        if distance <= DOUBLE_PRECISION * scale or (min(abs(first), abs(second)) == 0 and scale < 1e-14):
            return Match(True, "double_precision")
        if distance <= tolerance * scale:
            if correctly_rounded(gold, second) or correctly_rounded(prediction, first):
                return Match(True, "double_precision")
            return by.contested("float_noise")
        if not (_has_bare_log(gold) or _has_bare_log(prediction)):
            return None
    return None


def _same_float(gold: Node, prediction: Node) -> Match | None:
    """A short decimal that is the double nearest to a value that is no integer: 0.5 for (1 + 3^-100) / 2."""
    literal = bare_decimal(gold) or bare_decimal(prediction)
    if literal is None:
        return None
    mp = context()
    first, second = Evaluator(200)(gold), Evaluator(200)(prediction)
    if not (mp.isfinite(first) and mp.isfinite(second)):
        return None
    if min(abs(first), abs(second)) == 0 and max(abs(first), abs(second)) < 1e-15:
        return Match(True, "double_precision")
    if mp.isint(first) or mp.isint(second):
        return None
    near = abs(first - second) <= mp.mpf(2) ** -53 * abs(first)
    return Match(True, "double_precision") if near else None


def _rounded(decimal: Node, other: Node, by: Comparison) -> Match | None:
    """A decimal that is the correct rounding of the other value."""
    literal = bare_decimal(decimal)
    if literal is None:
        return None
    mp = context()
    try:
        value = Evaluator(200)(other)
    except (NotNumericError, UndefinedError):
        return None
    if mp.im(value) != 0 or not mp.isfinite(value) or literal.digits < 3:
        return None
    places = by.policy.rounded_decimals
    if places is not None and correctly_rounded(literal, value, Fraction(1, 10**places)):
        # a program that rounds drops the zeros at the end (13.764 for 13.76396); finer decimals must be right too
        allowed = literal.last_place >= Fraction(1, 10**places) or correctly_rounded(literal, value)
    elif correctly_rounded(literal, value) and literal.last_place <= Fraction(1, 10**3):
        allowed = False
    else:
        return None
    return Match(allowed, "rounded_decimals", contested=True)


def _degrees(gold: Node, prediction: Node, by: Comparison) -> Match | None:
    for degrees, other in ((gold, prediction), (prediction, gold)):
        if isinstance(degrees, Call) and degrees.name == "degrees" and Constant("pi") in set(walk(other)):
            radians = Product((degrees.arguments[0], Constant("pi"), Number(Fraction(1, 180))))
            if equal_to_many_bits(radians, other, common_log=False):
                return by.contested("radians_for_degrees")
    return None


def _symbolic(gold: Node, prediction: Node, by: Comparison) -> Match:
    if same_progression(gold, prediction):
        return Match(True, "progression")
    tolerance = 10 * max(written_precision(gold), written_precision(prediction))
    found = symbolic.identical(gold, prediction, tolerance)
    if not found and (_has_bare_log(gold) or _has_bare_log(prediction)):
        found = symbolic.identical(gold, prediction, tolerance, common_log=True)
    if found:
        return Match(True, "identity")
    if symbolic.identical_at_integers(gold, prediction):
        return by.contested("integer_variables") if found is False else Match(True, "identity_at_integers")
    renamed_constants = with_constants_of(gold, prediction)
    if renamed_constants is not None:
        found_renamed = any(symbolic.identical(gold, node, tolerance) for node in renamed_constants)
        return by.contested("integration_constant") if found_renamed else Match(False, "identity")
    constants = ("C", "c", "K", "k")
    first, second = symbolic.has_additive(gold, constants), symbolic.has_additive(prediction, constants)
    if first and second and symbolic.differ_by_constant(gold, prediction, (first, second)):
        return by.contested("integration_constant")
    return Match(False, "identity")


def _logarithms(gold: Node, prediction: Node) -> Match:
    """Powers too large to be evaluated, by their logarithms to base 2."""
    first, second = _log2_of_power(gold), _log2_of_power(prediction)
    if first is None or second is None:
        return Match(False, "too_large")
    try:
        return Match(equal_to_many_bits(first, second, common_log=False), "logarithms")
    except (TooLargeError, UndefinedError, NotNumericError):
        return Match(False, "too_large")


def has_undefined(node: Node) -> bool:
    """Whether something in a node does not exist, so that it equals nothing, itself included."""
    return any(part == Constant("zoo") for part in walk(node))


def _has_limit(node: Node) -> bool:
    """Whether a value is an integral or a sum without end."""
    return any(
        isinstance(part, Call)
        and (part.name == "integral" or (part.name == "sum" and part.arguments[-1] == Constant("oo")))
        for part in walk(node)
    )


def _has_bare_log(node: Node) -> bool:
    return any(isinstance(part, Call) and part.name == "log" and len(part.arguments) == 1 for part in walk(node))


def _log2_of_power(node: Node) -> Node | None:
    """The binary logarithm of a product of powers of numbers; None for anything else."""
    two = Number(Fraction(2))
    match node:
        case Number(value=value) if value > 0:
            return Call("log", (node, two))
        case Constant(name="pi" | "e"):
            return Call("log", (node, two))
        case Power(base=base, exponent=exponent):
            inner = _log2_of_power(base)
            return None if inner is None else Product((exponent, inner))
        case Product(factors=factors):
            terms = [_log2_of_power(factor) for factor in factors]
            known = [term for term in terms if term is not None]
            return Sum(tuple(known)) if len(known) == len(terms) else None
        case _:
            return None
