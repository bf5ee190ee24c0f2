"""Processes that a command starts: a terminal's signals are its own to handle, not theirs.

Ctrl-C reaches every process of a terminal. A child that hears it prints a traceback of its own, or is gone while its
parent still waits for it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

_OF_A_TERMINAL = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


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
