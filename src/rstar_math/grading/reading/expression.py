"""Expressions: a recursive descent over sums, products, powers, calls and what LaTeX has commands for."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import final

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.brackets import bracketed, cases
from rstar_math.grading.reading.calculus import derivative, integral, series
from rstar_math.grading.reading.constructors import OF_ONE, constructed, named_set
from rstar_math.grading.reading.cursor import Cursor
from rstar_math.grading.reading.functions import INVERSES, applied
from rstar_math.grading.reading.grammar import Grammar
from rstar_math.grading.reading.nodes import (
    MINUS_ONE,
    Based,
    Call,
    Constant,
    Group,
    Matrix,
    Named,
    Node,
    Number,
    Percent,
    Power,
    Product,
    Sum,
    Symbol,
    negated,
    product_of,
    quotient,
)
from rstar_math.grading.reading.scan import (
    Tokens,
    closing,
    depths,
    is_enclosed,
    split,
    stretches,
    written,
)
from rstar_math.grading.reading.tokens import Token
from rstar_math.grading.reading.trailing import unit_start
from rstar_math.grading.reading.vectors import determinant

_MATRICES = frozenset(
    {"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array", "psmallmatrix", "vector", "vmatrix"}
)
_INVERTIBLE = frozenset(Symbol(name) for name in "fghFGH")
_TWO = Number(Fraction(2))


@final
class Expression(Cursor):
    """The tokens of one expression, and how far they are read. What stands in brackets is read by the grammar."""

    def __init__(self, found: Tokens, grammar: Grammar) -> None:
        super().__init__(found)
        self._grammar = grammar

    def whole(self) -> Node:
        """The expression, which must use every token.

        Raises:
          UnparsedError: it does not.
        """
        if not self.tokens:
            raise UnparsedError("an empty expression")
        for value in ("choose", "over"):
            parts, separators = split(self.tokens, {value})
            if len(separators) == 1:
                upper, lower = map(self._grammar.expression, parts)
                return Call("binomial", (upper, lower)) if value == "choose" else quotient(upper, lower)
        node = self._sum()
        if self.i < len(self.tokens):
            raise UnparsedError(f"{self.tokens[self.i].value!r} where an expression should end")
        return node

    # sums, products and factors

    def _sum(self) -> Node:
        terms = [self._signed(self._product)]
        while self.at("+", "-"):
            terms.append(self._signed(self._product))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def _signed(self, read: Callable[[], Node]) -> Node:
        """What `read` reads behind any number of signs."""
        is_negative = False
        while self.at("+", "-"):
            is_negative ^= self.at("-")
            self.i += 1
        node = read()
        return negated(node) if is_negative else node

    def _product(self) -> Node:
        factors = [self._factor()]
        while True:
            if self.take("*"):
                factors.append(self._signed(self._factor))
            elif self.take("/"):
                divisor = self._signed(self._factor)
                opening = self.peek()
                if opening is not None and opening.value == "(" and divisor in _INVERTIBLE:  # 1/f(x)
                    divisor = self._application(divisor, opening) or divisor
                factors.append(quotient(factors.pop(), divisor))
            elif self.take("mod"):
                factors = [Call("mod", (product_of(factors), self._signed(self._factor)))]
            elif (after := self._start_of_factor()) is not None:
                if after.kind == "number" and self.tokens[self.i - 1].kind == "number":
                    raise UnparsedError("two numbers side by side")
                application = self._application(factors[-1], after)
                if application is None:
                    factors.append(self._factor())
                else:
                    factors[-1] = application
            else:
                return product_of(factors)

    def _application(self, function: Node, opening: Token) -> Node | None:
        """A variable with brackets directly behind it: f(x), or x(x + 1)."""
        is_inverse = isinstance(function, Power) and function.exponent == MINUS_ONE and function.base in _INVERTIBLE
        if not (isinstance(function, Symbol) or is_inverse) or opening.value not in {"(", "{"}:
            return None
        start = self.i
        inner = self.inside()
        following = self.peek()
        if opening.value == "{":  # sympy's LaTeX: f{(x)}
            if not inner or inner[0].value != "(" or not is_enclosed(inner):
                self.i = start
                return None
            inner = inner[1:-1]
        arguments = self._arguments(inner)
        if following is not None and following.value in {"^", "!", "%", "_", "'"}:
            self.i = start
            return None
        return Call("apply", (function, *arguments))

    def _start_of_factor(self) -> Token | None:
        """The token here where it begins a factor."""
        token = self.peek()
        if token is None:
            return None
        if token.kind == "operator":
            return token if token.value == "|" else None
        if token.kind == "command":
            return token if token.value in {"frac", "sqrt", "binom", "sum", "prod", "int"} else None
        return None if token.kind in {"close", "end", "text"} else token

    def _factor(self) -> Node:
        return self._postfix(self._mixed_number() or self._primary())

    def _mixed_number(self) -> Node | None:
        """An integer with a proper fraction of integers behind it: 1\\frac12, 1 1/2."""
        whole, following = self.peek(), self.peek(1)
        if whole is None or not _is_integer(whole) or following is None:
            return None
        assert whole.number is not None
        if following.kind == "command" and following.value == "frac":
            start = self.i
            self.i += 1
            inner = self.tokens[self.i + 1 : self._end_of_fraction(self.i)]
            if all(token.kind in {"number", "open", "close"} for token in inner):
                fraction = self._primary()
                if isinstance(fraction, Number) and not fraction.digits and 0 < fraction.value < 1:
                    return Number(whole.number.value + fraction.value)
            self.i = start
            return None
        bar, below = self.peek(2), self.peek(3)
        if bar is None or bar.value != "/" or below is None or not following.spaced:
            return None
        over, under = following.number, below.number
        if over is None or under is None or over.digits or under.digits or not 0 < over.value < under.value:
            return None
        self.i += 4
        return Number(whole.number.value + over.value / under.value)

    def _end_of_fraction(self, start: int) -> int:
        """Index behind the two brace groups of the fraction at `start`."""
        i = start + 1
        for _ in range(2):
            is_group = i < len(self.tokens) and self.tokens[i].value == "{"
            i = (closing(self.tokens, i) if is_group else i) + 1
        return i

    # what stands behind a value

    def _postfix(self, node: Node) -> Node:
        while True:
            if self.take("^"):
                node = self._raised(node)
            elif self.take("!"):
                node = Call("factorial2" if self.take("!") else "factorial", (node,))
            elif self.take("%"):
                node = Percent(node)
            elif self.take("_"):
                node = self._subscripted(node)
            elif self.take("'"):
                if isinstance(node, Symbol):
                    node = Symbol(node.name + "'")
                elif not isinstance(node, Number):  # feet, or minutes: a unit
                    raise UnparsedError("a prime on what has none")
            else:
                return node

    def _raised(self, base: Node) -> Node:
        """A power, with degrees, transposes and superscript words told apart."""
        token = self.here("a power without an exponent")
        if token.value == "circ":
            self.i += 1
            return self._degrees(base)
        if token.value == "{" and token.kind == "open":
            exponent = self._inner_expression()
        elif token.value in {"+", "-"}:
            exponent = self._signed(self._power)
        else:
            exponent = self._primary()
            if self.take("^"):  # Python's ** associates to the right
                exponent = self._raised(exponent)
            elif self.take("!"):
                exponent = Call("factorial", (exponent,))
        match base:
            case Matrix(rows=rows) if exponent == Symbol("T"):
                return Matrix(tuple(zip(*rows, strict=True)))
            case Group(items=items) if exponent == Symbol("T"):
                return Matrix(tuple((item,) for item in items))
            case Group(items=(item,), bracket="{"):
                return Power(item, exponent)
            case _:
                return Power(base, exponent)

    def _power(self) -> Node:
        """A value, or a power of one."""
        node = self._primary()
        return self._raised(node) if self.take("^") else node

    def _degrees(self, amount: Node) -> Node:
        """Degrees, with minutes and seconds of arc if they follow."""
        total: list[Node] = [amount]
        for marks, share in ((1, 60), (2, 3600)):
            start = self.i
            token = self.peek()
            if token is None or token.number is None:
                break
            self.i += 1
            while self.take("'"):
                pass
            if self.i - start != 1 + marks:
                self.i = start
                break
            total.append(Number(token.number.value / share))
        return Call("degrees", (total[0] if len(total) == 1 else Sum(tuple(total)),))

    def _subscripted(self, base: Node) -> Node:
        token = self.here("an empty subscript")
        if token.kind == "open":
            subscript = written(self.inside())
        else:
            self.i += 1
            subscript = token.value
        match base:
            case Symbol(name=name) | Constant(name="i" | "e" as name):
                return Symbol(f"{name}_{subscript}")
            case Number(value=value) if subscript.isdigit() and value.denominator == 1 and 0 <= value < 10**4000:
                digits = str(value.numerator)
                if 2 <= int(subscript) <= 36 and all(int(digit, 36) < int(subscript) for digit in digits):
                    return Based(digits, int(subscript))
        raise UnparsedError("a subscript on what has none")

    # values

    def _primary(self) -> Node:
        token = self.here("an expression that breaks off")
        if token.kind == "open":
            inner = self.inside()
            return bracketed(token.value, self.tokens[self.i - 1].value, inner, self._grammar)
        if token.kind == "begin":
            return self._environment(token.value)
        self.i += 1
        match token.kind:
            case "number":
                assert token.number is not None
                return token.number
            case "name":
                return Symbol(token.value)
            case "constant":
                return Constant(token.value)
            case "named":
                return named_set(token.value)
            case "function":
                return self._call(token.value)
            case "constructor":
                return self._constructed(token.value)
            case "command":
                return self._command(token.value)
            case "operator" if token.value == "dots":
                return Named("dots")
            case "operator" if token.value == "|":
                return self._absolute()
            case _:
                raise UnparsedError(f"{token.value!r} where a value should stand")

    def _absolute(self) -> Node:
        start = self.i
        for i, depth in enumerate(depths(self.tokens[start:]), start):
            token = self.tokens[i]
            if depth == 0 and token.kind == "operator" and token.value == "|" and i > start:
                self.i = i + 1
                inside = self._grammar.expression(self.tokens[start:i])
                return determinant(inside) if isinstance(inside, Matrix) else Call("abs", (inside,))
        raise UnparsedError("a bar that is never closed")

    def _environment(self, name: str) -> Node:
        inner = self.inside()
        if name in {"cases", "dcases", "rcases"}:
            return cases(inner, self._grammar)
        if name not in _MATRICES:
            raise UnparsedError(f"the environment {name}")
        cells = [split(row, {"&"})[0] for row in stretches(inner, {"row"})]
        if not cells or len({len(row) for row in cells}) != 1 or not all(cell for row in cells for cell in row):
            raise UnparsedError("rows of different length")
        matrix = Matrix(tuple(tuple(map(self._grammar.statement, row)) for row in cells))
        return determinant(matrix) if name == "vmatrix" else matrix

    def _constructed(self, name: str) -> Node:
        parts = stretches(self.inside(), {","})
        positional = [part for part in parts if not _is_keyword(part)]
        read = positional[:1] if name in OF_ONE else positional
        return constructed(name, [self._grammar.statement(part) for part in read])

    # commands

    def _command(self, name: str) -> Node:
        match name:
            case "frac":
                return derivative(self, self._product) or quotient(self._argument(), self._argument())
            case "int":
                return integral(self, self._grammar)
            case "binom":
                return Call("binomial", (self._argument(), self._argument()))
            case "sqrt":
                return self._root()
            case "sum" | "prod":
                return series(self, name, self._product, self._grammar)
            case _:
                raise UnparsedError(f"the command \\{name}")

    def _argument(self) -> Node:
        token = self.here("a command without its argument")
        return self._inner_expression() if token.kind == "open" and token.value == "{" else self._primary()

    def _inner_expression(self) -> Node:
        """The content of braces that LaTeX needs: one expression, a unit behind it left out."""
        inner = self.inside()
        end = unit_start(inner)
        return self._grammar.expression(inner[:end] if end else inner)

    def _root(self) -> Node:
        token = self.peek()
        index: Node = _TWO
        if token is not None and token.kind == "open" and token.value == "[":
            index = self._grammar.expression(self.inside())
        radicand = self._argument()
        return Call("sqrt", (radicand,)) if index == _TWO else Call("root", (radicand, index))

    # functions

    def _call(self, name: str) -> Node:
        """A function with its exponent or base, and its argument with or without brackets."""
        exponent: Node | None = None
        base: Node | None = None
        for _ in range(2):
            if exponent is None and self.take("^"):
                exponent = self._small_argument()
            elif base is None and self.take("_"):
                base = self._small_argument()
        token = self.here(f"{name} of nothing")
        openings = {"(", "[", "{"} | ({"\\{"} if name in {"max", "min", "gcd", "lcm"} else set())
        is_bracketed = token.kind == "open" and token.value in openings
        arguments = self._arguments(self.inside()) if is_bracketed else [self._bare_argument()]
        if name in INVERSES and exponent in (MINUS_ONE, Product((MINUS_ONE, Number(Fraction(1))))):
            name, exponent = INVERSES[name], None
        node = applied(name, arguments, base)
        return node if exponent is None else Power(node, exponent)

    def _arguments(self, inner: Tokens) -> list[Node]:
        parts = stretches(inner, {",", ";"})
        if not parts:
            raise UnparsedError("a function of nothing")
        return [self._grammar.statement(part) for part in parts]

    def _small_argument(self) -> Node:
        token = self.peek()
        if token is not None and token.kind == "open":
            return self._inner_expression()
        return self._signed(self._power) if self.at("-", "+") else self._primary()

    def _bare_argument(self) -> Node:
        """What a function without brackets applies to: a product, up to a sign or another function."""
        is_negative = self.take("-")
        factors = [self._factor()]
        while True:
            following = self.peek(1)
            if self.at("*") and following is not None and following.kind != "function":
                self.i += 1
                factors.append(self._factor())
            elif self.take("/"):
                factors.append(quotient(factors.pop(), self._factor()))
            elif (token := self._start_of_factor()) is not None and not (
                token.kind == "function"
                or (token.kind == "open" and token.value in {"(", "["})
                or (token.kind == "number" and self.tokens[self.i - 1].kind == "number")
            ):
                factors.append(self._factor())
            else:
                break
        node = product_of(factors)
        return negated(node) if is_negative else node


def _is_integer(token: Token) -> bool:
    return token.number is not None and not token.number.digits and token.number.value.denominator == 1


def _is_keyword(part: Tokens) -> bool:
    return len(part) > 2 and part[1].value == "=" and part[0].kind in {"text", "name"}
