"""The points at which two expressions are compared: chosen by the expressions' own constants.

`|x + 500|` and `x + 500` agree wherever x is above -500, so points that are fixed beforehand show nothing. Here they
lie on both sides of every place where an expression may bend: around the roots of what stands in bars, under roots
and in logarithms, on every step of a floor over a whole period, and at both signs of every size that the constants
suggest. Where the steps cannot be listed, nothing is shown (`Coverage.complete` is false).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from rstar_math.grading.comparing.exact import exact_or_none
from rstar_math.grading.comparing.quotients import numerator_coefficients
from rstar_math.grading.comparing.roots import real_roots
from rstar_math.grading.reading.nodes import Call, Node, Number, Power, Sum, children, negated, symbols, walk

_RANGES = ((1.1, 3.0), (-3.0, -0.2), (0.1, 0.9), (4.0, 9.0), (1.1, 3.0), (-3.0, -0.2), (0.1, 0.9), (10.0, 30.0))
_STEPS = frozenset({"floor", "ceiling", "mod", "gcd", "lcm"})
_BENT = frozenset({"abs", "sign", "max", "min", "sqrt", "root", "ln", "log", "arcsin", "arccos", "arcsec", "arccsc"})
_INVERSES = frozenset({"arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc"})
_MAX_SIZES = 24
_MAX_BREAKS = 300
_MAX_PERIOD = 1_500
_MAX_TUPLES = 240

Point = dict[str, Fraction]
"""Values of the variables."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Points for a pair of expressions.

    Attributes:
      points: what to compare at, the quickest to refute first.
      complete: whether every piece of the expressions is met; otherwise agreement shows nothing.
    """

    points: tuple[Point, ...]
    complete: bool = True


def real_points(left: Node, right: Node) -> Coverage:
    """Points over the reals for two expressions."""
    names = sorted(symbols(left) | symbols(right))
    points = [{name: _drawn(f"{name}/{i}", low, high) for name in names} for i, (low, high) in enumerate(_RANGES)]
    parts = [part for node in (left, right) for part in walk(node)]
    if not any(_is_bent(part) for part in parts):
        return Coverage(tuple(points))
    sizes = _sizes((left, right))
    for number, size in enumerate(sizes):
        for i, (low, high) in enumerate(((0.2, 0.9), (1.1, 1.9), (2.1, 5.0))):
            for signs in ((1, -1), (-1, 1)) if len(names) == 1 else ((1, -1), (-1, 1), (1, 1), (-1, -1)):
                points.append(
                    {
                        name: signs[j % 2] * size * _drawn(f"{name}/{number}/{i}/{signs}", low, high)
                        for j, name in enumerate(names)
                    }
                )
    points = points[: 8 + _MAX_TUPLES]
    if len(names) != 1:
        return Coverage(tuple(points), complete=not any(_has_steps(part) for part in parts))
    breaks, complete = _breaks(parts)
    between = [(low + high) / 2 for low, high in pairwise(breaks)]
    if breaks:
        reach = max(abs(breaks[0]), abs(breaks[-1]), Fraction(1))
        between += [breaks[0] - reach / 7, breaks[0] - 3 * reach, breaks[-1] + reach / 7, breaks[-1] + 3 * reach]
    return Coverage((*points, *({names[0]: value} for value in between)), complete)


def integer_points(left: Node, right: Node) -> Coverage:
    """Points over the integers: beyond every constant, and over a whole period of remainders."""
    names = sorted(symbols(left) | symbols(right))
    parts = [part for node in (left, right) for part in walk(node)]
    only_natural = any(
        isinstance(part, Call) and part.name in {"sum", "prod", "factorial", "factorial2", "binomial", "gcd", "lcm"}
        for part in parts
    )
    special = sorted({value for size in _sizes((left, right)) for value in _neighbours(size)})
    has_series = any(isinstance(part, Call) and part.name in {"sum", "prod"} for part in parts)
    limit = 200 if has_series else 10**9
    special = [value for value in special if value <= limit]
    complete = True
    if any(_has_steps(part) for part in parts):
        period = _period(parts)
        complete = period is not None and period <= (150 if has_series else _MAX_PERIOD)
        last = (period or 0) + 30 if complete else 60
    else:
        last = 24
    small = list(range(1, last + 1))
    if len(names) == 1:
        values = [*range(1, 13), *special, *small]
        if not only_natural:
            values += [-value for value in [*range(1, 13), *special, *small[:120]]]
        return Coverage(tuple({names[0]: Fraction(value)} for value in dict.fromkeys(values)), complete)
    pool = [*range(1, 13), *special[:30]]
    points: list[Point] = []
    for i in range(120):
        point = {}
        for name in names:
            draw = zlib.crc32(f"{name}/{i}/integer".encode())
            value = pool[draw % len(pool)] if i % 3 else 1 + draw % 12
            point[name] = Fraction(-value if not only_natural and draw >> 16 & 1 else value)
        points.append(point)
    period = _period(parts)
    return Coverage(tuple(points), complete=period is not None and period <= 12)


def complex_points(left: Node, right: Node, letters: frozenset[str]) -> list[dict[str, tuple[Fraction, Fraction]]]:
    """Points as (real part, imaginary part), `letters` complex and the others real; "z bar" is the conjugate of z."""
    names = sorted(symbols(left) | symbols(right))
    sizes = [Fraction(1), *_sizes((left, right))[:5], Fraction(1000)]
    points = []
    for i in range(2 * len(sizes)):
        size = sizes[i // 2]
        point: dict[str, tuple[Fraction, Fraction]] = {}
        for name in names:
            letter = name.removesuffix(" bar") if name in letters else name
            real = size * _drawn(f"{letter}/{i}/real", 0.2, 1.9) * (-1) ** (i % 2)
            imaginary = size * _drawn(f"{letter}/{i}/imaginary", 0.2, 1.9) if name in letters else Fraction(0)
            point[name] = (real, imaginary if letter == name else -imaginary)
        points.append(point)
    return points


def _drawn(key: str, low: float, high: float) -> Fraction:
    """A number between two, the same for the same key; with a large denominator, so that it is no root of anything."""
    return Fraction(low + (high - low) * zlib.crc32(key.encode()) / 2**32)


def _is_bent(part: Node) -> bool:
    """Whether an expression may bend or break off: then agreement on one side of a place shows nothing of the other."""
    if isinstance(part, Call):
        return part.name in _STEPS or part.name in _BENT or part.name in _INVERSES
    return isinstance(part, Power) and _is_root(part.exponent) and bool(symbols(part.base))


def _has_steps(part: Node) -> bool:
    return isinstance(part, Call) and part.name in _STEPS and bool(symbols(part))


def _is_root(exponent: Node) -> bool:
    if symbols(exponent):
        return False
    value = exact_or_none(exponent)
    return value is None or value.denominator != 1


def _sizes(nodes: Sequence[Node]) -> list[Fraction]:
    """Sizes at which something may happen: the constants, their roots, squares, quotients, exponentials, logarithms."""
    constants: set[Fraction] = set()
    for node in nodes:
        _collect(node, constants)
    found = sorted(value for value in {abs(value) for value in constants} if 0 < value < 10**12)
    if len(found) > 10:
        found = found[:5] + found[-5:]
    sizes = set(found)
    for value in found:
        number = float(value)
        sizes.add(Fraction(math.sqrt(number)).limit_denominator(10**6))
        if number < 10**6:
            sizes.add(value * value)
        if number > 1.2:
            sizes.add(Fraction(math.log(number)).limit_denominator(10**6))
        if 1 < number < 20:
            sizes.add(Fraction(math.exp(number)).limit_denominator(10**6))
    sizes |= {one / two for one in found for two in found if one != two}
    sizes |= {sum(found, Fraction(0)), Fraction(1), Fraction(100)}
    ordered = sorted(size for size in sizes if size > 0)
    exact_first = sorted(found, reverse=True)
    rest = [size for size in reversed(ordered) if size not in exact_first]
    return (exact_first + rest)[:_MAX_SIZES]


def _collect(node: Node, found: set[Fraction]) -> None:
    """The values of the largest parts without variables, and of the numbers in them."""
    if not symbols(node):
        value = exact_or_none(node)
        if value is not None:
            found.add(value)
        found.update(part.value for part in walk(node) if isinstance(part, Number))
        return
    for part in children(node):
        _collect(part, found)


def _neighbours(size: Fraction) -> list[int]:
    whole = math.ceil(size)
    if whole > 10**7:
        return [whole]
    found = {whole - 1, whole, whole + 1, 2 * whole, 3 * whole + 1, whole * whole, *_prime_factors(whole)}
    return [value for value in found if value > 0]


def _prime_factors(value: int) -> list[int]:
    found = []
    factor = 2
    while factor * factor <= value and factor < 2_000:
        while value % factor == 0:
            found.append(factor)
            value //= factor
        factor += 1
    return [*found, value] if value > 1 else found


def _period(parts: Sequence[Node]) -> int | None:
    """A period of all remainders and floors in integers; None where there is none."""
    period = 1
    for part in parts:
        if not isinstance(part, Call) or part.name not in _STEPS or not symbols(part):
            continue
        if part.name in {"floor", "ceiling"}:
            found = _linear(part.arguments[0])
            if found is None:
                return None
            period = math.lcm(period, found[0].denominator)
            continue
        for argument in part.arguments:
            if symbols(argument):
                continue
            modulus = exact_or_none(argument)
            if not modulus or modulus.denominator != 1:
                return None
            period = math.lcm(period, abs(modulus.numerator))
        if period > 10**9:
            return None
    return period


def _linear(node: Node) -> tuple[Fraction, Fraction] | None:
    """(slope, constant) of an argument linear in one variable; None for any other."""
    found = numerator_coefficients(node)
    return (found[1], found[0]) if found is not None and len(found) == 2 else None


def _breaks(parts: Sequence[Node]) -> tuple[list[Fraction], bool]:
    """Where expressions in one variable may bend, sorted, and whether that is all of them."""
    found: set[Fraction] = set()
    complete = True
    floors: list[tuple[Fraction, Fraction]] = []
    for part in parts:
        if not symbols(part):
            continue
        for bend in _bends(part):
            numbers = numerator_coefficients(bend)
            if numbers is not None:
                found.update(Fraction(root).limit_denominator(10**9) for root in real_roots(numbers))
        if not isinstance(part, Call) or part.name not in _STEPS:
            continue
        lines = _steps_of(part)
        if lines is None:
            complete = False
        else:
            floors += lines
    if floors and complete:
        period = Fraction(1)
        for slope, _ in floors:
            own = abs(1 / slope)
            period = Fraction(math.lcm(period.numerator, own.numerator), math.gcd(period.denominator, own.denominator))
        num_steps = sum(period * abs(slope) + 1 for slope, _ in floors)
        if num_steps > _MAX_BREAKS // 2:
            return sorted(found), False
        for slope, constant in floors:
            first = math.floor(min(-period * slope, period * slope) + constant)
            last = math.ceil(max(-period * slope, period * slope) + constant)
            found.update((value - constant) / slope for value in range(first, last + 1))
    return sorted(found), complete


def _bends(part: Node) -> list[Node]:
    """What must be met at both signs: arguments of bars, roots, logarithms, and differences of what max compares."""
    match part:
        case Call(name="max" | "min", arguments=arguments):
            return [Sum((a, negated(b))) for i, a in enumerate(arguments) for b in arguments[:i]]
        case Call(name=name, arguments=(argument, *_)) if name in _BENT:
            return [argument]
        case Power(base=base, exponent=exponent) if _is_root(exponent):
            return [base, *(inner for inner in children(base) if symbols(inner))]
        case Power(base=base) if symbols(base):
            return [base]
        case _:
            return []


def _steps_of(part: Call) -> list[tuple[Fraction, Fraction]] | None:
    """The lines whose integer values are the steps of a floor or remainder; None where they cannot be listed."""
    if part.name in {"floor", "ceiling"}:
        found = _linear(part.arguments[0])
        return None if found is None else [found]
    if part.name == "mod" and not symbols(part.arguments[1]):
        found = _linear(part.arguments[0])
        modulus = exact_or_none(part.arguments[1])
        return None if found is None or not modulus else [(found[0] / modulus, found[1] / modulus)]
    return None
