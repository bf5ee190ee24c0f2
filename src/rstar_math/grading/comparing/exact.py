"""The value of a rational expression as an exact fraction, its size bounded before it is computed."""

from __future__ import annotations

import math
from fractions import Fraction

from rstar_math.grading import bounds
from rstar_math.grading.bounds import TooLargeError, UndefinedError
from rstar_math.grading.reading.nodes import (
    Call,
    Group,
    Node,
    Number,
    Percent,
    Power,
    Product,
    Quantity,
    Sum,
    Symbol,
    symbols,
)


class NotRationalError(Exception):
    """A value is not a fraction, as far as arithmetic on fractions can tell."""


def exact(node: Node, values: dict[str, Fraction] | None = None) -> Fraction:
    """The exact value of a rational expression.

    Args:
      node: an expression.
      values: of its variables.

    Raises:
      NotRationalError: it has roots, constants or other functions in it, or variables without a value.
      UndefinedError: a division by zero.
      TooLargeError: the value would have more than `bounds.MAX_EXACT_BITS` bits.
    """
    values = values or {}
    bounds.spend(1)
    match node:
        case Number(value=value):
            return value
        case Symbol(name=name) if name in values:
            return values[name]
        case Sum(terms=terms):
            total = Fraction(0)
            for term in terms:
                total = _bounded(total + exact(term, values))
            return total
        case Product(factors=factors):
            result = Fraction(1)
            for factor in factors:
                result = _bounded(result * exact(factor, values))
            return result
        case Power(base=base, exponent=exponent):
            return _exact_power(exact(base, values), exact(exponent, values))
        case Percent(amount=amount):
            return exact(amount, values) / 100
        case Quantity(amount=amount) | Group(items=(amount,), bracket="[" | "{"):
            return exact(amount, values)
        case Call(name="sum" | "prod" as name, arguments=(body, Symbol(name=index), low, high)):
            return _exact_series(name, body, index, exact(low, values), exact(high, values), values)
        case Call(name="apply", arguments=(function, argument)) if not is_application(node):
            return exact(Product((function, argument)), values)
        case Call(name=name, arguments=arguments):
            return _exact_call(name, [exact(argument, values) for argument in arguments])
        case _:
            raise NotRationalError


def exact_or_none(node: Node) -> Fraction | None:
    """The exact value; None where it is no fraction, undefined or too large."""
    try:
        return exact(node)
    except (NotRationalError, UndefinedError, TooLargeError):
        return None


def _bounded(value: Fraction) -> Fraction:
    size = value.numerator.bit_length() + value.denominator.bit_length()
    if size > bounds.MAX_EXACT_BITS:
        raise TooLargeError
    if size > 10_000:
        bounds.spend((size // 6_000) ** 2)  # reducing fractions takes quadratic time
    return value


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        if exponent.denominator > 8 or base < 0:
            raise NotRationalError
        base = _exact_root(base, exponent.denominator)
    if base == 0 and exponent < 0:
        raise UndefinedError
    if base in (0, 1, -1):
        return base**exponent.numerator if abs(exponent.numerator) < 10**6 else base ** (exponent.numerator % 2 + 2)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent.numerator) * size > bounds.MAX_EXACT_BITS:
        raise TooLargeError
    return base**exponent.numerator


def _exact_root(value: Fraction, index: int) -> Fraction:
    """The real root of a fraction that is a perfect power.

    Raises:
      NotRationalError: it is none.
    """
    numerator, denominator = (_integer_root(abs(part), index) for part in (value.numerator, value.denominator))
    if value < 0 and index % 2 == 0:
        raise NotRationalError
    root = Fraction(numerator, denominator) * (-1 if value < 0 else 1)
    if root**index != value:
        raise NotRationalError
    return root


def _integer_root(value: int, index: int) -> int:
    if index == 2:
        return math.isqrt(value)
    if value.bit_length() > 4_000:  # the search below takes a step per bit
        raise NotRationalError
    low, high = 0, 1 << (value.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**index <= value:
            low = middle
        else:
            high = middle - 1
    return low


def _exact_series(
    name: str, body: Node, index: str, low: Fraction, high: Fraction, values: dict[str, Fraction]
) -> Fraction:
    if low.denominator != 1 or high.denominator != 1:
        raise NotRationalError
    if high - low > bounds.MAX_TERMS:
        raise TooLargeError
    result = Fraction(0 if name == "sum" else 1)
    for i in range(low.numerator, high.numerator + 1):
        term = exact(body, {**values, index: Fraction(i)})
        result = _bounded(result + term if name == "sum" else result * term)
    return result


def _exact_call(name: str, arguments: list[Fraction]) -> Fraction:
    """A function of fractions whose value is a fraction."""
    first = arguments[0]
    match name:
        case "degrees":
            return first
        case "abs":
            return abs(first)
        case "floor":
            return Fraction(math.floor(first))
        case "ceiling":
            return Fraction(math.ceil(first))
        case "sign":
            return Fraction((first > 0) - (first < 0))
        case "sqrt":
            return _exact_root(first, 2)
        case "root" if arguments[1].denominator == 1 and 2 <= arguments[1] <= 64:
            return _exact_root(first, int(arguments[1]))
        case "max" | "min":
            return max(arguments) if name == "max" else min(arguments)
        case "mod" if arguments[1]:
            return first % arguments[1]
    integers = [argument.numerator for argument in arguments if argument.denominator == 1]
    if len(integers) != len(arguments):
        raise NotRationalError
    match name:
        case "gcd":
            return Fraction(math.gcd(*integers))
        case "lcm":
            if sum(number.bit_length() for number in integers) > bounds.MAX_EXACT_BITS:
                raise TooLargeError
            return Fraction(math.lcm(*integers))
        case "factorial":
            return Fraction(_factorial(integers[0]))
        case "factorial2":
            return Fraction(_double_factorial(integers[0]))
        case "binomial":
            return Fraction(_binomial(*integers))
        case _:
            raise NotRationalError


def _factorial(n: int) -> int:
    if n < 0:
        raise UndefinedError
    if n > 20_000:
        raise TooLargeError
    return math.factorial(n)


def _double_factorial(n: int) -> int:
    if n < -1:
        raise UndefinedError
    if n > 10_000:
        raise TooLargeError
    return math.prod(range(n, 0, -2))


def _binomial(n: int, k: int) -> int:
    if k < 0 or n < 0:
        raise NotRationalError
    if min(k, n - k) * max(n, 1).bit_length() > bounds.MAX_EXACT_BITS // 4:
        raise TooLargeError
    return math.comb(n, k)


def is_application(node: Node) -> bool:
    """Whether a letter before brackets can only be a function: f(0) is no product, h(a + b) may be one."""
    match node:
        case Call(name="apply", arguments=(Symbol(name=name), argument)):
            return name.rstrip("'") in FUNCTION_LETTERS and not symbols(argument)
        case _:
            return False


FUNCTION_LETTERS = frozenset("fghFGHPQ")
"""Letters that name functions."""
