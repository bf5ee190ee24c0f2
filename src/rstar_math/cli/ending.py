"""How a command ends: signals, what is printed last, and the exit status. Loaded before all else, so it loads little.

0    done
1    failed for a reason outside of the command line: a full disk, a broken engine; the output was closed
2    the caller can mend it: an option, a file, a folder
129, 130, 131, 143    stopped by SIGHUP, SIGINT (Ctrl-C), SIGQUIT, SIGTERM (128 + the signal's number)
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT

_MAX_MESSAGE = 8_000
_STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LOOK_AGAIN_S = 0.5


class Stopped(SystemExit):
    """A signal asks the process to end; raised in the main thread, so that what is half written is removed."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Stopping:
    """Ends what the main thread does when SIGTERM, SIGHUP or SIGQUIT come; SIGINT stays Python's own.

    Libraries swallow exceptions, for instance while they are imported. So long as the process has not ended, and the
    exception is gone, it is raised again.

    Attributes:
      number: the signal that came; None: none did.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._raised: weakref.ref[Stopped] | None = None

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals: asks once; the further ones let what is half written be removed."""
        if self.number is not None:
            return
        self.number = number
        _quiet_asyncio()
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # the way out of an end that hangs
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt) and interrupt is not signal.default_int_handler:
            interrupt(signal.SIGINT, frame)  # an event loop's: it cancels its main task, as with Ctrl-C
            return
        signal.setitimer(signal.ITIMER_REAL, _LOOK_AGAIN_S, _LOOK_AGAIN_S)
        self._raise()

    def look_again(self, number: int, frame: FrameType | None) -> None:
        """The handler of the timer: raises again where the exception was swallowed."""
        if self._raised is not None and self._raised() is None:
            self._raise()

    def _raise(self) -> None:
        assert self.number is not None
        stopped = Stopped(self.number)
        self._raised = weakref.ref(stopped)
        raise stopped

    def end(self) -> int:
        """Says how the command was stopped, on standard error; gives the exit status."""
        _quiet_asyncio()
        by = "stopped" if self.number is None else f"stopped by {signal.Signals(self.number).name}"
        print_error(f"{by}; nothing that was finished is lost. Run the same command again to go on.")
        return flushed(INTERRUPTED if self.number is None else 128 + self.number)


def _quiet_asyncio() -> None:
    """An exception that a signal raised inside a task is none that somebody forgot to look at."""
    if "asyncio" in sys.modules:
        import logging

        logging.getLogger("asyncio").disabled = True


@contextmanager
def signals_handled() -> Iterator[Stopping]:
    """SIGTERM, SIGHUP (unless it is ignored, as under nohup) and SIGQUIT end the block as Ctrl-C does."""
    stopping = Stopping()
    found = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGALRM)}
    for number, handler in found.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, stopping.look_again if number == signal.SIGALRM else stopping.on_signal)
    try:
        yield stopping
    finally:
        if found:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in found.items():
            signal.signal(number, handler)


def flushed(code: int) -> int:
    """Writes out what was printed; a reader that is gone (`| head`) is no error to speak of."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # at the end of the process Python would try again, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            print_error(f"the output could not be written: {error.strerror}")
        return code or 1
    return code


def print_error(message: str) -> None:
    """Prints a message on standard error, cut where it is very long."""
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}\n... ({len(message) - _MAX_MESSAGE:,} more characters)"
    try:
        print(f"rstar: {message}", file=sys.stderr, flush=True)
    except OSError:  # nobody reads it: the exit status says the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
