"""Which prefixes are kept as processes that wait, and what it takes to come to a prefix."""

from __future__ import annotations

from collections.abc import Iterator

from rstar_math.execution.supervisor.counts import Counts
from rstar_math.execution.supervisor.forked import Snapshot
from rstar_math.execution.supervisor.lru import LRU
from rstar_math.execution.supervisor.processes import Zygote
from rstar_math.execution.supervisor.requests import Request, Steps


class Snapshots:
    """Live snapshots by the steps that they have run, the least recently used first.

    Args:
      counts: is told how many have been kept, and given up for others.
      max_snapshots: most of them; 0: none is ever made.
      dear_s: seconds to replay from which a prefix is worth a process of its own.
      max_remembered: prefixes of which the seconds are noted.
    """

    def __init__(self, counts: Counts, max_snapshots: int, dear_s: float, max_remembered: int) -> None:
        self._counts = counts
        self._max_snapshots, self._dear_s = max_snapshots, dear_s
        self._by_steps: dict[Steps, Snapshot] = {}
        self._waiting: dict[Steps, list[Request]] = {}
        self._costs: LRU[Steps, float] = LRU(max_remembered)

    def __contains__(self, steps: Steps) -> bool:
        return steps in self._by_steps

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(list(self._by_steps.values()))

    def __len__(self) -> int:
        return len(self._by_steps)

    def note_cost(self, steps: Steps, seconds: float) -> None:
        """Remembers that it takes `seconds` to come as far as `steps`, where that is much."""
        if seconds >= self._dear_s:
            self._costs.put(steps, seconds)

    def cost(self, steps: Steps) -> float:
        """Seconds that it takes to come as far as `steps`; 0 where little or unknown."""
        return self._costs.get(steps) or 0.0

    def is_dear(self, prefix: Steps) -> bool:
        """Whether `prefix` is worth a process of its own."""
        return self._max_snapshots > 0 and self.cost(prefix) >= self._dear_s

    def build(self, request: Request) -> Request | None:
        """Has `request` wait for a snapshot of its prefix; returns what is to be run to have one, unless it runs."""
        prefix = request.prefix
        if prefix in self._waiting:
            self._waiting[prefix].append(request)
            return None
        self._waiting[prefix] = [request]
        return Request(prefix[:-1], prefix, len(prefix) - 1, request.profile, warm=False, builds=True)

    def built(self, build: Request) -> list[Request]:
        """Those who have waited for `build`, which has ended: they go on, with the snapshot or without."""
        if build.steps not in self._by_steps:
            self._costs.pop(build.steps)  # it left none, although it took much: nobody waits for one again
        return self._waiting.pop(build.steps, [])

    def forget_builds(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()

    def nearest(self, prefix: Steps, zygote: Zygote) -> Snapshot | None:
        """The snapshot of `zygote` that has run most of `prefix`."""
        if self._by_steps:
            for length in range(len(prefix), 0, -1):
                snapshot = self._by_steps.get(prefix[:length])
                # a later step may need more than the zygote of the earlier ones has loaded
                if snapshot is not None and snapshot.zygote is zygote:
                    return snapshot
        return None

    def use(self, snapshot: Snapshot) -> None:
        """A program is forked from `snapshot`."""
        snapshot.users += 1
        snapshot.forks += 1
        self._by_steps[snapshot.steps] = self._by_steps.pop(snapshot.steps)

    def keep(self, snapshot: Snapshot) -> None:
        """Keeps a process that stays."""
        old = self._by_steps.pop(snapshot.steps, None)
        if old is not None:
            old.child.close()
        self._by_steps[snapshot.steps] = snapshot
        self._counts.snapshots += 1
        while len(self._by_steps) > self._max_snapshots and self.evict(keep=snapshot):
            pass

    def evict(self, keep: Snapshot | None = None) -> bool:
        """Gives the least recently used snapshot up that nothing is being forked from; whether there was one."""
        for snapshot in self._by_steps.values():
            if snapshot.users == 0 and snapshot is not keep:
                self.drop(snapshot)
                self._counts.evicted += 1
                return True
        return False

    def drop(self, snapshot: Snapshot) -> None:
        """Ends a snapshot."""
        if self._by_steps.get(snapshot.steps) is snapshot:
            del self._by_steps[snapshot.steps]
        snapshot.child.close()

    def limit_memory(self, num_bytes: int) -> None:
        """Gives up snapshots until those that are left take no more than `num_bytes` together."""
        if self._by_steps:
            sizes = {snapshot: snapshot.child.memory_bytes() for snapshot in self}
            while sum(sizes[snapshot] for snapshot in self) > num_bytes and self.evict():
                pass
