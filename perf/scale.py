"""What a run costs for each problem as it grows: search, store, selection, report, going on after a stop.

    python perf/scale.py [--sizes 100 1000 10000 100000] [--searched 2000] [--json FILE]

A policy, an executor and a grader that answer from formulas (`rstar_math.engines.fake` and its like), so that only this
package's own work is left. Up to `--searched` problems are searched (MCTS, 4 rollouts, 3 candidates, no PPM), one after
the other; the trees of larger runs are copies under other names. Problems are a file of JSON Lines. Columns:

    search       CPU milliseconds of a problem: its tree, without models and programs
    store        of storing it, journal and Parquet
    resume       of opening the folder of trees again, as a run that goes on does
    select       of taking trajectories and pairs from its tree, and writing them
    report       of `report_of`: what `rstar report` does before it draws
    report s     the same for the whole run, seconds of CPU
    tree MiB     memory that the process has grown by while it searched and stored; `select MiB`: while it selected

Costs that rise from row to row are not linear. CPU seconds, because other programs on the machine take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rstar_math.config import Recipe, SearchSettings
from rstar_math.config.reading import load_recipe
from rstar_math.engines.fake import FakeEngine
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.report.from_run import report_of
from rstar_math.search.environment import Environment
from rstar_math.search.mcts import mcts
from rstar_math.stages.select import select
from rstar_math.store.files import write_json
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import TreeStore, read_trees, write_pairs, write_trajectories
from rstar_math.store.round import Round
from rstar_math.store.run import Run
from rstar_math.tree import Tree
from rstar_math.types import Cost, Problem

SEARCH = SearchSettings(num_rollouts=4, num_candidates=3, use_ppm=False)

Row = dict[str, float]


def problems(num: int) -> list[Problem]:
    """Questions that share no text."""
    return [Problem(f"p{i}", f"What is {i} plus {i % 7}?", str(i % 3), tier=f"t{i % 4}") for i in range(num)]


def trees(chosen: list[Problem], num_searched: int, spent: Row) -> Iterator[Tree]:
    """A tree for each problem; notes what the searches took."""
    engine, executor, grader = FakeEngine(max_latency_turns=0), FakeExecutor(max_latency_turns=0), FakeGrader()
    kept: list[Tree] = []

    async def grown(problem: Problem) -> Tree:
        return await mcts(Environment(problem, engine, executor, grader, None, 1_000), SEARCH)

    with asyncio.Runner() as runner:
        for problem in chosen[:num_searched]:
            began = time.process_time()
            tree = runner.run(grown(problem))
            spent["search"] += time.process_time() - began
            if len(kept) < 200:
                kept.append(tree)
            yield tree
    for i, problem in enumerate(chosen[num_searched:]):
        like = kept[i % len(kept)]
        yield replace(like, problem=replace(problem, answer=like.problem.answer))


def measure(size: int, num_searched: int, folder: Path) -> Row:
    """A run of one size."""
    (folder / "problems.jsonl").write_text(
        "".join(json.dumps({"id": p.id, "question": p.question, "answer": p.answer}) + "\n" for p in problems(size))
    )
    recipe = _recipe(folder)
    row = {"problems": float(size), "search": 0.0}
    with Run(folder / "run", recipe) as run:
        this = run.round(1)
        this.folder.mkdir()
        before, began = resident_mib(), time.process_time()
        with TreeStore(this.trees, recipe.runtime.trees_per_part) as store:
            for tree in trees(problems(size), num_searched, row):
                store.append(tree)
        row["store"] = time.process_time() - began - row["search"]
        row["tree MiB"] = resident_mib() - before
        began = time.process_time()
        TreeStore(this.trees, recipe.runtime.trees_per_part).close()
        row["resume"] = time.process_time() - began
        before, began = resident_mib(), time.process_time()
        chosen = select(read_trees(this.trees), recipe.selection, None)
        write_trajectories(this.trajectories, chosen.rows())
        write_pairs(this.pairs, chosen.pairs)
        row["select"], row["select MiB"] = time.process_time() - began, resident_mib() - before
        _finish(this, chosen.cost, size)
        run.log("stage", round=1, stage="search", seconds=1.0)
    began = time.process_time()
    report_of(folder / "run")
    row["report s"] = time.process_time() - began
    row["report"] = row["report s"]
    for name, num in (
        ("search", min(size, num_searched)),
        *((n, size) for n in ("store", "resume", "select", "report")),
    ):
        row[name] *= 1000 / num
    return row


def _recipe(folder: Path) -> Recipe:
    smoke = load_recipe("smoke")
    own = smoke.problems.model_copy(update={"source": str(folder / "problems.jsonl"), "num_problems": None})
    return smoke.model_copy(update={"problems": own, "rounds": smoke.rounds[:1]})


def _finish(this: Round, cost: Cost, size: int) -> None:
    """Leaves what the other stages would have left, as far as a report reads it; nothing was measured."""
    write_json(this.search_cost, asdict(cost))
    write_json(this.suspect_references, [])
    manifest = Manifest(this.folder)
    manifest.finish("search", [this.trees.name], num_trees=size)
    manifest.finish("select", [this.trajectories.name, this.pairs.name], num_not_reproduced=0)
    manifest.finish("policy", [], num_trajectories=0, num_too_long=0)
    manifest.finish("evaluate", [])


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--searched", type=int, default=2_000, help="most problems that are searched in a run")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    measure_one(10, 10)  # imports
    for number, size in enumerate(arguments.sizes):
        rows.append(measure_one(size, arguments.searched))
        if not number:
            print("".join(f"{column:>12}" for column in rows[0]))
        print(
            "".join(f"{value:12,.0f}" if name == "problems" else f"{value:12.2f}" for name, value in rows[-1].items())
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def measure_one(size: int, num_searched: int) -> Row:
    """`measure` in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(size, num_searched, Path(folder))


if __name__ == "__main__":
    main()
