"""CPU milliseconds per executed step: this executor beside three other ways to run steps.

    python perf/execution.py [--json FILE] [--rows trivial,numpy,sympy,real] [--slots 2] [--turns 3] [--distinct]

A search asks for trees of steps: each node has 8 candidates for the next step, of which one is gone on from. Six of ten
candidates repeat an earlier one of their node, some in other words of the same code (in the trees of a pocket run 75 to
83 % do); with --distinct those are left out, as a search does that merges candidates of the same text. Columns:

    this         this package's executor, isolation and all, started and warm
    pool         a warm process pool as the released code uses it: numpy and sympy imported before it forks, the whole
                 prefix run again for each candidate, each statement taken apart and put together again; not isolated
    in_process   the limit: each step once, in this very process, on a copy of its parent's names; not isolated
    interpreter  a new interpreter for each candidate, on a sample of the steps; in the table alone

The columns of a row are measured in turns, one after the other; shown is the median of each.

Corpus and weights are in execution_corpus.json; row "all" is the mean by these weights, row "real" (not in "all") the
programs of ../shared/solutions where they are. CPU is user and system time of every process that takes part, read from
the kernel: of this process, of all that live below it, and of those that they have waited for. Infinite loops are left
out: they cost their limit in any design. This executor's cache of results is on, and starts empty.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import concurrent.futures
import contextlib
import io
import json
import multiprocessing
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.execution.supervisor.source import without_comments

HERE = Path(__file__).parent
SOLUTIONS = HERE.parent.parent / "shared" / "solutions"
ROWS = ("trivial", "numpy", "sympy")
COLUMNS = ("this", "pool", "in_process", "interpreter")
JSON_COLUMNS = COLUMNS[:3]
NUM_TREES_AT_ONCE = 64
"""As many problems as a run searches at once by default."""

MAX_REAL_PROGRAMS = 40
REAL_CPU_S = 1.0
"""Real programs that take longer than this are left out, some of which never end."""

CPU_S = 30.0

Tree = list[list[str]]
"""For each depth the candidates; the first of each is the one that is gone on from."""


# ---------------------------------------------------------------- corpus


def corpus() -> tuple[dict[str, list[Tree]], dict[str, float]]:
    """The step trees of each row, and the rows' weights."""
    spec = json.loads((HERE / "execution_corpus.json").read_text())
    draw = random.Random(spec["seed"])
    trees: dict[str, list[Tree]] = {}
    for row in ROWS:
        trees[row] = []
        for _ in range(spec["repeats"][row]):
            for solution in spec["solutions"][row]:
                a, b = draw.randint(5, 40), draw.randint(2, 30)
                steps = [step.replace("{a}", str(a)).replace("{b}", str(b)) for step in solution]
                trees[row].append(
                    [
                        [
                            step,
                            *(
                                variant(steps, i, spec["variants"], draw)
                                for _ in range(spec["candidates_per_node"] - 1)
                            ),
                        ]
                        for i, step in enumerate(steps)
                    ]
                )
    return trees, spec["weights"]


def variant(steps: list[str], i: int, shares: dict[str, float], draw: random.Random) -> str:
    """Another candidate for step `i`, as a policy might write it."""
    step = steps[i]
    kind = draw.choices(list(shares), list(shares.values()))[0]
    mark = draw.randint(100, 999)  # but for "same", no two candidates are alike
    if kind == "other_number":
        numbers = list(re.finditer(r"(?<![\w.])\d+(?![\w.])", step))
        if not numbers:
            return f"{step}\nnoted = {mark}"
        chosen = draw.choice(numbers)
        return f"{step[: chosen.start()]}{int(chosen.group()) + draw.randint(1, 3)}{step[chosen.end() :]}  # {mark}"
    return {
        "same": step,
        "same_in_other_words": re.sub(r"^# Step (\d+): .*", rf"# Step \1: put otherwise, {mark}", step, flags=re.M),
        "prints_more": f"{step}\nprint('so far', {mark})",
        "undefined_name": f"value = not_defined_{mark} + 1",
        "divides_by_zero": f"{step}\nratio = {mark} / 0",
        "does_not_compile": f"{step}\nprint(({mark}, 2)",
        "next_step_too": f"{step}\n{steps[min(i + 1, len(steps) - 1)]}\nnoted = {mark}",
    }[kind]


