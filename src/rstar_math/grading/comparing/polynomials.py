"""Polynomials with exact coefficients in numbered indeterminates; `quotients.py` makes them from expressions."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from rstar_math.grading import bounds

Monomial = tuple[tuple[int, int], ...]
"""(index of an indeterminate, exponent above 0), sorted by index."""

Polynomial = dict[Monomial, Fraction]
"""Coefficients, none of them 0, by monomial."""

MAX_TERMS = 300
_MAX_COEFFICIENT_BITS = 2_000


class UnprovedError(Exception):
    """An expression is too large, or holds what has no exact form."""


def scaled(polynomial: Polynomial, factor: Fraction) -> Polynomial:
    """A polynomial times a number other than 0."""
    return {monomial: coefficient * factor for monomial, coefficient in polynomial.items()}


def monic(polynomial: Polynomial) -> Polynomial:
    """A polynomial, not 0, divided by its leading coefficient."""
    return scaled(polynomial, 1 / polynomial[leading(polynomial)])


def is_constant(polynomial: Polynomial) -> bool:
    """Whether a polynomial is a number."""
    return all(not monomial for monomial in polynomial)


def degree(polynomial: Polynomial) -> int:
    """The total degree; 0 for numbers."""
    return max((sum(exponent for _, exponent in monomial) for monomial in polynomial), default=0)


def substituted(polynomial: Polynomial, index: int, value: Fraction) -> Polynomial:
    """A polynomial with a number for one of its indeterminates."""
    found: Polynomial = {}
    for monomial, coefficient in polynomial.items():
        power = dict(monomial).get(index, 0)
        rest = tuple(part for part in monomial if part[0] != index)
        found[rest] = found.get(rest, Fraction(0)) + coefficient * value**power
    return checked(found)


def line(polynomial: Polynomial) -> tuple[int, Fraction, Fraction] | None:
    """(indeterminate, slope, constant) of a polynomial of degree 1 in one indeterminate; None for any other."""
    slopes = [(monomial[0][0], coefficient) for monomial, coefficient in polynomial.items() if monomial]
    if len(slopes) != 1 or degree(polynomial) != 1:
        return None
    return slopes[0][0], slopes[0][1], polynomial.get((), Fraction(0))


def coefficients(polynomial: Polynomial) -> list[Fraction] | None:
    """Coefficients, the constant first, of a polynomial in one indeterminate; None for any other."""
    if len({index for monomial in polynomial for index, _ in monomial}) != 1:
        return None
    found = [Fraction(0)] * (degree(polynomial) + 1)
    for monomial, coefficient in polynomial.items():
        found[monomial[0][1] if monomial else 0] = coefficient
    return found


def same_span(left: Iterable[Polynomial], right: Iterable[Polynomial]) -> bool:
    """Whether two lists of polynomials of degree 1 have the same solutions: the same reduced echelon form."""
    return _reduced(left) == _reduced(right)


def _reduced(rows: Iterable[Polynomial]) -> list[Polynomial]:
    """Rows of a linear system in reduced echelon form, monomials as columns, the constant last."""
    found: list[Polynomial] = []
    for row in rows:
        rest = dict(row)
        for known in found:
            rest = _eliminated(rest, known)
        if rest:
            pivot = monic(rest)
            found = [_eliminated(known, pivot) for known in found]
            found.append(pivot)
    return sorted(found, key=lambda row: leading(row), reverse=True)


def _eliminated(row: Polynomial, pivot: Polynomial) -> Polynomial:
    factor = row.get(leading(pivot))
    return added(row, scaled(pivot, -factor)) if factor else row


def constant(value: Fraction) -> Polynomial:
    """A number as a polynomial."""
    return {(): value} if value else {}


def added(left: Polynomial, right: Polynomial) -> Polynomial:
    """The sum of two polynomials.

    Raises:
      UnprovedError: it is too large.
    """
    found = dict(left)
    for monomial, coefficient in right.items():
        found[monomial] = found.get(monomial, Fraction(0)) + coefficient
    return checked(found)


def checked(polynomial: Polynomial) -> Polynomial:
    """A polynomial without the coefficients that are 0.

    Raises:
      UnprovedError: it is too large.
    """
    found = {monomial: coefficient for monomial, coefficient in polynomial.items() if coefficient}
    if len(found) > MAX_TERMS:
        raise UnprovedError
    if any(max(map(int.bit_length, c.as_integer_ratio())) > _MAX_COEFFICIENT_BITS for c in found.values()):
        raise UnprovedError
    return found


def split_monomial(polynomial: Polynomial) -> list[Polynomial]:
    """A polynomial as the indeterminates that divide it, one by one, and the rest."""
    shared: dict[int, int] = dict(next(iter(polynomial)))
    for monomial in polynomial:
        exponents = dict(monomial)
        shared = {index: min(power, exponents.get(index, 0)) for index, power in shared.items()}
    if not any(shared.values()):
        return [polynomial]
    rest = {
        tuple((index, power - shared.get(index, 0)) for index, power in monomial if power > shared.get(index, 0)): c
        for monomial, c in polynomial.items()
    }
    singles: list[Polynomial] = [{((index, 1),): Fraction(1)} for index, power in shared.items() for _ in range(power)]
    return [rest, *singles]


def leading(polynomial: Polynomial) -> Monomial:
    """The greatest monomial: by indeterminates in the order of their numbers, then by exponents."""
    return max(polynomial, key=_order)


def _order(monomial: Monomial) -> tuple[tuple[int, int], ...]:
    return tuple((-index, power) for index, power in monomial)


def divided(numerator: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """numerator / divisor where the division is exact; None otherwise."""
    lead = leading(divisor)
    quotient: Polynomial = {}
    rest = dict(numerator)
    for _ in range(MAX_TERMS):
        if not rest:
            return quotient
        greatest = leading(rest)
        powers = dict(greatest)
        for index, power in lead:
            powers[index] = powers.get(index, 0) - power
        if min(powers.values(), default=0) < 0:
            return None
        monomial = tuple(sorted((index, power) for index, power in powers.items() if power))
        factor = rest[greatest] / divisor[lead]
        quotient[monomial] = quotient.get(monomial, Fraction(0)) + factor
        for other, coefficient in divisor.items():
            product = dict(other)
            for index, power in monomial:
                product[index] = product.get(index, 0) + power
            key = tuple(sorted(product.items()))
            rest[key] = rest.get(key, Fraction(0)) - factor * coefficient
            if not rest[key]:
                del rest[key]
        bounds.spend(1 + len(divisor) // 10)
    return None
