"""Many questions at once through the Python API, in one process: questions for each CPU-second and for each second.

    python perf/api.py [--questions 100] [--threads 32] [--turns 2] [--against FOLDER] [--json FILE]

The shipped model answers problems of pocket/validation with its own settings. Rows:

    asolve     all questions awaited at once, on one event loop
    threads    `solve` called by `--threads` threads

With `--against`, another checkout takes turns with this one under the same interpreter, and `ratio` is this one's
questions for each CPU-second over the other's. CPU seconds count everything from the first question to the last answer,
sandbox included, and no start. The best turn counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parents[1]

_PROGRAM = """
import asyncio, json, sys, time
sys.path.insert(0, {perf!r})
from concurrent.futures import ThreadPoolExecutor
from measuring.cpu import cpu_seconds
from rstar_math import RStarMathModel
from rstar_math.pocket.splits import pocket_problems

problems = pocket_problems("validation", {questions} + 4, seed=8)
questions = [problem.question for problem in problems]

async def together(model):
    return await asyncio.gather(*(model.asolve(question) for question in questions[4:]))

with RStarMathModel.from_pretrained("pocket") as model:
    for question in questions[:4]:
        model.solve(question)
    cpu, began = cpu_seconds(), time.perf_counter()
    if {way!r} == "asolve":
        found = asyncio.run(together(model))
    else:
        with ThreadPoolExecutor({threads}) as pool:
            found = list(pool.map(model.solve, questions[4:]))
    row = {{"s": time.perf_counter() - began, "cpu_s": cpu_seconds() - cpu}}
right = sum(s.answer == p.answer for s, p in zip(found, problems[4:], strict=True))
tokens = sum(s.cost.tokens_generated for s in found)
print(json.dumps(row | {{"right": right, "tokens": tokens, "executions": sum(s.cost.executions for s in found)}}))
"""
WAYS = ("asolve", "threads")

Row = dict[str, float]


def turn(way: str, checkout: Path, questions: int, threads: int) -> Row:
    """One process."""
    program = _PROGRAM.format(perf=str(HERE / "perf"), questions=questions, way=way, threads=threads)
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} in {checkout} failed:\n{done.stderr}")
    row: Row = json.loads(done.stdout)
    return row | {"per_cpu_s": questions / row["cpu_s"], "per_s": questions / row["s"]}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    checkouts = {"here": HERE} | ({"there": arguments.against.resolve()} if arguments.against else {})
    turns: dict[tuple[str, str], list[Row]] = {(way, side): [] for way in WAYS for side in checkouts}
    for _ in range(arguments.turns):
        for way in WAYS:
            for side, checkout in checkouts.items():
                turns[way, side].append(turn(way, checkout, arguments.questions, arguments.threads))
    best = {key: max(rows, key=lambda row: row["per_cpu_s"]) for key, rows in turns.items()}
    columns = ("s", "cpu_s", "per_s", "per_cpu_s", "right", "tokens", "executions")
    print(f"{'':16}" + "".join(f"{column:>12}" for column in columns) + f"{'ratio':>8}")
    for way, side in best:
        row = best[way, side]
        if side == "here" and (way, "there") in best:
            row["ratio"] = row["per_cpu_s"] / best[way, "there"]["per_cpu_s"]
        cells = "".join(f"{row[column]:12.2f}" for column in columns)
        print(f"{way:9}{side:7}{cells}" + (f"{row['ratio']:8.2f}" if "ratio" in row else ""))
    if arguments.json:
        arguments.json.write_text(json.dumps({f"{way}, {side}": row for (way, side), row in best.items()}, indent=1))


if __name__ == "__main__":
    main()
