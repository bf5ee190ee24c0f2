"""Rational expressions as quotients of polynomials with exact coefficients: what can be proved without test points.

Whatever is no polynomial (a sine, a root, a floor) becomes an indeterminate of its own, so that `|x| + y` and
`y + |x|` are still proved equal. Sizes are bounded; what is too large is left undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rstar_math.grading import bounds
from rstar_math.grading.comparing.exact import NotRationalError, exact, is_application
from rstar_math.grading.comparing.polynomials import (
    MAX_TERMS,
    Monomial,
    Polynomial,
    UnprovedError,
    added,
    checked,
    coefficients,
    constant,
    divided,
    is_constant,
    leading,
    monic,
    scaled,
    split_monomial,
)
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

_MAX_POWER = 24
_MAX_DENOMINATORS = 24


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
                return Quotient(constant(value))
            case Symbol() | Constant(name="pi" | "e" | "i"):
                return self._indeterminate(node)
            case Sum(terms=terms):
                return self._sum([self.quotient(term) for term in terms])
            case Product(factors=factors):
                result = Quotient(constant(Fraction(1)))
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
        if is_even and numerator and numerator[leading(numerator)] < 0:
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
            total = _cancelled(added(left, right), common)
        return total

    def _product(self, left: Quotient, right: Quotient) -> Quotient:
        return _cancelled(self.times(left.numerator, right.numerator), (*left.denominators, *right.denominators))

    def _number_power(self, base: Number, exponent: Number) -> Quotient:
        """A power of numbers: a number where it is a fraction, otherwise an indeterminate."""
        try:
            return Quotient(checked(constant(exact(Power(base, exponent)))))
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
            numerator = self.times(constant(Fraction(1)), *base.denominators)
            base = _cancelled(numerator, (base.numerator,))
        result = Quotient(constant(Fraction(1)))
        for _ in range(abs(exponent)):
            result = self._product(result, base)
        return result

    def times(self, first: Polynomial, *others: Polynomial) -> Polynomial:
        """The product of polynomials.

        Raises:
          UnprovedError: it is too large.
        """
        result = first
        for other in others:
            if len(result) * len(other) > 20 * MAX_TERMS:
                raise UnprovedError
            bounds.spend(1 + len(result) * len(other) // 20)
            found: Polynomial = {}
            for one, a in result.items():
                for two, b in other.items():
                    monomial, sign = self._merged(one, two)
                    found[monomial] = found.get(monomial, Fraction(0)) + sign * a * b
            result = checked(found)
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
        difference = added(
            ring.times(first.numerator, *second.denominators),
            scaled(ring.times(second.numerator, *first.denominators), Fraction(-1)),
        )
    except (UnprovedError, bounds.UndefinedError):
        return None
    if not difference:
        return True
    return False if ring.only_variables else None


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
        pending = split_monomial(denominator)
        for factor in pending:
            numerator = scaled(numerator, 1 / factor[leading(factor)])
            reduced = monic(factor)
            if is_constant(reduced):
                continue
            smaller = divided(numerator, reduced)
            if smaller is not None:
                numerator = smaller
            else:
                kept.append(reduced)
    return Quotient(numerator, tuple(kept))
