"""How errors and signals reach a person: one message on standard error, an exit status, and no traceback.

0    done
1    failed for a reason outside of the command line: a full disk, a broken engine; the output was closed
2    the caller can mend it: an option, a file, a folder
129, 130, 131, 143    stopped by SIGHUP, SIGINT (Ctrl-C), SIGQUIT, SIGTERM (128 + the signal's number)
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rstar_math.cli.app import app
from rstar_math.errors import PathError, RStarError, UserError
from rstar_math.store.paths import explanation

_INTERRUPTED = 128 + signal.SIGINT
_MAX_MESSAGE = 8_000
_STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Stopped(SystemExit):
    """A signal asks the process to end; raised in the main thread, so that what is half written is removed."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def main() -> None:
    """Runs the command line; errors that a person can mend are shown without a traceback."""
    # read when torch is loaded: threads that wait for one another sleep. Spinning, which is a little quicker on an idle
    # machine, brings training to a halt on one that others use as well (docs/log.md, 2026-11-28)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _prepare_streams()
    with _signals_handled():
        message, code = _run()
    code = _flushed(code)
    if message is not None:
        _print_error(message)
    sys.exit(code)


def _run() -> tuple[str | None, int]:
    """Runs the command; gives what to say about its end, and the exit status."""
    try:
        app()
    except UserError as error:
        return str(error), 2
    except RStarError as error:
        return f"{type(error).__name__}: {error}", 1
    except Stopped as stopped:
        return f"stopped by {signal.Signals(stopped.number).name}; {_GO_ON}", 128 + stopped.number
    except KeyboardInterrupt:
        return f"stopped; {_GO_ON}", _INTERRUPTED
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:  # typer makes Ctrl-C an exit with this code
            return f"stopped; {_GO_ON}", _INTERRUPTED
        return None, ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OSError as error:
        if error.errno == errno.EPIPE:
            return None, 1
        if (explained := explanation(error)) is None:
            raise
        return str(explained), 2 if isinstance(explained, PathError) else 1
    return None, 0


_GO_ON = "nothing that was finished is lost. Run the same command again to go on."


def _prepare_streams() -> None:
    """Lets every text be printed: what the encoding lacks, or no encoding has, as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _signals_handled() -> Iterator[None]:
    """SIGTERM, SIGHUP (unless it is ignored, as under nohup) and SIGQUIT end the block as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        for other in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)  # let what is half written be removed
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # the way out of an end that hangs
        raise Stopped(number)

    is_main = threading.current_thread() is threading.main_thread()
    found = {number: signal.getsignal(number) for number in _STOPPING if is_main}
    for number, handler in found.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)


def _flushed(code: int) -> int:
    """Writes out what was printed; a reader that is gone (`| head`) is no error to speak of."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # at the end of the process Python would try again, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            _print_error(f"the output could not be written: {error.strerror}")
        return code or 1
    return code


def _print_error(message: str) -> None:
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}\n... ({len(message) - _MAX_MESSAGE:,} more characters)"
    try:
        print(f"rstar: {message}", file=sys.stderr, flush=True)
    except OSError:  # nobody reads it: the exit status says the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