def without_equals(tree: Tree) -> Tree:
    """`tree` without the candidates whose code an earlier one of the same node has."""
    return [list({without_comments(step): step for step in reversed(level)}.values())[::-1] for level in tree]


def real_programs() -> list[Tree]:
    """The programs of the shared solutions as trees with one candidate."""
    trees: list[Tree] = []
    for name in ("mathcoder-l-7b_math_correct.jsonl", "tora-code-34b_gsm8k.jsonl"):
        if not (SOLUTIONS / name).exists():
            return []
        rows = [json.loads(line) for line in (SOLUTIONS / name).read_text().splitlines()]
        for row in rows[: MAX_REAL_PROGRAMS // 2]:
            code = [step["content"].replace("\r\n", "\n") for step in row["steps"] if step["type"] == "code"]
            if code:
                trees.append([[step] for step in code])
    return asyncio.run(those_that_end(trees))


async def those_that_end(trees: list[Tree]) -> list[Tree]:
    """The programs, one candidate a step, that do not run into a limit."""
    async with SandboxExecutor(ExecutionSettings(cpu_s=REAL_CPU_S)) as executor:
        ends = await asyncio.gather(*[executor.execute_program([step for (step,) in tree]) for tree in trees])
    return [tree for tree, steps in zip(trees, ends, strict=True) if all(e.status in ("ok", "error") for e in steps)]


# ---------------------------------------------------------------- CPU time


def cpu_seconds() -> float:
    """User and system seconds of this process, of all below it, and of those that they have waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    waited: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while the list was read
            parents[int(entry.name)] = int(fields[1])
            waited[int(entry.name)] = (int(fields[13]) + int(fields[14])) / tick
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    total = 0.0
    for pid in family:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2) + waited.get(pid, 0.0)
    return total


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


# ---------------------------------------------------------------- this executor


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


# ---------------------------------------------------------------- a pool that replays


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


# ---------------------------------------------------------------- the limit, and a new interpreter


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


# ---------------------------------------------------------------- table


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write {row: {column: CPU ms per step}} there")
    parser.add_argument("--rows", default="trivial,numpy,sympy,real")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3, help="how often each column is measured")
    parser.add_argument("--distinct", action="store_true", help="leave out candidates that repeat another")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # what the programs are warned of
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    trees, weights = corpus()
    if arguments.distinct:
        trees = {row: list(map(without_equals, of_row)) for row, of_row in trees.items()}
    rows = arguments.rows.split(",")
    trees["real"] = real_programs() if "real" in rows else []
    wanted = [row for row in rows if trees.get(row)]
    costs: dict[str, dict[str, Cost]] = {}

    def note(row: str, columns: dict[str, Cost], num_steps: int | None) -> None:
        costs[row] = columns
        cells = "".join(f"{c.cpu_ms:>12.3f} ({c.wall_ms:7.2f})" for c in columns.values())
        cheaper = columns["pool"].cpu_ms / columns["this"].cpu_ms
        dearer = columns["this"].cpu_ms / columns["in_process"].cpu_ms
        print(f"{row:10}{num_steps or '':>7}{cells}   {cheaper:9.1f}  {dearer:15.2f}", flush=True)

    print("CPU (wall) milliseconds per step")
    print(f"{'':10}{'steps':>7}" + "".join(f"{column:>22}" for column in COLUMNS) + "   pool/this  this/in_process")
    for row in wanted:
        runs: dict[str, list[Cost]] = {column: [] for column in COLUMNS}
        for turn in range(arguments.turns):
            runs["this"].append(asyncio.run(run_this(trees[row], arguments.slots)))
            runs["pool"].append(asyncio.run(run_pool(trees[row], arguments.slots)))
            runs["in_process"].append(asyncio.run(run_in_process(trees[row])))
            if turn == 0:
                runs["interpreter"].append(asyncio.run(run_interpreters(trees[row])))
        columns = {column: median_cost(costs_of) for column, costs_of in runs.items()}
        note(row, columns, sum(len(level) for tree in trees[row] for level in tree))
    if all(row in costs for row in ROWS):
        mean = {
            column: Cost(
                sum(weights[row] * costs[row][column].cpu_ms for row in ROWS),
                sum(weights[row] * costs[row][column].wall_ms for row in ROWS),
            )
            for column in COLUMNS
        }
        note("all", mean, None)
    if arguments.json:
        numbers = {row: {column: columns[column].cpu_ms for column in JSON_COLUMNS} for row, columns in costs.items()}
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
