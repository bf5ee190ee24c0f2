"""How errors reach a person: one message on standard error, an exit status (`ending.py` lists them), no traceback."""

from __future__ import annotations

import errno
import os

from rstar_math.cli.app import app
from rstar_math.cli.ending import INTERRUPTED, Stopped, flushed, print_error
from rstar_math.errors import PathError, RStarError, UserError
from rstar_math.lean_torch import expect_torch
from rstar_math.store.paths import explanation
from rstar_math.terminal.streams import show_controls


def run() -> int:
    """Runs the command line, says what went wrong, and gives the exit status.

    Raises:
      KeyboardInterrupt, Stopped: a signal came.
    """
    # read when torch is loaded: threads that wait for one another sleep. Spinning, which is a little quicker on an idle
    # machine, brings training to a halt on one that others use as well (docs/log.md, 2026-11-28)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    expect_torch()
    # pydantic looks through every installed package for plugins of its own, which takes as long as its import
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    show_controls()
    message, code = _run()
    code = flushed(code)
    if message is not None:
        print_error(message)
    return code


def _run() -> tuple[str | None, int]:
    """Runs the command; gives what to say about its end, and the exit status."""
    try:
        app()
    except UserError as error:
        return str(error), 2
    except RStarError as error:
        return f"{type(error).__name__}: {error}", 1
    except Stopped:
        raise
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # typer makes Ctrl-C an exit with this code
            raise KeyboardInterrupt from None
        return None, ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OSError as error:
        if error.errno == errno.EPIPE:
            return None, 1
        if (explained := explanation(error)) is None:
            raise
        return str(explained), 2 if isinstance(explained, PathError) else 1
    return None, 0
