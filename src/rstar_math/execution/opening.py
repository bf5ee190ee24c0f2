"""Which executor a machine and its settings call for."""

from __future__ import annotations

import sys

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.base import Executor


def open_executor(settings: ExecutionSettings, num_slots: int | None = None) -> Executor:
    """A sandboxed executor, or, where the settings ask for it in so many words, one without isolation.

    Raises:
      SandboxError: this system has no sandbox, and the settings do not say that steps may run without one.
    """
    if settings.isolation == "none":
        from rstar_math.execution.unconfined.executor import UnconfinedExecutor

        return UnconfinedExecutor(settings, num_slots)
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            f"steps are not executed, because there is no sandbox for them on {sys.platform}. Use Linux, or accept "
            "running them with your own rights, which is not a security boundary: runtime.execution.isolation: none"
        )
    from rstar_math.execution.supervisor.executor import SandboxExecutor

    return SandboxExecutor(settings, num_slots)
