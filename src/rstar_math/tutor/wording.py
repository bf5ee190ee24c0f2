"""What a tutor says: kinds of steps, what an expression computes, texts without the answer. Pure."""

from __future__ import annotations

import ast
import math
import re

from rstar_math.tutor.known import KnownStep
from rstar_math.tutor.reading import numbers_in, parsed

HIDDEN = "…"
"""Stands where the answer would."""

_OPERATIONS: dict[type[ast.operator], str] = {
    ast.Add: "sum",
    ast.Sub: "difference",
    ast.Mult: "product",
    ast.Div: "quotient",
    ast.FloorDiv: "quotient",
    ast.Mod: "remainder",
    ast.Pow: "power",
}
_CALLS = {
    "gcd": "greatest common divisor",
    "lcm": "least common multiple",
    "comb": "number of selections",
    "perm": "number of arrangements",
    "factorial": "factorial",
    "sqrt": "square root",
    "isqrt": "square root",
    "min": "smallest",
    "max": "largest",
    "abs": "distance from zero",
    "sum": "sum",
    "pow": "power",
    "len": "count",
}


def kind_of(step: KnownStep) -> str:
    """The first hint: what kind of step comes next, and from what."""
    operation = _operation(step.expression)
    what = f"a {operation}" if operation else "a computation"
    numbers = bool(numbers_in(step.expression))
    source = (
        ("what you have so far and a number" if numbers else "what you have so far")
        if step.needs
        else "numbers of the question"
    )
    return f"The next step is {what}, made from {source}."


def described(expression: str | None, value: str) -> str:
    """What an expression computes: `12 + 4` gives 16, the sum of 12 and 4."""
    if expression is None:
        return value
    node = _node(expression)
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return f"{value}, the {_OPERATIONS[type(op)]} of {ast.unparse(left)} and {ast.unparse(right)}"
        case ast.Constant():
            return f"{value}, as it stands"
    operation = _operation(expression)
    return f"{value}, a {operation}" if operation else value


def without(text: str, answer: str, question: str) -> str:
    """A text in which the answer does not stand; where the question names the same number, it is no secret."""
    secret = _number(answer)
    if secret is None:
        return text if not answer.strip() or answer in question else text.replace(answer, HIDDEN)
    if any(_number(n) == secret for n in numbers_in(question)):
        return text
    return re.sub(
        r"(?<![\w.])\d[\d,]*(?:\.\d+)?", lambda m: HIDDEN if _number(m[0].rstrip(",")) == abs(secret) else m[0], text
    )


def is_number_of(question: str, value: str) -> bool:
    """Whether a value stands in the question as a number."""
    number = _number(value)
    return number is not None and any(_number(n) == number for n in numbers_in(question))


def brief(text: str, length: int = 80) -> str:
    """A few characters of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _operation(expression: str) -> str | None:
    match _node(expression):
        case ast.BinOp(op=op):
            return _OPERATIONS.get(type(op))
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return _CALLS.get(name)
    return None


def _node(expression: str) -> ast.expr | None:
    body = parsed(expression)
    return body[0].value if body and len(body) == 1 and isinstance(body[0], ast.Expr) else None


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
