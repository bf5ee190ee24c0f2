"""Rational expressions as quotients of polynomials with exact coefficients: what can be proved without test points.

Whatever is no polynomial (a sine, a root, a floor) becomes an indeterminate of its own, so that `|x| + y` and
`y + |x|` are still proved equal. Sizes are bounded; what is too large is left undecided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rstar_math.grading import bounds
from rstar_math.grading.comparing.exact import NotRationalError, exact, is_application
from rstar_math.grading.reading.nodes import (
    Call,
    Constant,
    Group,
    Node,
    Number,
    Percent,
    Power,
    Product,
    Sum,
    Symbol,
    symbols,
)

Monomial = tuple[tuple[int, int], ...]
"""(index of an indeterminate, exponent above 0), sorted by index."""

Polynomial = dict[Monomial, Fraction]
"""Coefficients, none of them 0, by monomial."""

_MAX_TERMS = 300
_MAX_POWER = 24
_MAX_DENOMINATORS = 24
_MAX_COEFFICIENT_BITS = 2_000


class UnprovedError(Exception):
    """An expression is too large, or holds what has no exact form."""


@dataclass(frozen=True, slots=True)
class Quotient:
    """A numerator over a product of polynomials; what divided the numerator exactly is cancelled.

    Attributes:
      numerator: a polynomial.
      denominators: factors of the denominator, constants left out.
    """

    numerator: Polynomial
    denominators: tuple[Polynomial, ...] = ()


class Ring:
    """The indeterminates of the expressions at hand, numbered as they are met."""

    def __init__(self) -> None:
        self._indices: dict[object, int] = {}
        self._imaginary: int | None = None

    @property
    def only_variables(self) -> bool:
        """Whether the indeterminates are independent: then different polynomials are different functions.

        Variables are, and so are they together with i and one of pi and e.
        """
        constants = [key for key in self._indices if isinstance(key, Constant) and key.name != "i"]
        others = [key for key in self._indices if not isinstance(key, (Constant, Symbol))]
        return not others and len(constants) <= 1

    def variables(self, polynomial: Polynomial) -> set[object]:
        """What the indeterminates of a polynomial stand for."""
        names = {index: key for key, index in self._indices.items()}
        return {names[index] for monomial in polynomial for index, _ in monomial}

    def index(self, key: object) -> int:
        """The number of an indeterminate."""
        index = self._indices.setdefault(key, len(self._indices))
        if key == Constant("i"):
            self._imaginary = index
        return index

    def quotient(self, node: Node) -> Quotient:
        """An expression as a quotient of polynomials.

        Raises:
          UnprovedError: it is too large, or has no exact form.
          bounds.UndefinedError: a division by zero.
        """
        bounds.spend(1)
        match node:
            case Number(value=value):
                return Quotient(_constant(value))
            case Symbol() | Constant(name="pi" | "e" | "i"):
                return self._indeterminate(node)
            case Sum(terms=terms):
                return self._sum([self.quotient(term) for term in terms])
            case Product(factors=factors):
                result = Quotient(_constant(Fraction(1)))
                for factor in factors:
                    result = self._product(result, self.quotient(factor))
                return result
            case Power(base=Number() as base, exponent=Number() as exponent):
                return self._number_power(base, exponent)
            case Power(base=base, exponent=Number(value=exponent)) if exponent.denominator == 1:
                return self._power(self.quotient(base), int(exponent))
            case Percent(amount=amount):
                inner = self.quotient(amount)
                return Quotient(scaled(inner.numerator, Fraction(1, 100)), inner.denominators)
            case Group(items=(amount,), bracket="[" | "{"):
                return self.quotient(amount)
            case Call(name="apply", arguments=(function, argument)) if not is_application(node):
                return self._product(self.quotient(function), self.quotient(argument))
            case Call(name="sum" | "prod" | "integral" | "derivative"):
                return self._indeterminate(("series", node))
            case Call(name=name, arguments=arguments):
                is_even = name in {"abs", "cos", "cosh"}
                return self._indeterminate((name, tuple(self._key(argument, is_even) for argument in arguments)))
            case Power(base=base, exponent=exponent):
                return self._indeterminate(("power", self._key(base), self._key(exponent)))
            case _:
                raise UnprovedError

    def _key(self, node: Node, is_even: bool = False) -> object:
        """An argument of a function, the same for arguments that are equal as polynomials (or opposite: `is_even`)."""
        try:
            found = self.quotient(node)
        except UnprovedError:
            return node
        numerator = found.numerator
        if is_even and numerator and numerator[_leading(numerator)] < 0:
            numerator = scaled(numerator, Fraction(-1))
        return node if found.denominators else frozenset(numerator.items())

    def _indeterminate(self, key: object) -> Quotient:
        return Quotient({((self.index(key), 1),): Fraction(1)})

    def _sum(self, terms: Sequence[Quotient]) -> Quotient:
        total = Quotient({})
        for term in terms:
            common, missing_left, missing_right = _common(total.denominators, term.denominators)
            left = self.times(total.numerator, *missing_left)
            right = self.times(term.numerator, *missing_right)
            total = _cancelled(_added(left, right), common)
        return total

    def _product(self, left: Quotient, right: Quotient) -> Quotient:
        return _cancelled(self.times(left.numerator, right.numerator), (*left.denominators, *right.denominators))

    def _number_power(self, base: Number, exponent: Number) -> Quotient:
        """A power of numbers: a number where it is a fraction, otherwise an indeterminate."""
        try:
            return Quotient(_checked(_constant(exact(Power(base, exponent)))))
        except NotRationalError:
            return self._indeterminate(("power", base, exponent))
        except bounds.TooLargeError as error:
            raise UnprovedError from error

    def _power(self, base: Quotient, exponent: int) -> Quotient:
        if abs(exponent) > _MAX_POWER:
            raise UnprovedError
        if exponent < 0:
            if not base.numerator:
                raise bounds.UndefinedError
            numerator = self.times(_constant(Fraction(1)), *base.denominators)
            base = _cancelled(numerator, (base.numerator,))
        result = Quotient(_constant(Fraction(1)))
        for _ in range(abs(exponent)):
            result = self._product(result, base)
        return result

    def times(self, first: Polynomial, *others: Polynomial) -> Polynomial:
        """The product of polynomials."""
        result = first
        for other in others:
            if len(result) * len(other) > 20 * _MAX_TERMS:
                raise UnprovedError
            bounds.spend(1 + len(result) * len(other) // 20)
            found: Polynomial = {}
            for one, a in result.items():
                for two, b in other.items():
                    monomial, sign = self._merged(one, two)
                    found[monomial] = found.get(monomial, Fraction(0)) + sign * a * b
            result = _checked(found)
        return result

    def _merged(self, one: Monomial, two: Monomial) -> tuple[Monomial, int]:
        exponents = dict(one)
        for index, exponent in two:
            exponents[index] = exponents.get(index, 0) + exponent
        sign = 1
        if self._imaginary in exponents:
            power = exponents[self._imaginary] % 4
            sign = -1 if power >= 2 else 1
            exponents[self._imaginary] = power % 2
        return tuple(sorted((index, exponent) for index, exponent in exponents.items() if exponent)), sign


def equal(left: Node, right: Node) -> bool | None:
    """Whether two expressions are equal as rational functions; None where exact arithmetic cannot tell."""
    ring = Ring()
    try:
        first, second = ring.quotient(left), ring.quotient(right)
        difference = _added(
            ring.times(first.numerator, *second.denominators),
            scaled(ring.times(second.numerator, *first.denominators), Fraction(-1)),
        )
    except (UnprovedError, bounds.UndefinedError):
        return None
    if not difference:
        return True
    return False if ring.only_variables else None


def scaled(polynomial: Polynomial, factor: Fraction) -> Polynomial:
    """A polynomial times a number other than 0."""
    return {monomial: coefficient * factor for monomial, coefficient in polynomial.items()}


def monic(polynomial: Polynomial) -> Polynomial:
    """A polynomial, not 0, divided by its leading coefficient."""
    return scaled(polynomial, 1 / polynomial[_leading(polynomial)])


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
    return _checked(found)


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


def numerator_coefficients(node: Node) -> list[Fraction] | None:
    """Coefficients, the constant first, of the numerator of an expression in one variable; None for any other."""
    found = _in_one_variable(node)
    return None if found is None else coefficients(found.numerator)


def rational_coefficients(node: Node) -> list[Fraction] | None:
    """Coefficients, the constant first, of a polynomial in one variable; None for anything else."""
    found = _in_one_variable(node)
    return None if found is None or found.denominators else coefficients(found.numerator)


def _in_one_variable(node: Node) -> Quotient | None:
    ring = Ring()
    try:
        found = ring.quotient(node)
    except (UnprovedError, bounds.UndefinedError):
        return None
    if len(symbols(node)) != 1 or any(isinstance(key, tuple) for key in ring.variables(found.numerator)):
        return None
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
    return sorted(found, key=lambda row: _leading(row), reverse=True)


def _eliminated(row: Polynomial, pivot: Polynomial) -> Polynomial:
    factor = row.get(_leading(pivot))
    return _added(row, scaled(pivot, -factor)) if factor else row


def _constant(value: Fraction) -> Polynomial:
    return {(): value} if value else {}


def _added(left: Polynomial, right: Polynomial) -> Polynomial:
    found = dict(left)
    for monomial, coefficient in right.items():
        found[monomial] = found.get(monomial, Fraction(0)) + coefficient
    return _checked(found)


def _checked(polynomial: Polynomial) -> Polynomial:
    found = {monomial: coefficient for monomial, coefficient in polynomial.items() if coefficient}
    if len(found) > _MAX_TERMS:
        raise UnprovedError
    if any(max(map(int.bit_length, c.as_integer_ratio())) > _MAX_COEFFICIENT_BITS for c in found.values()):
        raise UnprovedError
    return found


def _common(
    left: tuple[Polynomial, ...], right: tuple[Polynomial, ...]
) -> tuple[tuple[Polynomial, ...], list[Polynomial], list[Polynomial]]:
    """The factors of a common denominator, and what each side lacks of it."""
    missing_left = list(right)
    missing_right: list[Polynomial] = []
    for factor in left:
        if factor in missing_left:
            missing_left.remove(factor)
        else:
            missing_right.append(factor)
    return (*left, *missing_left), missing_left, missing_right


def _cancelled(numerator: Polynomial, denominators: tuple[Polynomial, ...]) -> Quotient:
    """The quotient with monic denominators, those left out that are numbers or divide the numerator."""
    if not numerator:
        return Quotient({})
    if len(denominators) > _MAX_DENOMINATORS:
        raise UnprovedError
    bounds.spend(len(denominators))
    kept: list[Polynomial] = []
    for denominator in denominators:
        pending = _split_monomial(denominator)
        for factor in pending:
            numerator = scaled(numerator, 1 / factor[_leading(factor)])
            reduced = monic(factor)
            if is_constant(reduced):
                continue
            divided = _divided(numerator, reduced)
            if divided is not None:
                numerator = divided
            else:
                kept.append(reduced)
    return Quotient(numerator, tuple(kept))


def _split_monomial(polynomial: Polynomial) -> list[Polynomial]:
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


def _leading(polynomial: Polynomial) -> Monomial:
    """The greatest monomial: by indeterminates in the order of their numbers, then by exponents."""
    return max(polynomial, key=_order)


def _order(monomial: Monomial) -> tuple[tuple[int, int], ...]:
    return tuple((-index, power) for index, power in monomial)


def _divided(numerator: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """numerator / divisor where the division is exact; None otherwise."""
    lead = _leading(divisor)
    quotient: Polynomial = {}
    rest = dict(numerator)
    for _ in range(_MAX_TERMS):
        if not rest:
            return quotient
        greatest = _leading(rest)
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
