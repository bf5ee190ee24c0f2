"""The value of an expression in as many bits as are needed.

Everything is bounded before it is computed: sizes by `bounds`, so that no input can hang or exhaust memory.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rstar_math.grading import bounds
from rstar_math.grading.bounds import NotNumericError, TooLargeError, UndefinedError
from rstar_math.grading.comparing.exact import is_application
from rstar_math.grading.reading.nodes import Call, Constant, Group, Node, Number, Percent, Power, Product, Sum, Symbol

_Value = Any
"""An mpf or mpc of mpmath, which has no types."""

_context: Any = None


def context() -> Any:
    """A context of mpmath's own for this package (its precision is global state)."""
    global _context
    if _context is None:
        import mpmath

        _context = mpmath.MPContext()
    return _context


LIMIT_BITS = 130
"""Working precision of integrals and infinite sums."""


class Evaluator:
    """Evaluates expressions to a number of bits.

    Attributes:
      largest: binary logarithm of the largest value met, so that a caller can tell how many bits were lost.
      met_complex: whether a value on the way was not real.
    """

    def __init__(
        self,
        bits: int,
        values: dict[str, _Value] | None = None,
        *,
        common_log: bool = False,
        real_roots: bool = False,
    ) -> None:
        """Args: bits: working precision. values: of variables. common_log: read a log without a base as decimal.

        real_roots: a power of a negative number with an odd denominator is real: (-8)^(1/3) is -2.
        """
        self._real_roots = real_roots
        self._bits = bits
        self._step = max(1, int((bits / 256) ** 1.5))
        self._values = values or {}
        self._common_log = common_log
        self._in_trigonometry = False
        self.largest = 0.0
        self.met_complex = False

    def __call__(self, node: Node) -> _Value:
        """The value of an expression.

        Raises:
          NotNumericError: it has none.
          UndefinedError: it does not exist.
          TooLargeError: see `bounds`.
        """
        mp = context()
        with mp.workprec(self._bits):
            try:
                value = self._value(node)
            except (ZeroDivisionError, mp.NoConvergence) as error:
                raise UndefinedError from error
            except (OverflowError, MemoryError) as error:
                raise TooLargeError from error
            except (TypeError, ValueError) as error:  # mpmath on arguments outside a function's domain
                raise UndefinedError from error
        if mp.isnan(value):
            raise UndefinedError
        return value

    def _value(self, node: Node) -> _Value:
        mp = context()
        bounds.spend(self._step)
        match node:
            case Number(value=value):
                return self._checked(mp.mpf(value.numerator) / value.denominator)
            case Constant(name=name):
                return self._constant(name)
            case Symbol(name=name):
                if name not in self._values:
                    raise NotNumericError
                return self._values[name]
            case Sum(terms=terms):
                total = mp.mpf(0)
                for term in terms:
                    total = total + self._value(term)
                return self._checked(total)
            case Product(factors=factors):
                result = mp.mpf(1)
                for factor in factors:
                    result = self._checked(result * self._value(factor))
                return result
            case Power(base=base, exponent=Number(value=exponent)) if self._real_roots and exponent.denominator % 2:
                return self._real_power(self._value(base), exponent)
            case Power(base=base, exponent=exponent):
                if base == Constant("e"):
                    return self._exponential(exponent)
                return self._power(self._value(base), self._value(exponent))
            case Percent(amount=amount):
                return self._value(amount) / 100
            case Group(items=(amount,), bracket="[" | "{"):
                return self._value(amount)
            case Call(name="derivative", arguments=(body, Symbol(name=index))):
                return self._derivative(body, index)
            case Call(name="integral", arguments=(body, Symbol(name=index), low, high)):
                return self._integral(body, index, low, high)
            case Call(name="sum", arguments=(body, Symbol(name=index), low, Constant(name="oo"))):
                return self._infinite_series(body, index, low)
            case Call(name="sum" | "prod" as name, arguments=(body, Symbol(name=index), low, high)):
                return self._series(name, body, index, low, high)
            case Call(name="apply", arguments=(function, argument)) if not is_application(node):
                return self._checked(self._value(function) * self._value(argument))
            case Call(name="apply", arguments=(Symbol(name=name), argument)):
                return self._unknown_function(name, self._value(argument))
            case Call(name=name, arguments=arguments):
                return self._call(name, arguments)
            case _:
                raise NotNumericError

    def _unknown_function(self, name: str, argument: _Value) -> _Value:
        """A number that stands for f(2): the same for the same function and argument, and no other."""
        mp = context()
        return 1 + mp.mpf(zlib.crc32(f"{name}({mp.nstr(argument, 30)})".encode())) / 2**31

    def _checked(self, value: _Value) -> _Value:
        """The value, its size noted and bounded."""
        mp = context()
        if not mp.isfinite(value):
            return value
        self.met_complex |= mp.im(value) != 0
        size = mp.mag(value)
        if size == mp.ninf:
            return value
        if abs(size) > bounds.MAX_LOG2:
            raise TooLargeError
        self.largest = max(self.largest, float(size))
        return value

    def _constant(self, name: str) -> _Value:
        mp = context()
        match name:
            case "pi":
                return +mp.pi
            case "e":
                return +mp.e
            case "i":
                return mp.mpc(0, 1)
            case "oo":
                return mp.inf
            case _:
                raise UndefinedError

    def _power(self, base: _Value, exponent: _Value) -> _Value:
        mp = context()
        if base == 0:
            if mp.re(exponent) < 0:
                raise UndefinedError
            return mp.mpf(1) if exponent == 0 else mp.mpf(0)
        if mp.isfinite(base) and mp.isfinite(exponent):
            if exponent != 0 and mp.mag(exponent) > 64:
                raise TooLargeError
            if abs(float(mp.mag(base))) * (abs(float(mp.re(exponent))) + abs(float(mp.im(exponent)))) > bounds.MAX_LOG2:
                raise TooLargeError
        return self._checked(mp.power(base, exponent))

    def _exponential(self, exponent: Node) -> _Value:
        """A power of e; degrees in its exponent are an angle, as in e^(60 i degrees)."""
        outside, self._in_trigonometry = self._in_trigonometry, True
        try:
            return self._power(self._constant("e"), self._value(exponent))
        finally:
            self._in_trigonometry = outside

    def _real_power(self, base: _Value, exponent: Fraction) -> _Value:
        """A power with an odd denominator, of a negative number the real one."""
        mp = context()
        value = mp.mpf(exponent.numerator) / exponent.denominator
        if exponent.denominator == 1 or mp.im(base) != 0 or mp.re(base) >= 0:
            return self._power(base, value)
        size = self._power(-base, value)
        return -size if exponent.numerator % 2 else size

    def _series(self, name: str, body: Node, index: str, low: Node, high: Node) -> _Value:
        mp = context()
        first, last = self._value(low), self._value(high)
        if not (mp.isfinite(first) and mp.isfinite(last)) or not (mp.isint(first) and mp.isint(last)):
            raise NotNumericError
        if last - first > bounds.MAX_TERMS:
            raise TooLargeError
        hidden = self._values
        result = mp.mpf(0 if name == "sum" else 1)
        try:
            for i in range(int(first), int(last) + 1):
                self._values = {**hidden, index: mp.mpf(i)}
                term = self._value(body)
                result = self._checked(result + term if name == "sum" else result * term)
        finally:
            self._values = hidden
        return result

    def _function_of(self, body: Node, index: str) -> Callable[[_Value], _Value]:
        """The body of a sum or integral as a function of its variable."""
        if self._bits > 2 * LIMIT_BITS:
            raise NotNumericError
        outside = self._values

        def at(value: _Value) -> _Value:
            self._values = {**outside, index: value}
            try:
                return self._value(body)
            except TooLargeError:  # far out, where what matters has vanished; a divergent integral shows before that
                return mp.mpf(0)
            finally:
                self._values = outside

        mp = context()
        return at

    def _derivative(self, body: Node, index: str) -> _Value:
        mp = context()
        if index not in self._values:
            raise NotNumericError
        return self._checked(mp.diff(self._function_of(body, index), self._values[index]))

    def _integral(self, body: Node, index: str, low: Node, high: Node) -> _Value:
        """A definite integral by quadrature, to about 35 digits; refused where the quadrature is not sure of it."""
        mp = context()
        function = self._function_of(body, index)
        value, error = mp.quad(function, [self._value(low), self._value(high)], error=True)
        if not mp.isfinite(value) or error > mp.mpf(10) ** -30 * (1 + abs(value)):
            raise NotNumericError
        return value

    def _infinite_series(self, body: Node, index: str, low: Node) -> _Value:
        """A sum without end, by extrapolation; refused where its terms do not become small."""
        mp = context()
        function = self._function_of(body, index)
        if not all(abs(function(mp.mpf(n))) < mp.mpf(10) ** -3 for n in (20_000, 20_001)):
            raise NotNumericError
        first = self._value(low)
        value = mp.nsum(function, [first, mp.inf])
        with mp.workprec(self._bits + 30):  # extrapolation that has not settled moves with the precision
            again = mp.nsum(function, [first, mp.inf])
        if not mp.isfinite(value) or abs(value - again) > mp.mpf(10) ** -27 * (1 + abs(value)):
            raise NotNumericError
        return value

    def _call(self, name: str, arguments: tuple[Node, ...]) -> _Value:
        mp = context()
        if name == "degrees":
            value = self._value(arguments[0])
            return value * mp.pi / 180 if self._in_trigonometry else value
        if name in _TRIGONOMETRIC:
            outside, self._in_trigonometry = self._in_trigonometry, True
            values = [self._value(argument) for argument in arguments]
            self._in_trigonometry = outside
        else:
            values = [self._value(argument) for argument in arguments]
        for value in values:
            if mp.isfinite(value) and value != 0 and mp.mag(value) > bounds.MAX_ARGUMENT_LOG2 and name not in _HARMLESS:
                raise TooLargeError
        if name == "log":
            return self._checked(self._log(values))
        if name in _LARGE:
            _check_gamma(values)
        function = _functions().get(name)
        if function is None:
            raise NotNumericError
        return self._checked(function(*values))

    def _log(self, values: list[_Value]) -> _Value:
        mp = context()
        if any(value == 0 for value in values):
            raise UndefinedError
        if len(values) == 2:
            return mp.log(values[0]) / mp.log(values[1])
        return mp.log(values[0]) / mp.log(10) if self._common_log else mp.log(values[0])


