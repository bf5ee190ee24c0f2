"""A cluster over the fakes: workers that need no model and no sandbox, on folders and clocks that misbehave."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rstar_math.cluster.worker import Joining, LeaseWorker
from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench
from rstar_math.workers.jobs import Job, Result, SearchJob, Task, work
from rstar_math.workers.process import Failure

SEARCH = SearchSettings(num_rollouts=4, num_candidates=3, max_step_tokens=40, use_ppm=False)
JOB = SearchJob(Path("policy"), None, "mcts", SEARCH)


def tasks(num: int) -> list[Task]:
    return [Task(Problem(f"p{i}", f"Question {i}?", str(i % 3)), 7) for i in range(num)]


class FakeSearcher:
    """Does tasks over the fakes; each takes `latency_s` at least."""

    latency_s = 0.0

    def __init__(self, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
        self.opened: list[Job] = []

    @property
    def trouble(self) -> Failure | None:
        return None

    async def open(self, job: Job) -> None:
        self.opened.append(job)

    async def do(self, job: Job, task: Task) -> Result | Failure:
        await asyncio.sleep(self.latency_s)
        return await done(job, task)

    async def aclose(self) -> None:
        pass


async def done(job: Job, task: Task) -> Result:
    reward_model = FakeRewardModel() if job.reward_model else None
    return await work(job, task, Workbench(FakeEngine(), FakeExecutor(), FakeGrader(), reward_model))


def stall(seed: int, inside: Path, share: float = 0.1, put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Makes the calls of this process on a folder fail now and then, also after they were done, and hang a little."""
    chance = random.Random(seed)
    within = str(inside)

    def stalling(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            if within not in str(arguments[0]) or chance.random() > share:
                return call(*arguments, **options)
            kind = chance.choice(["before", "behind", "hang"])
            if kind == "before":
                raise OSError(chance.choice([errno.EIO, errno.ESTALE]), "stalls", str(arguments[0]))
            given = call(*arguments, **options)
            if kind == "behind" and call is rename:
                raise OSError(errno.EIO, "stalls", str(arguments[0]))
            time.sleep(0.05)
            return given

        return called

    rename = os.rename
    for name in ("rename", "listdir", "open", "unlink", "stat"):
        put(os, name, stalling(getattr(os, name)))


def _off(clock: Callable[[], float], seconds: float) -> float:
    return clock() + seconds


def main(arguments: Sequence[str]) -> None:
    """A worker process: RUN SEED LATENCY_S CONCURRENCY IDLE_S, then `stalls`, or seconds by which its clock is off."""
    run, seed, latency_s, concurrency, idle_s, *faults = arguments
    for fault in faults:
        if fault == "stalls":
            stall(int(seed), Path(run))
        else:
            time.time = functools.partial(_off, time.time, float(fault))
    FakeSearcher.latency_s = float(latency_s)
    joining = Joining(Path(run), RuntimeSettings(concurrency=int(concurrency)), 1, idle_s=float(idle_s), is_early=True)
    asyncio.run(LeaseWorker(None, joining, "cpu", FakeSearcher).run())


if __name__ == "__main__":
    main(sys.argv[1:])
