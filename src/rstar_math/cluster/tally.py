"""What a cluster did for one job: workers, leases, tokens a second. For the run's log and its report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class WorkerTally:
    """What one worker did."""

    num_tasks: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass
class Tally:
    """What came in, from whom, and what was lost on the way.

    Attributes:
      num_leases: units that were laid out.
      num_taken_over: units whose holder was lost.
      num_lost: units that lay nowhere, and were laid out anew.
      num_twice: results that had come before.
      workers: by their names.
    """

    num_leases: int = 0
    num_taken_over: int = 0
    num_lost: int = 0
    num_twice: int = 0
    workers: dict[str, WorkerTally] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def count(self, row: Mapping[str, Any]) -> None:
        """Counts a result, by its row."""
        worker = self.workers.setdefault(str(row.get("worker")), WorkerTally())
        worker.num_tasks += 1
        worker.tokens += int(row.get("tokens", 0))
        worker.seconds += float(row.get("seconds", 0.0))

    def row(self, carrier: str) -> dict[str, Any]:
        """The values of an event in the run's log."""
        seconds = max(1e-3, time.monotonic() - self._began)
        workers = {
            name: {
                "num_tasks": w.num_tasks,
                "tokens": w.tokens,
                "tokens_per_s": round(w.tokens / seconds, 1),
                "seconds_per_task": round(w.seconds / max(1, w.num_tasks), 3),
            }
            for name, w in sorted(self.workers.items())
        }
        return {
            "carrier": carrier,
            "seconds": round(seconds, 3),
            "num_tasks": sum(w.num_tasks for w in self.workers.values()),
            "num_workers": len(self.workers),
            "num_leases": self.num_leases,
            "num_taken_over": self.num_taken_over,
            "num_lost": self.num_lost,
            "num_twice": self.num_twice,
            "tokens_per_s": round(sum(w.tokens for w in self.workers.values()) / seconds, 1),
            "workers": workers,
        }
