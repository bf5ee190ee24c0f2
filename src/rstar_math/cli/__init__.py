"""The command `rstar`: thin commands over the layers below; what is heavy is imported inside a command."""

from rstar_math.cli.boundary import main

__all__ = ["main"]