_TRIGONOMETRIC = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "cis"})
_HARMLESS = frozenset({"abs", "sqrt", "root", "log", "ln", "sign", "re", "im", "conjugate", "max", "min", "degrees"})
_LARGE = frozenset({"factorial", "factorial2", "binomial", "gamma"})


def _check_gamma(values: list[_Value]) -> None:
    """Factorials of numbers up to a million are computed; complex ones are small anyway."""
    mp = context()
    for value in values:
        if not mp.isfinite(value):
            raise UndefinedError
        if abs(value) > 1_000_000:
            raise TooLargeError


def _root(value: _Value, index: _Value) -> _Value:
    """The real root where there is one (the cube root of -8 is -2), otherwise the principal one."""
    mp = context()
    if index == 0:
        raise UndefinedError
    if mp.im(value) == 0 and mp.isint(index) and int(index) % 2 == 1 and mp.re(value) < 0:
        return -mp.power(-mp.re(value), 1 / mp.mpf(index))
    if value == 0:
        return mp.mpf(0)
    return mp.power(value, 1 / index)


def _real(value: _Value) -> _Value:
    mp = context()
    if mp.im(value) != 0:
        raise NotNumericError
    return mp.re(value)


_table: dict[str, Callable[..., _Value]] = {}


def _functions() -> dict[str, Callable[..., _Value]]:
    """mpmath's function for each name, made on first use."""
    if _table:
        return _table
    mp = context()

    def of_integers(function: Callable[..., int]) -> Callable[..., _Value]:
        def applied(*values: _Value) -> _Value:
            if not all(mp.im(value) == 0 and mp.isint(mp.re(value)) for value in values):
                raise NotNumericError
            return mp.mpf(function(*(int(mp.re(value)) for value in values)))

        return applied

    _table.update(
        {
            "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "cot": mp.cot, "sec": mp.sec, "csc": mp.csc,
            "cis": lambda value: mp.exp(mp.mpc(0, 1) * value),
            "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "coth": mp.coth, "sech": mp.sech, "csch": mp.csch,
            "arcsin": mp.asin, "arccos": mp.acos, "arctan": mp.atan, "arccot": mp.acot, "arcsec": mp.asec,
            "arccsc": mp.acsc, "arsinh": mp.asinh, "arcosh": mp.acosh, "artanh": mp.atanh,
            "ln": mp.log, "sqrt": mp.sqrt, "root": _root, "abs": abs,
            "floor": lambda value: mp.floor(_real(value)), "ceiling": lambda value: mp.ceil(_real(value)),
            "factorial": mp.factorial, "factorial2": mp.fac2, "gamma": mp.gamma, "binomial": mp.binomial,
            "re": mp.re, "im": mp.im, "conjugate": mp.conj, "sign": lambda value: mp.sign(_real(value)),
            "max": lambda *values: max(_real(value) for value in values),
            "min": lambda *values: min(_real(value) for value in values),
            "mod": lambda value, modulus: mp.fmod(_real(value), _real(modulus)),
            "gcd": of_integers(math.gcd), "lcm": of_integers(math.lcm),
            "degrees_of": mp.degrees, "arg": mp.arg, "erf": mp.erf, "zeta": mp.zeta,
        }
    )  # fmt: skip
    return _table


def approximately(node: Node) -> float:
    """The value of a real number as a float, for sorting only.

    Raises:
      NotNumericError: it is not a real number.
    """
    mp = context()
    try:
        value = Evaluator(120)(node)
    except (UndefinedError, TooLargeError) as error:
        raise NotNumericError from error
    if mp.im(value) != 0:
        raise NotNumericError
    return float(mp.re(value))
