"""Programs as a shell starts them in the foreground, whatever the tests themselves were started by."""

from __future__ import annotations

import signal


def hear_signals() -> None:
    """Called in a new process: it hears what a terminal sends. In the background a shell lets programs ignore it."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
