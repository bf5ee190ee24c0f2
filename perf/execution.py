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
import asyncio
import json
import os
import warnings
from pathlib import Path

from measuring.step_trees import ROWS, corpus, real_programs, without_equals
from measuring.ways_to_run_steps import (
    Cost,
    median_cost,
    run_in_process,
    run_interpreters,
    run_pool,
    run_this,
)

COLUMNS = ("this", "pool", "in_process", "interpreter")
JSON_COLUMNS = COLUMNS[:3]


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
