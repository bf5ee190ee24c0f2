"""The trees of steps that executors are measured on: a corpus of its own, and real programs where there are any."""

from __future__ import annotations

import asyncio
import json
import random
import re
from pathlib import Path

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.execution.supervisor.source import without_comments

HERE = Path(__file__).parents[1]
SOLUTIONS = HERE.parent.parent / "shared" / "solutions"
ROWS = ("trivial", "numpy", "sympy")
MAX_REAL_PROGRAMS = 40
REAL_CPU_S = 1.0
"""Real programs that take longer than this are left out, some of which never end."""
Tree = list[list[str]]
"""For each depth the candidates; the first of each is the one that is gone on from."""


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
