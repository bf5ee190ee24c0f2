"""Which pool a run's work goes through: the processes of this machine, a shared folder, or Ray."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from rstar_math.config import RuntimeSettings
from rstar_math.workers.pool import Pool, WorkerPool


def open_pool(runtime: RuntimeSettings, run: Path, log: Callable[..., None]) -> AbstractContextManager[Pool]:
    """The pool of a run; the processes of this machine where the runtime names no cluster.

    Args:
      runtime: of the recipe.
      run: folder of the run.
      log: takes the name of an event and its values, for the run's log.

    Raises:
      ConfigError: the cluster cannot be used.
    """
    if runtime.cluster == "folder":
        from rstar_math.cluster.folder_pool import FolderPool

        return FolderPool(runtime, run, log)
    if runtime.cluster == "ray":
        from rstar_math.cluster.ray_pool import RayPool

        return RayPool(runtime, run, log)
    return WorkerPool(runtime)
