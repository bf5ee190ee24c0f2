"""What a cluster costs: how it scales, what the driver spends on a tree, and what the shared folder adds.

    python perf/cluster.py scaling      1 to 16 workers with an engine of fixed latency; trees a second against linear
    python perf/cluster.py driver       CPU of the driver for a tree, from journals into the files of the run
    python perf/cluster.py overhead     recipes/smoke.yaml on 2 workers: --cluster folder against none, CPU and wall

Wall seconds say something on an idle machine only; CPU seconds and ratios say something on a busy one too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rstar_math.cluster.folder_pool import FolderPool
from rstar_math.cluster.journals import WorkerJournal
from rstar_math.cluster.places import ClusterFolder, Driver
from rstar_math.cluster.wire import Order, key_of, order_name, order_to_row, result_to_row
from rstar_math.cluster.worker import Joining, LeaseWorker
from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.store.records import TreeStore
from rstar_math.tree import Tree
from rstar_math.types import Problem, SamplingParams
from rstar_math.workers.bench import Workbench
from rstar_math.workers.jobs import Job, Result, SearchJob, Task, work
from rstar_math.workers.process import Failure

RUNTIME = RuntimeSettings(cluster="folder", num_workers=0, lease_s=60)
CONCURRENCY = 4


def job(num_rollouts: int) -> SearchJob:
    settings = SearchSettings(num_rollouts=num_rollouts, num_candidates=4, use_ppm=False)
    return SearchJob(Path("policy"), None, "mcts", settings)


def tasks(num: int) -> list[Task]:
    return [Task(Problem(f"p{i}", f"Question {i}?", str(i % 3)), 1) for i in range(num)]


class SlowEngine(FakeEngine):
    """The fake policy, which takes a fixed time for a request, and no CPU."""

    latency_s = 0.5

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        await asyncio.sleep(self.latency_s)
        return await super().generate(prompt, params)


class Searcher:
    """Does tasks over the fakes."""

    def __init__(self, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
        self._bench = Workbench(SlowEngine(FakePolicy(max_steps=3)), FakeExecutor(), FakeGrader())

    @property
    def trouble(self) -> Failure | None:
        return None

    async def open(self, job: Job) -> None:
        pass

    async def do(self, job: Job, task: Task) -> Result | Failure:
        return await work(job, task, self._bench)

    async def aclose(self) -> None:
        pass


def one_worker(run: str) -> None:
    joining = Joining(Path(run), RuntimeSettings(concurrency=CONCURRENCY), 1, is_early=True)
    asyncio.run(LeaseWorker(None, joining, "cpu", Searcher).run())


def scaling(counts: Sequence[int], trees_per_worker: int) -> dict[str, Any]:
    """Trees a second of so many worker processes, from the first result to the last but those of the start."""
    fork = multiprocessing.get_context("fork")
    found: dict[str, Any] = {}
    per_worker = 0.0
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            workers = [fork.Process(target=one_worker, args=(place,)) for _ in range(count)]
            for worker in workers:
                worker.start()
            with FolderPool(RUNTIME, Path(place), lambda event, **values: None) as pool:
                began, cpu_began = 0.0, 0.0
                num = count * trees_per_worker
                warm_up = count * CONCURRENCY
                for seen, _ in enumerate(pool.run(job(4), tasks(num)), start=1):
                    if seen == warm_up:
                        began, cpu_began = time.monotonic(), time.process_time()
                rate = (num - warm_up) / (time.monotonic() - began)
                cpu = (time.process_time() - cpu_began) / (num - warm_up)
            for worker in workers:
                worker.join()
        per_worker = per_worker or rate / count
        found[str(count)] = {
            "trees_per_s": round(rate, 3),
            "of_linear": round(rate / (count * per_worker), 3),
            "driver_cpu_ms_per_tree": round(1000 * cpu, 3),
        }
        print(f"{count:3d} workers: {json.dumps(found[str(count)])}", flush=True)
    return found


def driver(num_trees: int, num_rollouts: int) -> dict[str, Any]:
    """CPU of the driver for a tree that lies in a journal: read, checked, kept, and written as Parquet."""
    one, size = job(num_rollouts), 0
    with tempfile.TemporaryDirectory() as place:
        run = Path(place)
        cluster = ClusterFolder(run)
        cluster.make(Driver("d", 60, 0))
        files = cluster.job(order_name(order_to_row(Order(one, RUNTIME), run)))
        files.leases.make()
        files.journals.mkdir()
        journal = WorkerJournal(files.journals, "w")
        bench = Workbench(FakeEngine(FakePolicy(max_steps=6, close_rate=0.2)), FakeExecutor(), FakeGrader())
        todo, nodes = tasks(num_trees), 0
        for task in todo:
            tree = asyncio.run(work(one, task, bench))
            assert isinstance(tree, Tree)
            row = {"key": key_of(task), "worker": "w", "tokens": 1, "seconds": 1.0, **result_to_row(tree)}
            size, nodes = size + len(json.dumps(row)), nodes + len(tree.nodes)
            journal.append([row])
        began = time.process_time()
        with FolderPool(RUNTIME, run, lambda event, **values: None) as pool:
            for _ in pool.run(one, todo):
                pass
        carried = time.process_time() - began
        cluster.make(Driver("d", 60, 0))
        files.leases.make()
        files.journals.mkdir()
        for task in todo:
            journal.append([{"key": key_of(task), "worker": "w", **result_to_row(asyncio.run(work(one, task, bench)))}])
        began = time.process_time()
        with FolderPool(RUNTIME, run, lambda event, **values: None) as pool, TreeStore(run / "trees") as store:
            for _, result in pool.run(one, todo):
                assert isinstance(result, Tree)
                store.append(result)
        kept = time.process_time() - began
    return {
        "num_trees": num_trees,
        "nodes_per_tree": round(nodes / num_trees, 1),
        "kb_per_tree": round(size / num_trees / 1000, 1),
        "carrying_us_per_tree": round(1e6 * carried / num_trees),
        "with_the_store_us_per_tree": round(1e6 * kept / num_trees),
        "trees_per_s_of_one_driver": round(num_trees / kept),
    }


def overhead(rounds: int) -> dict[str, Any]:
    """The smoke recipe on two workers, without and with the shared folder, one after the other, several times."""
    found: dict[str, list[tuple[float, float]]] = {"none": [], "folder": []}
    set_child_subreaper = 36  # of prctl: orphans become children of this process
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)
    for number in range(rounds):
        for name in ("none", "folder") if number % 2 == 0 else ("folder", "none"):
            with tempfile.TemporaryDirectory() as place:
                before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                command = [str(Path(sys.executable).with_name("rstar")), "evolve", "smoke", "--out", f"{place}/run"]
                more = ["--workers", "2", *(["--cluster", "folder"] if name == "folder" else [])]
                subprocess.run([*command, *more], check=True, capture_output=True)
                _wait_for_orphans()
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                found[name].append((cpu, time.monotonic() - began))
                print(name, found[name][-1], flush=True)
    best = {name: [min(each[i] for each in runs) for i in (0, 1)] for name, runs in found.items()}
    return {
        "cpu_s": {name: round(values[0], 2) for name, values in best.items()},
        "wall_s": {name: round(values[1], 2) for name, values in best.items()},
        "cpu_ratio": round(best["folder"][0] / best["none"][0], 3),
        "wall_ratio": round(best["folder"][1] / best["none"][1], 3),
    }


def _wait_for_orphans() -> None:
    """Waits for processes whose parents ended before them, so that their CPU counts."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def main() -> None:
    """Measures what the command line names, and prints it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["scaling", "driver", "overhead"])
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--trees", type=int, default=24, help="for each worker, or in all")
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of one request to the engine")
    given = parser.parse_args()
    SlowEngine.latency_s = given.latency
    if given.what == "scaling":
        print(json.dumps(scaling(given.counts, given.trees)))
    elif given.what == "driver":
        print(json.dumps(driver(given.trees, given.rollouts)))
    else:
        print(json.dumps(overhead(given.rounds)))


if __name__ == "__main__":
    main()
