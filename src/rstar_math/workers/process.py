"""A search process: jobs and tasks in, results out, until the process that started it is gone."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import traceback
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from rstar_math.config import RuntimeSettings
from rstar_math.errors import EngineError, RStarError
from rstar_math.lean_torch import expect_torch
from rstar_math.models import Policy
from rstar_math.terminal.streams import show_controls
from rstar_math.tree import Tree
from rstar_math.workers.bench import Tools, Workbench, open_tools, open_workbench_beside
from rstar_math.workers.jobs import Answered, AnswerJob, Job, Result, SearchJob, Task, work
from rstar_math.workers.starting import stay_deaf


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task came to nothing, for the parent to raise."""

    error: RStarError


def serve(connection: Connection, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
    """The life of a worker process: jobs and tasks in, results out, until the parent is gone."""
    begin_searching(device, num_workers)
    asyncio.run(_Server(connection, runtime, device, num_workers).run())


def begin_searching(device: str, num_workers: int) -> None:
    """What a search process does first: it is deaf to the terminal, and takes its share of the CPUs."""
    stay_deaf()
    show_controls()
    expect_torch()
    import torch

    if device == "cpu":
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // num_workers))


class Searcher:
    """Does tasks over one workbench, any number at a time.

    Models change from job to job; the sandbox and the grader stay.
    """

    def __init__(self, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
        """Opens nothing yet.

        Args:
          runtime: the machine.
          device: of the models.
          num_workers: processes that share the CPUs of this machine.
        """
        self._runtime, self._device = runtime, device
        self._num_slots = runtime.execution.num_slots or max(1, len(os.sched_getaffinity(0)) // num_workers)
        self._tools: Tools | None = None
        self._bench: Workbench | None = None
        self._models: tuple[Policy, Path | None] | None = None
        self._cpu_seconds = 0.0

    @property
    def trouble(self) -> Failure | None:
        """Why the models of the last job could not be opened; None where they were."""
        return Failure(self._opening_error) if self._models is not None and self._bench is None else None

    async def open(self, job: Job) -> None:
        """Opens the models of a job, where they are not those of the last one; see `trouble`."""
        if self._models == (job.policy, job.reward_model):
            return
        if self._bench is not None:
            await self._bench.aclose()
            self._bench = None
        try:
            self._tools = self._tools or open_tools(self._runtime, self._num_slots)
            self._bench = await open_workbench_beside(
                job.policy, job.reward_model, self._runtime, self._device, self._num_slots, self._tools
            )
        except Exception as error:  # told to the parent, for every task that wants these models
            self._opening_error = _told(error)
        self._models = (job.policy, job.reward_model)
        self._cpu_seconds = time.process_time()

    async def do(self, job: Job, task: Task) -> Result | Failure:
        """Does one task of the job whose models are open."""
        if self._bench is None:
            return Failure(self._opening_error)
        try:
            result = _slim(await work(job, task, self._bench))
            if isinstance(result, Answered) and self._runtime.remember is None:
                now = time.process_time()
                result = replace(result, process_cpu_seconds=now - self._cpu_seconds)
                self._cpu_seconds = now
        except Exception as error:  # told to the parent, which raises it
            return Failure(_told(error))
        return result

    async def aclose(self) -> None:
        """Ends every process and frees every model."""
        if self._bench is not None:
            await self._bench.aclose()
        if self._tools is not None:
            await self._tools.aclose()


class _Server:
    """The worker's end: one event loop with many searches in flight."""

    def __init__(self, connection: Connection, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
        self._connection = connection
        self._searcher = Searcher(runtime, device, num_workers)
        self._inbox: asyncio.Queue[object] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True).start()
        job: Job | None = None
        while (message := await self._inbox.get()) is not None:
            if isinstance(message, SearchJob | AnswerJob):
                job = message
                continue
            assert job is not None
            assert isinstance(message, tuple)
            number, task = message
            await self._searcher.open(job)
            running = asyncio.create_task(self._do(number, job, task))
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)
        await self._searcher.aclose()
        os._exit(0)  # nothing is left to say, and tasks in flight belong to nobody

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                message = None  # the parent is gone, or wants us gone
            loop.call_soon_threadsafe(self._inbox.put_nowait, message)
            if message is None:
                return

    async def _do(self, number: int, job: Job, task: Task) -> None:
        self._connection.send((number, await self._searcher.do(job, task)))


def _told(error: Exception) -> RStarError:
    """The error as the parent should raise it: our own kinds as they are, others with their traceback as text."""
    if isinstance(error, RStarError):
        return error
    return EngineError("a search process failed:\n" + "".join(traceback.format_exception(error)))


def _slim(result: Result) -> Result:
    """Without the steps of the candidates that were not chosen: they are many, and nobody reads them."""
    if isinstance(result, Tree):
        return result
    candidates = tuple(replace(t, steps=()) for t in result.solution.candidates)
    dropped = tuple(replace(t, steps=()) for t in result.solution.dropped)
    return replace(result, solution=replace(result.solution, candidates=candidates, dropped=dropped))
