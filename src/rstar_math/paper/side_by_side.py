"""Trainings and runs that leave cores idle, several at a time, each in a process and on cores of its own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.context import ForkServerProcess, SpawnProcess
from typing import TypeVar

from rstar_math.errors import EngineError, RStarError
from rstar_math.terminal.streams import show_controls
from rstar_math.workers.starting import start_context, started_deaf, stay_deaf

T = TypeVar("T")


def side_by_side(jobs: Sequence[Callable[[], T]], num_processes: int) -> Generator[tuple[int, T], None, None]:
    """Runs jobs in processes of their own; yields (index of the job, its result) as they end.

    Processes end when the iterator is closed, by an error too, and when this process is gone; so do their own.

    Args:
      jobs: functions that can be pickled, with results that can.
      num_processes: jobs that run at the same time; each is kept to an equal share of the cores.

    Raises:
      RStarError: a job raised it.
      EngineError: a process died, or a job failed otherwise; its traceback stands on the standard error.
    """
    context = start_context()
    cores = sorted(os.sched_getaffinity(0))
    free = deque(cores[i::num_processes] or cores for i in range(num_processes))
    todo = deque(enumerate(jobs))
    running: dict[multiprocessing.connection.Connection, tuple[int, ForkServerProcess | SpawnProcess, list[int]]] = {}
    try:
        while todo or running:
            while todo and free:
                index, job = todo.popleft()
                share = free.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, job, share))  # no daemon: it may have children
                with started_deaf():
                    process.start()
                theirs.close()
                running[ours] = index, process, share
            for ready in multiprocessing.connection.wait(list(running)):
                assert isinstance(ready, multiprocessing.connection.Connection)
                index, process, share = running[ready]
                try:
                    result = ready.recv()
                except EOFError:
                    process.join()
                    raise EngineError(
                        f"a process at work died (exit code {process.exitcode}); at exit code -9 the machine is "
                        "probably out of memory. Run the command again: what is whole is not made again"
                    ) from None
                process.join()
                ready.close()
                del running[ready]
                free.append(share)
                if isinstance(result, RStarError):
                    raise result
                yield index, result
    finally:
        for ours, (_, process, _) in running.items():
            process.kill()
            process.join()
            ours.close()


def _work(connection: multiprocessing.connection.Connection, job: Callable[[], object], cores: list[int]) -> None:
    """The life of a process: one job, and its result or the error that it raised on purpose."""
    stay_deaf()
    show_controls()
    import torch

    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    try:
        connection.send(job())
    except RStarError as error:
        connection.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
