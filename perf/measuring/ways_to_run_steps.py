"""Four ways to run the steps of trees, and what a step costs in each."""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
import contextlib
import io
import multiprocessing
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from measuring.cpu import cpu_seconds
from measuring.step_trees import Tree
from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor

NUM_TREES_AT_ONCE = 64
"""As many problems as a run searches at once by default."""
CPU_S = 30.0


@dataclass(frozen=True)
class Cost:
    """Milliseconds per step."""

    cpu_ms: float
    wall_ms: float


def median_cost(costs: list[Cost]) -> Cost:
    """The median of each number."""
    return Cost(statistics.median(c.cpu_ms for c in costs), statistics.median(c.wall_ms for c in costs))


async def measured(work: Callable[[], Awaitable[int]]) -> Cost:
    """What `work`, which returns the number of its steps, costs per step."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    steps = await work()
    return Cost((cpu_seconds() - cpu) / steps * 1e3, (time.perf_counter() - wall) / steps * 1e3)


async def run_this(trees: list[Tree], slots: int) -> Cost:
    """This package's executor; starting it is not counted."""
    settings = ExecutionSettings(cpu_s=CPU_S, wall_s=20 * CPU_S, num_slots=slots)
    async with SandboxExecutor(settings) as executor:
        warm_up = ["0", "import numpy\n0", "import sympy\n0"]
        await asyncio.gather(*[executor.execute([], f"{code} + {i}") for code in warm_up for i in range(8 * slots)])
        gate = asyncio.Semaphore(NUM_TREES_AT_ONCE)

        async def one(tree: Tree) -> int:
            async with gate:
                prefix: list[str] = []
                for candidates in tree:
                    await executor.execute_all(prefix, candidates)  # as a search does
                    prefix = [*prefix, candidates[0]]
            return sum(map(len, tree))

        async def work() -> int:
            return sum(await asyncio.gather(*map(one, trees)))

        return await measured(work)


def is_print(node: ast.stmt) -> bool:
    """Whether a statement prints, as the released code decides it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "print"
    if isinstance(node, ast.If | ast.While | ast.For | ast.FunctionDef):
        return any(map(is_print, node.body))
    return False


def run_part(statements: list[ast.stmt], namespace: dict[str, Any]) -> str:
    """Runs statements from their text, and observes the last one."""
    exec(ast.unparse(ast.Module(statements[:-1], [])), namespace)
    last, printed = ast.unparse(ast.Module(statements[-1:], [])), io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            value = eval(last, namespace)
        except Exception:
            exec(last, namespace)
            value = None
    return printed.getvalue() if value is None else str(value)


def out_of_time(signum: int, frame: object) -> None:
    """Handler of the alarm."""
    raise TimeoutError


def replay(program: str) -> str:
    """One task of the pool: a whole program, of which the last candidate is part."""
    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 20 * CPU_S)
    try:
        body = ast.parse(program).body
        ends = [i for i, node in enumerate(body) if is_print(node)] or [len(body) - 1]
        if len(ends) == 1:
            ends = [len(body) - 1]
        namespace: dict[str, Any] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            return "".join(
                run_part(body[start + 1 : end + 1], namespace) for start, end in zip([-1, *ends], ends, strict=False)
            )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


async def run_pool(trees: list[Tree], slots: int) -> Cost:
    """A warm pool of processes that run the whole prefix again for each candidate."""
    import numpy  # noqa: F401  (imported before the pool forks)
    import sympy  # noqa: F401

    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(slots, mp_context=context) as pool:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(pool, replay, f"{i}") for i in range(8 * slots)])
        gate = asyncio.Semaphore(NUM_TREES_AT_ONCE)

        async def one(tree: Tree) -> int:
            async with gate:
                prefix = ""
                for candidates in tree:
                    await asyncio.gather(*[loop.run_in_executor(pool, replay, prefix + code) for code in candidates])
                    prefix += candidates[0] + "\n"
            return sum(map(len, tree))

        async def work() -> int:
            return sum(await asyncio.gather(*map(one, trees)))

        return await measured(work)


async def run_in_process(trees: list[Tree]) -> Cost:
    """Each step once, in this process."""
    import numpy  # noqa: F401
    import sympy  # noqa: F401

    async def work() -> int:
        steps = 0
        for tree in trees:
            namespace: dict[str, Any] = {}
            for candidates in tree:
                after = namespace
                for i, code in enumerate(candidates):
                    names = dict(namespace)
                    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
                        exec(compile(code, "<step>", "exec"), names)
                    if i == 0:
                        after = names
                    steps += 1
                namespace = after
        return steps

    return await measured(work)


async def run_interpreters(trees: list[Tree], sample: int = 6) -> Cost:
    """A new interpreter for each candidate, on a sample."""
    programs = []
    for tree in trees[:: max(1, len(trees) // sample)][:sample]:
        depth = len(tree) // 2
        programs.append("\n".join([*(level[0] for level in tree[:depth]), tree[depth][0]]))

    async def work() -> int:
        for program in programs:
            subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        return len(programs)

    return await measured(work)
