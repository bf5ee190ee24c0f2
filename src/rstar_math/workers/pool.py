"""Worker processes: many searches at once, on every core or accelerator, one engine in each process.

The parent hands out problems and takes finished results in the order in which they finish. A worker that dies is
replaced and its problems are searched again; which worker searched a problem has no influence on its tree.
"""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self

from rstar_math.config import RuntimeSettings
from rstar_math.engines.accelerators import num_cuda_devices
from rstar_math.errors import EngineError
from rstar_math.workers.jobs import Job, Result, Task
from rstar_math.workers.process import Failure, serve
from rstar_math.workers.starting import StartContext, start_context, started_deaf

_MAX_DEATHS = 3


class Pool(Protocol):
    """Where problems are worked on: processes of this machine (`WorkerPool`), or a cluster (`rstar_math.cluster`)."""

    @property
    def is_remembering(self) -> bool:
        """Whether completions and scores are remembered, so that seconds say nothing about what a method takes."""

    def run(self, job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Works on all tasks; yields (task, result) as they finish. What was yielded is kept before the next one.

        Raises:
          RStarError: a task raised it where it was worked on.
          EngineError: a task failed otherwise, or workers died several times in a row.
        """


class WorkerPool:
    """Worker processes that live as long as the `with` block; models are loaded when a job first names them."""

    def __init__(self, runtime: RuntimeSettings) -> None:
        self._runtime = runtime
        self._devices = devices(runtime)
        self._context = start_context()
        self._workers: list[_Worker] = []
        self.num_deaths = 0

    @property
    def num_workers(self) -> int:
        """Search processes."""
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
                    if isinstance(result, Failure):
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
        self._process = context.Process(target=serve, args=(theirs, runtime, device, num_workers), daemon=True)
        with script_left_alone(), started_deaf():
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
def script_left_alone() -> Iterator[None]:
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


def devices(runtime: RuntimeSettings) -> list[str]:
    """The device of each worker: one worker per accelerator, or one per CPU core."""
    if runtime.device == "auto" and (count := num_cuda_devices()):
        return [f"cuda:{i % count}" for i in range(runtime.num_workers or count)]
    if runtime.device not in ("auto", "cpu"):
        return [runtime.device] * (runtime.num_workers or 1)
    return ["cpu"] * (runtime.num_workers or len(os.sched_getaffinity(0)))
