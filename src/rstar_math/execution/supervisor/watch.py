"""The clocks and the memory of what runs, read from outside as long as anything does."""

from __future__ import annotations

import asyncio
import time

from rstar_math.config import ExecutionSettings
from rstar_math.execution.capacity import total_memory_bytes
from rstar_math.execution.supervisor.forked import Run
from rstar_math.execution.supervisor.processes import Child
from rstar_math.execution.supervisor.snapshots import Snapshots
from rstar_math.execution.supervisor.warm import WarmWorker
from rstar_math.execution.supervisor.warm_pool import WarmPool

TICK_S = 0.02
"""How often the clocks of running programs are read."""

IDLE_TICK_S = 0.5
"""How often waiting processes are looked at, which ought to do nothing."""

MEMORY_TICK_S = 0.1
"""How often the memory of all processes together is read."""


class Watch:
    """Ends what has reached a limit, each by itself and all together.

    Args:
      settings: the limits.
      runs: programs in processes of their own.
      pool: warm workers.
      snapshots: processes that wait.
    """

    def __init__(self, settings: ExecutionSettings, runs: set[Run], pool: WarmPool, snapshots: Snapshots) -> None:
        self._settings = settings
        self._runs, self._pool, self._snapshots = runs, pool, snapshots
        self._ticking: asyncio.TimerHandle | None = None
        self._memory_read_at = 0.0

    def start(self) -> None:
        """Something runs from now on."""
        if self._ticking is None:
            self._tick_after(TICK_S)

    def stop(self) -> None:
        """Looks at nothing any more."""
        if self._ticking is not None:
            self._ticking.cancel()

    def children(self) -> list[Child]:
        """All processes but the zygotes."""
        return [one.child for one in (*self._runs, *self._pool.workers(), *self._snapshots)]

    def _tick_after(self, seconds: float) -> None:
        self._ticking = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = time.monotonic()
        for run in list(self._runs):
            run.check(now)
        workers = self._pool.workers()
        for worker in workers:
            worker.check(now)
        if now - self._memory_read_at >= MEMORY_TICK_S:
            self._memory_read_at = now
            for snapshot in self._snapshots:
                snapshot.check()
            self._check_memory()
        if self._ticking is not None:
            return
        if self._runs or any(worker.queue for worker in workers):
            self._tick_after(TICK_S)
        elif self._snapshots:
            self._tick_after(IDLE_TICK_S)

    def _check_memory(self) -> None:
        """Gives up what waits, then ends what takes most, once processes together take more than they may."""
        self._snapshots.limit_memory(self._settings.snapshot_memory_mb << 20)
        limit = total_memory_bytes(self._settings)
        total = self._memory_bytes()
        while total > limit and self._snapshots.evict():
            total = self._memory_bytes()
        for worker in self._pool.workers():
            if total > limit and not worker.queue:
                total -= worker.child.memory_bytes()
                worker.close()
        running: list[Run | WarmWorker] = [*self._runs, *self._pool.workers()]
        if total > limit and running:
            error = f"MemoryLimit: all programs together take more than {limit >> 20} MiB"
            max(running, key=lambda one: one.child.memory_bytes()).out_of_memory(error)

    def _memory_bytes(self) -> int:
        return sum(child.memory_bytes() for child in self.children())
