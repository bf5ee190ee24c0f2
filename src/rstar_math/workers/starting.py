"""Processes that a command starts: what they are made from, and that a terminal's signals are not theirs to handle.

Importing torch takes almost a second of CPU, transformers three more. A spawned process imports them again; one that
is forked from multiprocessing's fork server has them at once. The server computes nothing, so that no thread and no
accelerator is forked. It starts with the first process, with the environment of that moment.

Ctrl-C reaches every process of a terminal. A child that hears it prints a traceback of its own, or is gone while its
parent still waits for it.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext

StartContext = ForkServerContext | SpawnContext

_FOR_SEARCHING = (
    "rstar_math.workers.lean",
    "torch",
    "rstar_math.workers.pool",
    "rstar_math.workers.bench",
    "rstar_math.engines.torch.engine",
)
_FOR_TRAINING = ("transformers.models.auto.modeling_auto", "rstar_math.training.sft", "rstar_math.training.ppm")

_OF_A_TERMINAL = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

_imported_by_server = dict.fromkeys(_FOR_SEARCHING)


def expect_training() -> None:
    """Lets a fork server that does not run yet import what trainings need, too."""
    _imported_by_server.update(dict.fromkeys(_FOR_TRAINING))


def start_context() -> StartContext:
    """The context to start processes with.

    They are spawned where there is no fork server, and by processes that were started themselves: each would need a
    server of its own, for few processes.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods() or multiprocessing.parent_process() is not None:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_imported_by_server))
    return context


@contextmanager
def started_deaf() -> Iterator[None]:
    """Processes that are started in the block do not hear a terminal's signals, from their first moment on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_A_TERMINAL)  # a new process has what is blocked here
    try:
        resource_tracker.ensure_running()  # multiprocessing's own; where it starts, it unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, _OF_A_TERMINAL)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stay_deaf() -> None:
    """Called first in such a process: ignores the signals for good, and blocks them no more."""
    for number in _OF_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_A_TERMINAL)
