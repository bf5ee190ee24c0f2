"""What an answer can be: the nodes that `parse` builds and `compare` compares.

Expressions (`Number` to `Call`) have a value; the other kinds are containers, relations and sets of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal


@dataclass(frozen=True, slots=True)
class Number:
    """A literal.

    Attributes:
      value: its exact value.
      digits: significant digits written, where it has a decimal point or an exponent; 0 for integers.
      last_place: value of one unit in the last digit written, where `digits` is above 0.
    """

    value: Fraction
    digits: int = 0
    last_place: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Constant:
    """One of "pi", "e", "i", "oo" (infinity), "zoo" (undefined)."""

    name: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable, subscripts and primes included: "x", "a_1", "theta"."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of its terms."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """The product of its factors."""

    factors: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """base ** exponent; a quotient is a product with a power of -1."""

    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to its arguments, by its name in `evaluate`; with names of its own:

    "sum", "prod" and "integral" have the arguments body, index, lower and upper bound, "derivative" body and variable;
    "apply" is a variable before brackets, which is a product for the value and an application for the name: f(x).
    """

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Several answers or coordinates. `bracket`: "(" tuple, "[" list, "{" set, "" a bare list, "<" vector."""

    items: tuple[Node, ...]
    bracket: Literal["(", "[", "{", "", "<"]


@dataclass(frozen=True, slots=True)
class Range:
    """An interval of the real line."""

    low: Node
    high: Node
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True, slots=True)
class SetOperation:
    """Union, intersection or difference of sets."""

    operator: Literal["union", "intersection", "difference"]
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain such as 1 < x <= 2: one operator fewer than sides. Operators: = != < <= > >= ~ in."""

    sides: tuple[Node, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Values by name, as sympy's solvers print them."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Percent:
    """A number of hundredths."""

    amount: Node


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit, or with any words behind it.

    Attributes:
      amount: the number.
      unit: the words, normalised by `units.canonical`.
      product: the reading in which the unit is a variable instead ("5 m"); None where the words are no variable.
      attached: the unit is a letter right behind the number ("2h"): a unit only beside a number without one.
      compound: several units were added up (1 hour 30 minutes); the amount is in the smallest of them.
    """

    amount: Node
    unit: str
    product: Node | None = None
    attached: bool = False
    compound: bool = False


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two or more numbers with colons between them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Based:
    """Digits, perhaps with a point, with their base as subscript: 1011_2."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Named:
    """A special set or a word of logic: "reals", "integers", "empty", "true", "false"; or "dots"."""

    name: str


@dataclass(frozen=True, slots=True)
class Piecewise:
    """Values with the condition under which each holds; `Named("true")` where nothing before it does."""

    pieces: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Congruence:
    """Residues modulo a number.

    Attributes:
      residues: one value, or a list in any order.
      modulus: a positive integer.
    """

    residues: Node
    modulus: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A left-hand side that is read as a name only, such as "P(A|B)" or "the area"."""

    text: str


Node = (
    Number
    | Constant
    | Symbol
    | Sum
    | Product
    | Power
    | Call
    | Group
    | Range
    | SetOperation
    | Relation
    | Matrix
    | Mapping
    | Percent
    | Quantity
    | Ratio
    | Based
    | Named
    | Piecewise
    | Congruence
    | Opaque
)

EXPRESSIONS = (Number, Constant, Symbol, Sum, Product, Power, Call)
"""The kinds that have a value by themselves."""

SCALARS = (*EXPRESSIONS, Percent, Quantity, Based, Ratio)
"""The kinds that are one value, whatever stands around it."""

MINUS_ONE = Number(Fraction(-1))


def children(node: Node) -> tuple[Node, ...]:
    """The direct parts of a node."""
    match node:
        case Sum(terms=parts) | Product(factors=parts) | Call(arguments=parts) | Group(items=parts):
            return parts
        case SetOperation(parts=parts) | Relation(sides=parts) | Ratio(parts=parts):
            return parts
        case Power(base=base, exponent=exponent):
            return (base, exponent)
        case Range(low=low, high=high):
            return (low, high)
        case Mapping(pairs=rows) | Piecewise(pieces=rows) | Matrix(rows=rows):
            return tuple(part for row in rows for part in row)
        case Congruence(residues=part) | Percent(amount=part) | Quantity(amount=part):
            return (part,)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(children(node))


def symbols(node: Node) -> frozenset[str]:
    """Names of the free variables in a node: the index of a sum or product is none."""
    match node:
        case Symbol(name=name):
            return frozenset({name})
        case Call(name="sum" | "prod" | "integral", arguments=(body, Symbol(name=index), low, high)):
            return (symbols(body) - {index}) | symbols(low) | symbols(high)
        case _:
            return frozenset().union(*(symbols(part) for part in children(node)))


def renamed(node: Node, names: dict[str, str]) -> Node:
    """The node with other names for its variables, those of sums and functions included."""
    return with_leaves(node, {Symbol(old): Symbol(new) for old, new in names.items()})


def with_constant_named(node: Node, constant: str, name: str) -> Node:
    """The node with a variable in place of one of its constants."""
    return with_leaves(node, {Constant(constant): Symbol(name)})


def with_leaves(node: Node, leaves: dict[Node, Node]) -> Node:
    """The node with others in place of some variables and constants."""
    if isinstance(node, (Symbol, Constant)):
        return leaves.get(node, node)
    return with_parts(node, partial(with_leaves, leaves=leaves))


def with_parts(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with its direct parts changed: those of expressions, groups, sets, relations, matrices and percents."""
    match node:
        case Sum(terms=parts):
            return Sum(tuple(map(change, parts)))
        case Product(factors=parts):
            return Product(tuple(map(change, parts)))
        case Power(base=base, exponent=exponent):
            return Power(change(base), change(exponent))
        case Call(name=name, arguments=parts):
            return Call(name, tuple(map(change, parts)))
        case Group(items=parts, bracket=bracket):
            return Group(tuple(map(change, parts)), bracket)
        case Range(low=low, high=high, low_closed=low_closed, high_closed=high_closed):
            return Range(change(low), change(high), low_closed, high_closed)
        case SetOperation(operator=operator, parts=parts):
            return SetOperation(operator, tuple(map(change, parts)))
        case Relation(sides=parts, operators=operators):
            return Relation(tuple(map(change, parts)), operators)
        case Matrix(rows=rows):
            return Matrix(tuple(tuple(map(change, row)) for row in rows))
        case Percent(amount=amount):
            return Percent(change(amount))
        case _:
            return node


BOUND = "bound"
"""The name of a variable that only builds a set: {x : x > 2} is {y : y > 2}."""


def negated(node: Node) -> Node:
    """The node times -1."""
    if isinstance(node, Number):
        return Number(-node.value, node.digits, node.last_place)
    return Product((MINUS_ONE, node))


def quotient(numerator: Node, denominator: Node) -> Node:
    """numerator / denominator; the exact fraction where both are integers."""
    match numerator, denominator:
        case Number(value=over, digits=0), Number(value=under, digits=0) if under:
            return Number(over / under)
        case _:
            return Product((numerator, Power(denominator, MINUS_ONE)))


def product_of(factors: Sequence[Node]) -> Node:
    """The product of factors, LaTeX's braces and square brackets around one value left out."""
    if len(factors) == 1:
        return factors[0]
    factors = [_unwrapped(factor, "{") for factor in factors]
    matrices = [factor for factor in factors if isinstance(factor, Matrix)]
    if len(matrices) == 1:
        scalars = [factor for factor in factors if not isinstance(factor, Matrix)]
        return Matrix(tuple(tuple(Product((*scalars, cell)) for cell in row) for row in matrices[0].rows))
    return Product(tuple(_unwrapped(factor, "[") for factor in factors))


def _unwrapped(node: Node, bracket: str) -> Node:
    return node.items[0] if isinstance(node, Group) and node.bracket == bracket and len(node.items) == 1 else node
