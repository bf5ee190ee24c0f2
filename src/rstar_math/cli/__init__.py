"""The command `rstar`: thin commands over the layers below; what is heavy is imported inside a command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line; errors that a person can mend are shown without a traceback (`rstar_math.cli.ending`)."""
    from rstar_math.cli.ending import Stopped, signals_handled  # not above: a part of this package would load itself

    with signals_handled() as stopping:
        try:
            from rstar_math.cli.boundary import run  # loads much; a signal may come meanwhile

            code = run()
        except (KeyboardInterrupt, Stopped):
            code = stopping.end()
    sys.exit(code)
