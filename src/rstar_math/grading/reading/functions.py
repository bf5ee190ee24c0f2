"""Functions by the names that `tokens` gives them, applied to their arguments."""

from __future__ import annotations

from fractions import Fraction

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.nodes import (
    Call,
    Constant,
    Matrix,
    Node,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    negated,
    quotient,
    symbols,
)
from rstar_math.grading.reading.vectors import determinant

INVERSES = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")} | {
    name: f"ar{name}" for name in ("sinh", "cosh", "tanh")
}
"""The inverse of each function whose power of -1 is that."""


def applied(name: str, arguments: list[Node], base: Node | None) -> Node:
    """The node of a function call; plain arithmetic where the function is only another way of writing it."""
    first = arguments[0]
    if base is not None:
        if name != "log" or len(arguments) != 1:
            raise UnparsedError(f"{name} with a subscript")
        return Call("log", (first, base))
    match name, len(arguments):
        case "ratio_of", 2:
            return quotient(first, arguments[1])
        case "ratio_of", 1:
            return first
        case "add", _:
            return Sum(tuple(arguments))
        case "multiply", _:
            return Product(tuple(arguments))
        case "pow", 2:
            return Power(first, arguments[1])
        case "exp", 1:
            return Power(Constant("e"), first)
        case "ln", 1:
            return Call("ln", (first,))
        case "log", 1 | 2:
            return Call("log", tuple(arguments))
        case "log10" | "log2", 1:
            return Call("log", (first, Number(Fraction(10 if name == "log10" else 2))))
        case "cbrt", 1:
            return Call("root", (first, Number(Fraction(3))))
        case ("root", 2) | ("binomial", 2) | ("mod", 2):
            return Call(name, tuple(arguments))
        case "det", 1 if isinstance(first, Matrix):
            return determinant(first)
        case "conjugate", 1:
            return conjugated(first)
        case (("gcd" | "lcm" | "max" | "min"), _):
            return Call(name, tuple(arguments))
        case _, 1:
            return Call(name, (first,))
        case _:
            raise UnparsedError(f"{name} of {len(arguments)} arguments")


def conjugated(node: Node) -> Node:
    """The complex conjugate, brought down to the variables: a variable's own is another variable."""
    match node:
        case Number() | Constant(name="pi" | "e" | "oo"):
            return node
        case Constant(name="i"):
            return negated(node)
        case Symbol(name=name):
            return Symbol(name.removesuffix(" bar") if name.endswith(" bar") else f"{name} bar")
        case Sum(terms=terms):
            return Sum(tuple(conjugated(term) for term in terms))
        case Product(factors=factors):
            return Product(tuple(conjugated(factor) for factor in factors))
        case Power(base=base, exponent=Number() as exponent) if exponent.value.denominator == 1:
            return Power(conjugated(base), exponent)
        case _:
            if symbols(node):
                raise UnparsedError("the conjugate of a function")
            return Call("conjugate", (node,))
