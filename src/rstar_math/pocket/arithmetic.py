"""A small evaluator for the code of demonstrations: integer arithmetic, a few functions of `math`, `print` of a name.

It walks the syntax tree, and runs nothing: no `exec`, no `eval`. It is not the executor of candidate steps, which are
untrusted Python; demonstrations are made by this package. A test compares it with a real interpreter.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

_BINARY: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_BUILTINS: Mapping[str, Callable[..., int]] = {"min": min, "max": max, "abs": abs, "pow": pow}
_MATH: Mapping[str, Callable[..., int]] = {
    "comb": math.comb,
    "factorial": math.factorial,
    "gcd": math.gcd,
    "isqrt": math.isqrt,
    "lcm": math.lcm,
    "perm": math.perm,
}

FAILURES = (NameError, ZeroDivisionError, ValueError)
"""What the code of a demonstration may raise, here as in Python."""


class Namespace:
    """The variables and imported functions of one program."""

    __slots__ = ("functions", "variables")

    def __init__(self, variables: Mapping[str, int] | None = None, functions: frozenset[str] = frozenset()) -> None:
        self.variables: dict[str, int] = dict(variables or {})
        self.functions: set[str] = set(functions)

    def copy(self) -> Namespace:
        """A namespace of its own with the same contents."""
        return Namespace(self.variables, frozenset(self.functions))


def run(code: str, namespace: Namespace) -> str:
    """Runs statements in `namespace` and returns what they print.

    Raises:
      NameError, ZeroDivisionError, ValueError: as Python would.
      TypeError: a construct that demonstrations do not use; the family is written wrongly.
    """
    printed: list[str] = []
    for statement in _statements(code):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                namespace.variables[name] = _value(value, namespace)
            case ast.ImportFrom(module="math", names=names) if all(alias.name in _MATH for alias in names):
                namespace.functions.update(alias.name for alias in names)
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[argument])):
                printed.append(f"{_value(argument, namespace)}\n")
            case _:
                raise TypeError(f"demonstrations do not use {ast.unparse(statement)!r}")
    return "".join(printed)


@lru_cache(maxsize=4_096)
def _statements(code: str) -> tuple[ast.stmt, ...]:
    return tuple(
        ast.parse(code).body
    )  # the steps of a problem are run many times over, with other mistakes before them


def _value(node: ast.expr, namespace: Namespace) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            if name not in namespace.variables:
                raise NameError(f"name {name!r} is not defined")
            return namespace.variables[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            first, second = _value(left, namespace), _value(right, namespace)
            if isinstance(op, ast.Pow) and second < 0:
                raise TypeError(f"{first} ** {second} is not an integer")
            return _BINARY[type(op)](first, second)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            function = _MATH[name] if name in namespace.functions else _BUILTINS.get(name)
            if function is None:
                raise NameError(f"name {name!r} is not defined")
            return function(*(_value(argument, namespace) for argument in arguments))
    raise TypeError(f"demonstrations do not use {ast.unparse(node)!r}")
