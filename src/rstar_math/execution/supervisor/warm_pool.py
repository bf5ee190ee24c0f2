"""Which warm workers there are, and which of them a program goes to."""

from __future__ import annotations

import time
from collections.abc import Callable

from rstar_math.execution.supervisor.counts import Counts
from rstar_math.execution.supervisor.lru import LRU
from rstar_math.execution.supervisor.processes import Zygote
from rstar_math.execution.supervisor.requests import Request, Steps
from rstar_math.execution.supervisor.warm import QUEUE_DEPTH, WarmWorker

MAX_BARREN_WORKERS = 5
"""Warm workers lost one after the other without a single result, after which there are none for a while."""

WITHOUT_WORKERS_S = 30.0
"""How long that while is."""

AFFINITY_S = 0.005
"""How much longer a program may wait for the worker that has its prefix's state than for another, which would have to
replay the prefix; reckoned from what programs have taken there."""


class WarmPool:
    """The warm workers by what they have loaded, and where prefixes have run.

    Args:
      counts: is told how often workers were given up for a while.
      num_slots: most workers with the same libraries.
      max_remembered: prefixes of which the worker is noted.
    """

    def __init__(self, counts: Counts, num_slots: int, max_remembered: int) -> None:
        self._counts = counts
        self._num_slots = num_slots
        self._by_profile: dict[str, list[WarmWorker]] = {}
        self._homes: LRU[Steps, WarmWorker] = LRU(max_remembered)
        self._num_barren = 0
        self._none_until = 0.0

    def of(self, profile: str) -> list[WarmWorker]:
        """The workers that have `profile` loaded."""
        return list(self._by_profile.get(profile, ()))

    def workers(self) -> list[WarmWorker]:
        """All of them."""
        return [worker for workers in self._by_profile.values() for worker in workers]

    def num_busy(self) -> int:
        """Workers in which programs run or wait."""
        busy = 0
        for workers in self._by_profile.values():
            for worker in workers:
                if worker.queue:
                    busy += 1
        return busy

    def flush(self) -> None:
        """Sends every worker what it has been assigned."""
        for workers in self._by_profile.values():
            for worker in workers:
                worker.flush()

    @property
    def is_given_up(self) -> bool:
        """Whether there are none for a while."""
        return bool(self._none_until) and time.monotonic() < self._none_until

    def profile_for(self, request: Request) -> str:
        """What the worker has loaded that `request` goes to: where its prefix ran, or where something runs anyway.

        A program that needs little runs as well where numpy is loaded; fewer processes then take turns on the cores.
        """
        if request.profile != "light":
            return request.profile
        home = self._homes.get(request.prefix)
        if home is not None and not home.over:
            return home.zygote.profile
        if self._is_at_work("numpy") and not self._is_at_work("light"):
            return "numpy"
        return request.profile

    def _is_at_work(self, profile: str) -> bool:
        return any(worker.queue for worker in self._by_profile.get(profile, ()))

    def choose(
        self,
        request: Request,
        profile: str,
        zygote: Zygote,
        is_free: Callable[[], bool],
        new_worker: Callable[[], WarmWorker | None],
    ) -> WarmWorker | None:
        """The worker that `request` goes to; None where it must wait.

        Args:
          request: an admitted program.
          profile: what the worker is to have loaded.
          zygote: of that profile; workers of another one do not count.
          is_free: whether one more process may run now.
          new_worker: makes a worker; None where there is no room.
        """
        home = self._homes.get(request.prefix) if request.prefix else None
        if home is not None and (home.over or home.zygote is not zygote or len(home.queue) >= QUEUE_DEPTH):
            home = None
        if home is not None and home.queue and home.wait_s <= AFFINITY_S:
            return home
        workers = self._by_profile.setdefault(profile, [])
        least = min(workers, key=_num_waiting, default=None)
        chosen = least
        if home is not None and least is not None and home.wait_s <= least.wait_s + AFFINITY_S:
            chosen = home
            if home.queue:
                return home
        free = is_free()
        may_grow = free and len(workers) < self._num_slots
        has_turn = chosen is not None and (not may_grow if chosen.queue else free)
        if chosen is not None and has_turn and len(chosen.queue) < QUEUE_DEPTH:
            return chosen
        if may_grow:
            return new_worker()
        busy = [worker for worker in workers if 0 < len(worker.queue) < QUEUE_DEPTH]
        return min(busy, key=_num_waiting, default=None)

    def add(self, worker: WarmWorker) -> None:
        """One more."""
        self._by_profile.setdefault(worker.zygote.profile, []).append(worker)

    def forget(self, worker: WarmWorker, lost: bool) -> None:
        """A worker has been ended; `lost`: it has ended by itself."""
        workers = self._by_profile.get(worker.zygote.profile, [])
        if worker in workers:
            workers.remove(worker)
        if not lost:
            return
        self._num_barren = self._num_barren + 1 if worker.barren else 0
        if self._num_barren >= MAX_BARREN_WORKERS:
            self._num_barren = 0
            self._none_until = time.monotonic() + WITHOUT_WORKERS_S
            self._counts.without_workers += 1

    def note_result(self) -> None:
        """A worker has run a program."""
        self._num_barren = 0

    def note_home(self, steps: Steps, worker: WarmWorker) -> None:
        """`worker` has the state that `steps` left."""
        self._homes.put(steps, worker)


def _num_waiting(worker: WarmWorker) -> int:
    return len(worker.queue)
