"""How many searches run at once, and how many wait: first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rstar_math.serve.errors import RequestError


class Slots:
    """Slots for searches, and a queue of a limited length before them.

    Attributes:
      num_running: slots that are taken.
      num_waiting: searches in the queue.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self.num_running = self.num_waiting = 0
        self._max_running, self._max_waiting = max_running, max_waiting
        self._free = asyncio.Semaphore(max_running)

    def check(self, number: int) -> None:
        """Whether so many further searches find room, in a slot or in the queue.

        Raises:
          RequestError: they do not.
        """
        taken = self.num_running + self.num_waiting
        if taken + number > self._max_running + self._max_waiting:
            raise RequestError(
                429,
                f"{self.num_running} searches are running and {self.num_waiting} are waiting; try again later",
                code="rate_limit_exceeded",
                retry_after_s=2,
            )

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a slot, and holds it."""
        self.num_waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.num_waiting -= 1
        self.num_running += 1
        try:
            yield
        finally:
            self.num_running -= 1
            self._free.release()
