"""What is remembered of programs that did not run in a warm worker, so that they are not sent to one again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rstar_math.execution.supervisor.counts import Counts
from rstar_math.execution.supervisor.lru import LRU
from rstar_math.execution.supervisor.reports import NotDone
from rstar_math.execution.supervisor.requests import Steps


class WarmBook:
    """Steps and programs that need a process of their own, the least recently used forgotten first.

    Args:
      counts: is told how many programs did not run in a warm worker.
      max_remembered: most steps, programs and reasons that are noted.

    Attributes:
      reasons: why programs did not run in a warm worker, with their number.
    """

    def __init__(self, counts: Counts, max_remembered: int) -> None:
        self.reasons: Counter[str] = Counter()
        self._counts = counts
        self._max_remembered = max_remembered
        self._refused: LRU[str, bool] = LRU(max_remembered)
        """Steps that the static check does not admit."""
        self._not_warm: LRU[Steps, bool] = LRU(max_remembered)
        """Programs that did not end in a warm worker, although it admits each of their steps."""

    def may_run(self, prefix: Steps, steps: Sequence[str]) -> bool:
        """Whether nothing is known against running `steps`, whose last comes after `prefix`, in a warm worker."""
        if len(self._refused) and any(step in self._refused for step in steps):
            return False
        if prefix in self._not_warm:
            self._not_warm.put(tuple(steps), True)  # and so on for what comes after it
            return False
        return True

    def note(self, steps: Steps, result: NotDone) -> None:
        """A worker has said that it did not run `steps`, or that its result is not to be trusted."""
        if len(self.reasons) < self._max_remembered:
            self.reasons[f"{result.kind}: {result.reason}"[:200]] += 1
        if 0 <= result.culprit < len(steps):
            self._refused.put(steps[result.culprit], True)
        else:
            self._not_warm.put(steps, True)
        if result.kind == "refused":
            self._counts.not_admitted += 1
        elif result.kind == "deferred":
            self._counts.deferred += 1
        else:
            self._counts.tainted += 1
