"""Public test double of step execution: understands sums, `print` and `exit()`, runs no program.

Made for the programs of `rstar_math.engines.fake.FakeEngine`, on which it agrees with real Python.
"""

from __future__ import annotations

import ast
import asyncio
import operator
import zlib
from collections.abc import Callable, Sequence

from rstar_math.execution.inside.protocol import left_well
from rstar_math.execution.observation import RecordedExecution, Statement
from rstar_math.types import Execution

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class FakeExecutor:
    """An executor whose result depends on (prefix, code) alone.

    It knows assignments of whole-number sums to names, `print` of one value, and the ways to leave (`exit()`, `quit()`,
    `sys.exit()`, `raise SystemExit`); anything else is a program that fails with `FakeUnknown`. Answers after a number
    of event loop turns drawn from the code and `latency_seed`.

    Attributes:
      num_executions: steps executed so far, those of whole programs included.
    """

    def __init__(self, *, max_latency_turns: int = 3, latency_seed: int = 0) -> None:
        self.num_executions = 0
        self._max_latency_turns = max_latency_turns
        self._latency_seed = latency_seed

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs `code` after `prefix`."""
        await self._wait([*prefix, code])
        self.num_executions += 1
        names: dict[str, int] = {}
        for earlier in prefix:
            _run(earlier, names)
        return _run(code, names)

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program, up to the first step that fails."""
        await self._wait(steps)
        names: dict[str, int] = {}
        executions: list[Execution] = []
        for code in steps:
            self.num_executions += 1
            executions.append(_run(code, names))
            if not executions[-1].ok:
                break
        return executions

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        """The same, with what each statement did."""
        executions = await self.execute_program(steps)
        names: dict[str, int] = {}
        recorded: list[Execution] = []
        for code, whole in zip(steps, executions, strict=False):
            body = ast.parse(code).body if whole.ok else []
            leaves = next((i + 1 for i, statement in enumerate(body) if _left(statement, names) is not None), None)
            parts = [ast.unparse(statement) for statement in body[:leaves]]
            statements = tuple(
                Statement(_run(part, names).output, label=f"{part[6:-1]}:" if part.startswith("print(") else None)
                for part in parts
            )
            recorded.append(RecordedExecution(whole.status, whole.output, whole.error, whole.seconds, statements))
        return recorded

    async def aclose(self) -> None:
        """Does nothing: the fake holds nothing."""

    async def _wait(self, steps: Sequence[str]) -> None:
        key = zlib.crc32(f"{self._latency_seed} {steps}".encode())
        for _ in range(key % (self._max_latency_turns + 1)):
            await asyncio.sleep(0)


def _run(code: str, names: dict[str, int]) -> Execution:
    """Runs one step in `names`, which keeps what it defined."""
    printed: list[str] = []
    try:
        for statement in ast.parse(code).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    names[name] = _value(value, names)
                case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[value], keywords=[])):
                    printed.append(f"{_value(value, names)}\n")
                case ast.Pass() | ast.Import(names=[ast.alias(name="sys", asname=None)]):
                    pass
                case _ if (left := _left(statement, names)) is not None:
                    if not left_well(left):
                        raise left
                    break
                case _:
                    raise FakeUnknown(f"the fake executor does not know: {ast.unparse(statement)}")
    except (SyntaxError, NameError, ZeroDivisionError, FakeUnknown, SystemExit) as error:
        return Execution("error", "".join(printed), f"{type(error).__name__}: {error}")
    return Execution("ok", "".join(printed))


def _left(statement: ast.stmt, names: dict[str, int]) -> SystemExit | None:
    """How a statement leaves the program; None for one that does not."""
    match statement:
        case ast.Raise(exc=ast.Name(id="SystemExit")):
            return SystemExit()
        case (
            ast.Expr(value=ast.Call(func=ast.Name(id="exit" | "quit"), args=args, keywords=[]))
            | ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id="sys"), attr="exit"), args=args, keywords=[])
            )
            | ast.Raise(exc=ast.Call(func=ast.Name(id="SystemExit"), args=args, keywords=[]))
        ):
            match args:
                case []:
                    return SystemExit(None)  # as `exit()` does: its message is "None"
                case [ast.Constant(value=None | str() as code)]:
                    return SystemExit(code)
                case [value]:
                    return SystemExit(_value(value, names))
    return None


class FakeUnknown(Exception):
    """The program uses Python that the fake executor does not know."""


def _value(expression: ast.expr, names: dict[str, int]) -> int:
    match expression:
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.Name(id=name):
            if name not in names:
                raise NameError(f"name {name!r} is not defined")
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case _:
            raise FakeUnknown(f"the fake executor does not know: {ast.unparse(expression)}")
