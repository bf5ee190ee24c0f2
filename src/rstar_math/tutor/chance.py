"""Whether a formula is right, or gives the right number by chance: what it gives with other numbers in the question.

`2 + 2` for `2 * 2` is right by chance: with 5 in place of each 2 it is not. Numbers of the question, and results that
are written as numbers, are changed in the learner's formula and in the known solution alike; where it is not clear what
a number stands for, every reading is tried, and one that agrees is enough. Floors become exact quotients in one of two
ways of computing, so that `p * 15 / 100` is `p * 15 // 100`. Whatever cannot be compared so counts as right.
"""

from __future__ import annotations

import ast
import copy
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rstar_math.execution.base import Executor
from rstar_math.tutor.known import KnownSolution
from rstar_math.tutor.reading import numbers_in, parsed

_NUM_WORLDS = 3
_MAX_READINGS = 16
_SMALL = 12
"""A number up to this that stands more often in a formula than in the question may be the formula's own."""

World = Mapping[float, int]
"""What stands in the place of each number of the question."""


async def by_chance(
    executor: Executor,
    question: str,
    solution: KnownSolution,
    step: int,
    expression: str,
    names: Mapping[str, int | str],
) -> bool:
    """Whether an expression with the value of a known step is not the same formula.

    Args:
      executor: the sandbox.
      question: its numbers are changed.
      solution, step: what it has the value of.
      expression: of the learner; its value is that of the step.
      names: what the names in it stand for: a step of the solution, or a number as text.

    Raises:
      SandboxError: there is no sandbox, or it does not work.
    """
    theirs, known = _expression(expression), _expression(solution.steps[step].expression)
    if theirs is None or known is None or ast.dump(theirs) == ast.dump(known):
        return False
    asked = Counter(_number(n) for n in numbers_in(question))
    program = _program(solution, step)
    own = Counter(n for line in program for s in parsed(line) or [] for n in _numbers(s))
    results = {k: _number(s.value) for k, s in enumerate(solution.steps[:step])}
    theirs = _Named(names).visit(theirs)
    if _unknown_names(theirs, program) or any(
        n not in asked and n not in own and n not in results.values() for n in _numbers(theirs)
    ):
        return False  # 0.85 for 1 - 15 / 100: nothing says what becomes of it
    worlds = [_world(asked, seed) for seed in range(_NUM_WORLDS)]
    readings = _readings(_numbers(theirs), asked, results)
    differs = False
    for exact in (True, False):
        known_values = await _known(executor, program, asked, own, worlds, exact)
        agrees = await _agrees(executor, theirs, readings, worlds, known_values, program, exact)
        if agrees:
            return False
        differs |= agrees is False
    return differs


async def same_way(executor: Executor, question: str, a: KnownSolution, b: KnownSolution) -> bool:
    """Whether two solutions with the same answer also have the same answer with other numbers in the question.

    True where that cannot be computed, and where one of them has numbers of its own: 400 cents for 4 dollars.
    """
    asked = Counter(_number(n) for n in numbers_in(question))
    own = [{n for c in s.code for t in parsed(c) or [] for n in _numbers(t) if n not in asked} for s in (a, b)]
    if own[0] != own[1]:
        return True
    worlds = [_world(asked, seed) for seed in range(_NUM_WORLDS)]
    differs = False
    for exact in (True, False):
        ends = []
        for s in (a, b):
            last = len(s.steps) - 1
            (row,) = await _known(executor, _program(s, last), asked, Counter(), worlds, exact)
            ends.append([values[-1] if values else None for values in row])
        pairs = [(x, y) for x, y in zip(*ends, strict=True) if x is not None and y is not None]
        if pairs and all(_same(x, y) for x, y in pairs):
            return True
        differs |= len(pairs) > 1
    return not differs


def _program(solution: KnownSolution, step: int) -> list[str]:
    """The statements up to a step, imports of the whole program first; behind each step its value is kept."""
    imports = [c for c in solution.code if c.startswith(("import ", "from ")) and "*" not in c]
    lines = list(imports)
    for known in solution.steps[: step + 1]:
        lines += [line for line in known.code.split("\n") if not line.startswith(("import ", "from "))]
        lines.append(f"rstar_v.append({known.name or known.expression})")
    return lines


async def _known(
    executor: Executor,
    program: Sequence[str],
    asked: Counter[float],
    own: Counter[float],
    worlds: Sequence[World],
    exact: bool,
) -> list[list[list[str] | None]]:
    """Of each reading of the known program and each world: the values of its steps."""
    doubtful = {n for n, num in own.items() if num > asked[n] > 0 and abs(n) <= _SMALL and num <= 4}
    num_doubtful = sum(own[n] for n in doubtful)
    functions = []
    for keeps in itertools.islice(itertools.product((False, True), repeat=num_doubtful), _MAX_READINGS):
        for world in worlds:
            turn = iter(keeps)

            def put(n: float, world: World = world, turn: object = turn) -> str | None:
                if n not in world or (n in doubtful and next(turn)):  # type: ignore[call-overload]
                    return None
                return str(world[n])

            body = [_rewritten(line, put, exact) for line in program]
            functions.append(["rstar_v = []", *body, "return rstar_v"])
    values = await _evaluated(executor, (), functions)
    return [values[i : i + len(worlds)] for i in range(0, len(values), len(worlds))]


