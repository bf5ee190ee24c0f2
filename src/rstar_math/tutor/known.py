"""Solutions that the search found, step by step with their values; each is run once more, in a fresh process."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rstar_math.execution.base import Executor
from rstar_math.tutor.reading import Piece, parsed, pieces_of
from rstar_math.tutor.running import run
from rstar_math.types import Trajectory

MAX_SOLUTIONS = 12
_MAX_PARTS = 12
_NUMBERED = re.compile(r"^\s*(?:step\s*\d+\s*[:.)-]\s*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KnownStep:
    """One step of a solution.

    Attributes:
      words: its comment; "" where it has none.
      code: its statements.
      name: the variable that it sets, or None.
      value: what it computes, as text.
      expression: how, as source; "" where that is no single expression.
      needs: the steps whose results it uses, and those that these use, by index.
      parts: values that stand inside of it, none of which is the whole step.
    """

    words: str
    code: str
    name: str | None
    value: str
    expression: str
    needs: frozenset[int]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownSolution:
    """A finished solution.

    Attributes:
      steps: those that compute something, in order; the last one's value is the answer's.
      code: the whole program, statement by statement, in order.
    """

    steps: tuple[KnownStep, ...]
    code: tuple[str, ...]


async def known_solution(executor: Executor, trajectory: Trajectory) -> KnownSolution | None:
    """A trajectory as a known solution; None where its program does not run, or computes nothing.

    Raises:
      SandboxError: there is no sandbox, or it does not work.
    """
    written = [(_words(step.code), pieces_of(step.code)) for step in trajectory.steps if step.execution is not None]
    if any(pieces is None for _, pieces in written):
        return None
    grouped = [(words, pieces) for words, pieces in written if pieces]
    flat = [piece for _, pieces in grouped for piece in pieces]
    parts = [_parts(piece) for piece in flat]
    ran = await run(executor, (), flat, parts)
    if len(ran) < len(flat) or any(r.error for r in ran):
        return None
    steps: list[KnownStep] = []
    set_by: dict[str, int] = {}
    at = 0
    for words, pieces in grouped:
        mine = list(zip(pieces, ran[at : at + len(pieces)], strict=True))
        at += len(pieces)
        valued = [(p, r.value) for p, r in mine if r.value is not None and not _is_name(p.expression)]
        if not valued:
            continue
        last, value = valued[-1]
        used = {n for p in pieces for n in _names(p.code or p.expression or "")}
        direct = {set_by[n] for n in used if n in set_by}
        needs = frozenset(direct | {k for d in direct for k in steps[d].needs})
        inner = [v for p, v in valued[:-1]] + [v for _, r in mine for v in r.parts]
        inside = tuple(dict.fromkeys(v for v in inner if v != value))
        code = "\n".join(p.source for p in pieces)
        steps.append(KnownStep(words, code, last.name, value, last.expression or "", needs, inside))
        for piece in pieces:
            if piece.name is not None:
                set_by[piece.name] = len(steps) - 1
    if not steps:
        return None
    return KnownSolution(tuple(steps), tuple(p.code for p in flat if p.code))


def distinct(trajectories: Sequence[Trajectory]) -> Iterator[Trajectory]:
    """One trajectory for each program, in their order."""
    seen = set()
    for trajectory in trajectories:
        program = tuple(step.code.strip() for step in trajectory.steps if step.execution is not None)
        if program and program not in seen:
            seen.add(program)
            yield trajectory


def inner_expressions(expression: str) -> list[str]:
    """The computations inside of an expression, innermost first, the whole one included."""
    body = parsed(expression)
    if body is None or len(body) != 1 or not isinstance(body[0], ast.Expr):
        return []
    found: list[ast.expr] = []

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            walk(child)
        if isinstance(node, ast.BinOp | ast.Call):
            found.append(node)

    walk(body[0].value)
    return [ast.unparse(node) for node in found]


def uses(expression: str, name: str) -> bool:
    """Whether an expression uses a variable."""
    return name in _names(expression)


def _parts(piece: Piece) -> list[str]:
    whole = inner_expressions(piece.expression or "")
    return whole[:-1][:_MAX_PARTS]


def _is_name(expression: str | None) -> bool:
    return expression is not None and expression.isidentifier()


def _names(code: str) -> set[str]:
    body = parsed(code)
    return {n.id for s in body or [] for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _words(code: str) -> str:
    lines = [line.strip().lstrip("#").strip() for line in code.splitlines() if line.strip().startswith("#")]
    return _NUMBERED.sub("", " ".join(lines))[:400]
