"""Worker processes: many searches at once, on every core or accelerator, one engine in each process.

The parent hands out problems and takes finished results in the order in which they finish. A worker that dies is
replaced and its problems are searched again; which worker searched a problem has no influence on its tree.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from rstar_math.accelerators import num_cuda_devices
from rstar_math.answering import value
from rstar_math.child_processes import StartContext, start_context, started_deaf, stay_deaf
from rstar_math.config import AnsweringSettings, RuntimeSettings, SearchSettings
from rstar_math.errors import EngineError, RStarError
from rstar_math.models import Policy
from rstar_math.search.answer import answer, equivalence_classes
from rstar_math.search.strategies import Strategy, grow, strategy
from rstar_math.terminal import show_controls
from rstar_math.tree import Tree
from rstar_math.types import Problem, Solution, Trajectory
from rstar_math.workbench import Workbench, open_workbench

_MAX_DEATHS = 3


@dataclass(frozen=True, slots=True)
class SearchJob:
    """Grow one tree for each problem, its reference in view: data for training."""

    policy: Policy
    ppm: Path | None
    strategy: str
    settings: SearchSettings


@dataclass(frozen=True, slots=True)
class AnswerJob:
    """Answer each problem without its reference, then grade the answer: evaluation."""

    policy: Policy
    ppm: Path | None
    settings: AnsweringSettings


@dataclass(frozen=True, slots=True)
class Task:
    """One problem to work on, with the seed of its search."""

    problem: Problem
    seed: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What an `AnswerJob` gives for one problem.

    Attributes:
      solution: the answer, chosen without the reference; candidates are emptied of their steps to stay small.
      correct: whether the answer is right; None where the problem has no reference.
      any_correct: whether any finished trajectory is right; None likewise.
      timed_out: grading ran into its limit, so that the answer counts as wrong though it may be right.
      candidates: what was finished, in the order in which it was found; of independent samples the unfinished too.
      num_rollouts: rollouts, or samples, of all trees.
      process_cpu_seconds: CPU seconds of the search process since its last answer: with many problems in flight only
        the mean over problems says something. Step programs and grading run in other processes.
    """

    solution: Solution
    correct: bool | None
    any_correct: bool | None
    timed_out: bool
    candidates: tuple[Candidate, ...] = ()
    num_rollouts: int = 0
    process_cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trajectory, reduced to what pass@k, maj@k and best-of-k need.

    Attributes:
      answer_class: equivalent answers have the same number; None without an answer.
      correct: whether the answer is right; None where the problem has no reference.
      value: what the trajectory is worth, in [0, 1], by the settings; None where that is not known.
    """

    answer_class: int | None
    correct: bool | None
    value: float | None


Job = SearchJob | AnswerJob
Result = Tree | Answered


async def work(job: Job, task: Task, bench: Workbench) -> Result:
    """Does one task of a job."""
    if isinstance(job, SearchJob):
        return await grow(job.strategy, bench.environment(task.problem, task.seed), job.settings)
    solution, trees = await answer(task.problem, bench.environment, job.settings, task.seed)
    return await graded(task.problem, solution, bench, trees, job.settings)


async def graded(
    problem: Problem,
    solution: Solution,
    bench: Workbench,
    trees: Sequence[Tree] = (),
    settings: AnsweringSettings | None = None,
) -> Answered:
    """Compares an answer, and the other candidates' answers, with the reference; no part of the search's cost.

    Args:
      problem: with or without a reference.
      solution: the answer.
      bench: has the grader.
      trees: what the answer was chosen from, for the candidates one by one.
      settings: by which it was chosen.
    """
    settings = settings or AnsweringSettings()
    way = strategy(settings.strategy)
    found = [t for tree in trees for t in _tried(tree, way, solution.dropped)]
    verdicts: dict[str | None, bool] = {None: False}
    timed_out = False
    if problem.answer is not None:
        texts = {solution.answer, *(t.answer for t in solution.candidates), *(t.answer for t in found if t)} - {None}
        for text in sorted(texts, key=str):
            verdict = await bench.grader.grade(problem.answer, text)
            verdicts[text] = verdict.equal
            timed_out |= verdict.timed_out and text == solution.answer
    classes = await equivalence_classes([t.answer if t else None for t in found], bench.grader.grade)
    candidates = tuple(
        Candidate(
            answer_class=label if t and t.answer is not None else None,
            correct=None if problem.answer is None else verdicts[t.answer if t else None],
            value=value(t, settings.weight, settings.aggregate) if t and t.answer is not None else None,
        )
        for t, label in zip(found, classes, strict=True)
    )
    return Answered(
        solution,
        correct=None if problem.answer is None else verdicts[solution.answer],
        any_correct=None if problem.answer is None else any(verdicts.values()),
        timed_out=timed_out,
        candidates=candidates,
        num_rollouts=sum(len(tree.rollouts) for tree in trees),
    )


def _tried(tree: Tree, way: Strategy, dropped: Sequence[Trajectory]) -> list[Trajectory | None]:
    """Each sample of a strategy that samples, None where it was not finished; else the distinct trajectories.

    What was dropped, because its program did not come out the same, counts as not finished.
    """
    if way.is_sampling:
        ends = [tree.nodes[i] for i in tree.rollouts]
        samples = [tree.trajectory(node) if node.terminal == "answer" else None for node in ends]
        return [None if t in dropped else t for t in samples]
    return [t for t in tree.trajectories() if t not in dropped]


class WorkerPool:
    """Worker processes that live as long as the `with` block; models are loaded when a job first names them."""

    def __init__(self, runtime: RuntimeSettings) -> None:
        self._runtime = runtime
        self._devices = _devices(runtime)
        self._context = start_context()
        self._workers: list[_Worker] = []
        self.num_deaths = 0

    @property
    def num_workers(self) -> int:
        return len(self._devices)

    @property
    def is_remembering(self) -> bool:
        """Whether completions and scores are remembered, so that seconds say nothing about what a method takes."""
        return self._runtime.remember is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.stop(kindly=kind is None)
        self._workers = []

    def run(self, job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Works on all tasks; yields (task, result) as they finish.

        Raises:
          RStarError: a task raised it in its worker.
          EngineError: a task failed otherwise, or workers died several times in a row.
        """
        todo = collections.deque(tasks)
        if not todo:
            return
        while len(self._workers) < min(self.num_workers, len(todo)):
            self._workers.append(self._start(self._devices[len(self._workers)]))
        for worker in self._workers:
            worker.begin(job)
        deaths = 0
        try:
            while todo or any(w.in_flight for w in self._workers):
                self._deal(todo)
                ready = multiprocessing.connection.wait([w.connection for w in self._workers], timeout=1.0)
                for i, worker in enumerate(self._workers):
                    if worker.connection not in ready:
                        continue
                    try:
                        number, result = worker.connection.recv()
                    except (EOFError, OSError):
                        deaths += 1
                        self.num_deaths += 1
                        if deaths > _MAX_DEATHS:
                            raise EngineError(
                                f"search processes died {deaths} times (exit code {worker.exit_code()}); at exit code "
                                "-9 the machine is probably out of memory: lower runtime.concurrency or max_batch_rows"
                            ) from None
                        todo.extendleft(worker.in_flight.values())
                        worker.stop(kindly=False)
                        self._workers[i] = self._start(worker.device)
                        self._workers[i].begin(job)
                        continue
                    task = worker.in_flight.pop(number)
                    if isinstance(result, _Failure):
                        raise result.error
                    yield task, result
        except BaseException:
            for worker in self._workers:  # what is in flight belongs to a job that nobody waits for any more
                worker.stop(kindly=False)
            self._workers = []
            raise

    def _deal(self, todo: collections.deque[Task]) -> None:
        """Hands out tasks evenly, so that at the end no worker is left with a queue while another is idle."""
        while todo:
            worker = min(self._workers, key=lambda w: len(w.in_flight))
            if len(worker.in_flight) >= self._runtime.concurrency:
                return
            worker.give(todo.popleft())

    def _start(self, device: str) -> _Worker:
        return _Worker(self._context, self._runtime, device, self.num_workers)


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, context: StartContext, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
        self.device = device
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, runtime, device, num_workers), daemon=True)
        with _script_left_alone(), started_deaf():
            self._process.start()
        theirs.close()
        self.in_flight: dict[int, Task] = {}
        self._number = 0

    def begin(self, job: Job) -> None:
        self._send(job)

    def give(self, task: Task) -> None:
        self._number += 1
        self.in_flight[self._number] = task
        self._send((self._number, task))

    def _send(self, message: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead worker shows as EOF when read from
            self.connection.send(message)

    def exit_code(self) -> int | None:
        self._process.join(timeout=5)
        return self._process.exitcode

    def stop(self, kindly: bool) -> None:
        self.connection.close()
        if kindly:
            self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()


_starting = threading.Lock()


@contextlib.contextmanager
def _script_left_alone() -> Iterator[None]:
    """Keeps a new process from running the script that it is started from, which a worker has no need of.

    So evolving and searching from Python need no `if __name__ == "__main__":`, and work from standard input too.
    """
    main: dict[str, object] = sys.modules["__main__"].__dict__
    with _starting:
        hidden: dict[str, object] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
        main["__spec__"] = None
        main.pop("__file__", None)
        try:
            yield
        finally:
            main.update(hidden)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: RStarError


def _devices(runtime: RuntimeSettings) -> list[str]:
    """The device of each worker: one worker per accelerator, or one per CPU core."""
    if runtime.device == "auto" and (count := num_cuda_devices()):
        return [f"cuda:{i % count}" for i in range(runtime.num_workers or count)]
    if runtime.device not in ("auto", "cpu"):
        return [runtime.device] * (runtime.num_workers or 1)
    return ["cpu"] * (runtime.num_workers or len(os.sched_getaffinity(0)))


def _serve(connection: Connection, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
    """The life of a worker process: jobs and tasks in, results out, until the parent is gone."""
    stay_deaf()
    show_controls()
    import torch

    if device == "cpu":
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // num_workers))
    asyncio.run(_Server(connection, runtime, device, num_workers).run())


class _Server:
    """The worker's end: one event loop with many searches in flight over one workbench."""

    def __init__(self, connection: Connection, runtime: RuntimeSettings, device: str, num_workers: int) -> None:
        self._connection, self._runtime, self._device = connection, runtime, device
        self._num_slots = max(1, len(os.sched_getaffinity(0)) // num_workers)
        self._inbox: asyncio.Queue[object] = asyncio.Queue()
        self._bench: Workbench | None = None
        self._models: tuple[Policy, Path | None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._cpu_seconds = 0.0

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
            await self._open(job)
            running = asyncio.create_task(self._do(number, job, task))
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)
        if self._bench is not None:
            await self._bench.aclose()
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

    async def _open(self, job: Job) -> None:
        if self._models == (job.policy, job.ppm):
            return
        if self._bench is not None:
            await self._bench.aclose()
            self._bench = None
        try:
            self._bench = open_workbench(job.policy, job.ppm, self._runtime, self._device, self._num_slots)
        except Exception as error:  # told to the parent, for every task that wants these models
            self._opening_error = _told(error)
        self._models = (job.policy, job.ppm)
        self._cpu_seconds = time.process_time()

    async def _do(self, number: int, job: Job, task: Task) -> None:
        result: object
        if self._bench is None:
            result = _Failure(self._opening_error)
        else:
            try:
                result = _slim(await work(job, task, self._bench))
                if isinstance(result, Answered) and self._runtime.remember is None:
                    now = time.process_time()
                    result = replace(result, process_cpu_seconds=now - self._cpu_seconds)
                    self._cpu_seconds = now
            except Exception as error:  # told to the parent, which raises it
                result = _Failure(_told(error))
        self._connection.send((number, result))


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
