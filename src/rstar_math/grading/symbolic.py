"""Equality of expressions with variables, and math-verify for what this package cannot read.

Two expressions are equal where they agree, to 35 digits, at points drawn once and for all: for analytic expressions
an agreement by accident is out of the question, and nothing needs to be simplified. Complex values decide only
where there are no real ones, so that a choice of branch does not: at a point where one side leaves the reals on its
way, as the root of a negative number does, the two may differ.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rstar_math.grading.evaluate import Evaluator, context
from rstar_math.grading.guards import NotNumericError, TooLargeError, UndefinedError
from rstar_math.grading.kinds import Call, Constant, Node, Number, Power, Sum, Symbol, negated, symbols, walk

_BITS = 200
_RANGES = ((1.1, 3.0), (-3.0, -0.2), (0.1, 0.9), (4.0, 9.0), (1.1, 3.0), (-3.0, -0.2), (0.1, 0.9), (10.0, 30.0))
_ENOUGH_REAL_POINTS = 3
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
    names = sorted(symbols(left) | symbols(right))
    num_real = num_other = 0
    real_agree = other_agree = True
    for values in _points(names):
        pair = _values_at(left, right, values, common_log)
        if pair is None:
            continue
        first, second, epsilon, is_real = pair
        agree = _close(first, second, epsilon, tolerance)
        if is_real:
            num_real += 1
            real_agree &= agree
            if not agree:
                return False
        else:
            num_other += 1
            other_agree &= agree
    if num_real >= _ENOUGH_REAL_POINTS:
        return real_agree
    if num_real + num_other >= _ENOUGH_REAL_POINTS:
        return real_agree and other_agree
    return None


def identical_at_integers(left: Node, right: Node) -> bool:
    """Whether two expressions in integer-like variables agree at all the integers tried."""
    names = sorted(symbols(left) | symbols(right))
    if not names or not all(name[:1] in _INTEGER_NAMES for name in names):
        return False
    if not (_speaks_of_integers(left) or _speaks_of_integers(right)):
        return False
    mp = context()
    num_points = 0
    for i in range(1, 11):
        values = {name: mp.mpf(i + 2 * j if i % 2 else 3 * j + i) for j, name in enumerate(names)}
        pair = _values_at(left, right, values, common_log=False)
        if pair is None:
            continue
        first, second, epsilon, _ = pair
        if not _close(first, second, epsilon, 0.0):
            return False
        num_points += 1
    return num_points >= 6


def proportional(left: Node, right: Node, *, positive: bool = False) -> bool:
    """Whether left = c * right with a constant c other than 0, and above 0 where `positive`: equations as f = 0."""
    names = sorted(symbols(left) | symbols(right))
    if not names or symbols(left) != symbols(right):
        return False
    mp = context()
    ratio: Any = None
    num_points = 0
    for values in _points(names):
        pair = _values_at(left, right, values, common_log=False)
        if pair is None:
            continue
        first, second, epsilon, _ = pair
        if abs(second) <= epsilon or abs(first) <= epsilon:
            return False
        with mp.workprec(_BITS):
            current = first / second
            if ratio is None:
                ratio = current
            elif abs(current - ratio) > abs(ratio) * mp.mpf(2) ** -100:
                return False
        num_points += 1
    if num_points < _ENOUGH_REAL_POINTS:
        return False
    return not positive or (mp.im(ratio) == 0 and mp.re(ratio) > 0)


def differ_by_constant(left: Node, right: Node, constants: Iterable[str]) -> bool:
    """Whether two antiderivatives, their constants of integration set to 0, differ by a number only."""
    ignored = set(constants)
    names = sorted((symbols(left) | symbols(right)) - ignored)
    if not names:
        return False
    mp = context()
    difference: Any = None
    num_points = 0
    for values in _points(names):
        pair = _values_at(left, right, {**values, **{name: mp.mpf(0) for name in ignored}}, common_log=False)
        if pair is None:
            continue
        first, second, epsilon, is_real = pair
        if not is_real:
            continue
        with mp.workprec(_BITS):
            current = first - second
            if difference is None:
                difference = current
            elif abs(current - difference) > max(epsilon, abs(first) * mp.mpf(2) ** -100):
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


def _points(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    mp = context()
    for i, (low, high) in enumerate(_RANGES):
        values = {}
        for name in names:
            share = zlib.crc32(f"{name}/{i}".encode()) / 2**32
            values[name] = mp.mpf(low + (high - low) * share)
        yield values


def _values_at(left: Node, right: Node, values: dict[str, Any], common_log: bool) -> tuple[Any, Any, Any, bool] | None:
    """(left, right, absolute error, whether all is real) at a point; None where one has no finite value there."""
    mp = context()
    try:
        evaluators = [Evaluator(_BITS, values, common_log=common_log) for _ in range(2)]
        first, second = evaluators[0](left), evaluators[1](right)
    except (UndefinedError, TooLargeError, NotNumericError):
        return None
    if not (mp.isfinite(first) and mp.isfinite(second)):
        return None
    lost = max(evaluator.largest for evaluator in evaluators)
    if lost > _BITS - 60:
        return None
    is_real = not any(evaluator.met_complex for evaluator in evaluators)
    return first, second, mp.mpf(2) ** (max(lost, 0.0) - _BITS + 40), is_real


def _close(first: Any, second: Any, epsilon: Any, tolerance: float) -> bool:
    mp = context()
    with mp.workprec(_BITS):
        distance = abs(first - second)
        scale = max(abs(first), abs(second))
        if distance <= scale * max(mp.mpf(2) ** -120, tolerance):
            return True
        return bool(distance <= epsilon)


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


def math_verify_equal(gold: str, prediction: str) -> bool:
    """math-verify's own decision on two answers, its time-outs off: the worker's limits stand in for them."""
    from math_verify import parse, verify
    from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

    # math-verify warns about time-outs being off, and logs every text that it cannot read
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    targets = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    gold_values = parse(f"\\boxed{{{gold}}}", targets, parsing_timeout=None)
    prediction_values = parse(f"\\boxed{{{prediction}}}", targets, parsing_timeout=None)
    return bool(verify(gold_values, prediction_values, timeout_seconds=None))