async def _agrees(
    executor: Executor,
    theirs: ast.expr,
    readings: Sequence[Sequence[str]],
    worlds: Sequence[World],
    known: Sequence[Sequence[list[str] | None]],
    program: Sequence[str],
    exact: bool,
) -> bool | None:
    """Whether some reading agrees with the known step in every world; None where none could be computed."""
    functions: list[list[str]] = []
    wanted: list[tuple[tuple[int, int], str]] = []
    for i, rows in enumerate(known):
        for j, slots in enumerate(readings):
            for world, values in zip(worlds, rows, strict=True):
                if values is None:
                    continue
                turn = iter(slots)

                def put(n: float, world: World = world, values: list[str] = values, turn: object = turn) -> str | None:
                    slot: str = next(turn)  # type: ignore[call-overload]
                    return str(world[n]) if slot == "question" else values[int(slot)] if slot else None

                given = f"rstar_v = [{', '.join(values)}]"
                functions.append([given, f"return [{_rewritten(ast.unparse(theirs), put, exact)}]"])
                wanted.append(((i, j), values[-1]))
    imports = [line for line in program if line.startswith(("import ", "from "))]
    found = await _evaluated(executor, imports, functions)
    agree: dict[tuple[int, int], list[bool]] = {}
    for (key, want), got in zip(wanted, found, strict=True):
        if got:
            agree.setdefault(key, []).append(_same(want, got[0]))
    if any(len(found) == len(worlds) and all(found) for found in agree.values()):
        return True
    return False if any(len(found) > 1 for found in agree.values()) else None


async def _evaluated(
    executor: Executor, imports: Sequence[str], functions: Sequence[Sequence[str]]
) -> list[list[str] | None]:
    """What functions give, each a list of numbers as text; None for one that fails."""
    if not functions:
        return []
    lines = ["def rstar_told(i, f):", "    try:", "        print(i, *map(repr, f()), sep='\\t')"]
    lines += ["    except Exception:", "        print(i)"]
    for i, body in enumerate(functions):
        lines += [f"def rstar_f():\n    {text}" for text in ["\n    ".join("\n".join(body).split("\n"))]]
        lines.append(f"rstar_told({i}, rstar_f)")
    executions = await executor.execute_program([*imports, "\n".join(lines)])
    found: list[list[str] | None] = [None] * len(functions)
    if len(executions) > len(imports):
        for line in executions[-1].output.splitlines():
            number, *values = line.split("\t")
            if number.isdigit() and int(number) < len(found):
                found[int(number)] = values or None
    return found


def _readings(numbers: Sequence[float], asked: Counter[float], results: Mapping[int, float]) -> list[list[str]]:
    """What each number of a formula may stand for: "question", a step, or "" for itself."""
    counts = Counter(numbers)
    choices = []
    for n in numbers:
        mine = ["question"] if n in asked else []
        mine += [str(k) for k, value in results.items() if value == n]
        if not mine or (n in asked and counts[n] > asked[n] and abs(n) <= _SMALL):
            mine.append("")
        choices.append(mine)
    return [list(found) for found in itertools.islice(itertools.product(*choices), _MAX_READINGS)]


def _world(asked: Counter[float], seed: int) -> dict[float, int]:
    """Other numbers for those of a question, near enough to be as cheap to compute with."""
    rng = random.Random(f"world {seed}")
    taken: set[int] = set()
    world = {}
    for n in sorted(asked):
        new = (
            next(
                v
                for _ in range(100)
                if (v := round(n) + rng.randint(1, 5 + round(abs(n)) // 3)) not in taken and v not in asked
            )
            if len(asked) < 40
            else round(n) + 1
        )
        taken.add(new)
        world[n] = new
    return world


def _rewritten(source: str, put: Callable[[float], str | None], exact: bool) -> str:
    """Source with other numbers, in the order in which they stand."""
    return "\n".join(ast.unparse(_Changed(put, exact).visit(s)) for s in parsed(source) or [])


class _Changed(ast.NodeTransformer):
    """Puts other numbers in, and makes quotients exact."""

    def __init__(self, put: Callable[[float], str | None], exact: bool) -> None:
        self._put, self._exact = put, exact

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return node
        text = self._put(float(node.value))
        return node if text is None else ast.parse(f"({text})", mode="eval").body

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return node if isinstance(node.value, ast.Name) and node.value.id == "rstar_v" else self.generic_visit(node)  # type: ignore[return-value]

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if self._exact and isinstance(node.op, ast.FloorDiv):
            node.op = ast.Div()
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = (
            node.func.id
            if isinstance(node.func, ast.Name)
            else node.func.attr
            if isinstance(node.func, ast.Attribute)
            else ""
        )
        if self._exact and name in ("int", "round", "floor", "ceil", "float") and len(node.args) == 1:
            return node.args[0]
        return node


class _Named(ast.NodeTransformer):
    """Puts in what the learner's names stand for."""

    def __init__(self, names: Mapping[str, int | str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        meant = self._names.get(node.id)
        if meant is None or not isinstance(node.ctx, ast.Load):
            return node
        return ast.parse(f"rstar_v[{meant}]" if isinstance(meant, int) else f"({meant})", mode="eval").body


def _expression(source: str) -> ast.expr | None:
    body = parsed(source)
    return body[0].value if body and len(body) == 1 and isinstance(body[0], ast.Expr) else None


def _numbers(tree: ast.AST) -> list[float]:
    """The numbers of a tree in the order of `_Changed`; not those of `rstar_v[k]`."""
    found: list[float] = []

    def put(n: float) -> None:
        found.append(n)

    _Changed(put, False).visit(copy.deepcopy(tree))
    return found


def _unknown_names(tree: ast.expr, program: Sequence[str]) -> bool:
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    text = "\n".join(program)
    return any(
        n.id != "rstar_v"
        and not (id(n) in called and (n.id in text or n.id in ("pow", "min", "max", "abs", "sum", "int", "round")))
        for n in ast.walk(tree)
        if isinstance(n, ast.Name)
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _same(a: str, b: str) -> bool:
    x, y = _number(a), _number(b)
    return a == b or (math.isfinite(x) and math.isfinite(y) and math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9))
