"""What an executor has done, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What an executor has done; every field counts from 0."""

    executions: int = 0
    cached: int = 0
    warm: int = 0
    forked: int = 0
    from_snapshot: int = 0
    not_admitted: int = 0
    deferred: int = 0
    """Admitted programs that turned out to need a process of their own."""
    tainted: int = 0
    """Results thrown away because the warm worker that they came from was found changed."""
    without_workers: int = 0
    """How often warm workers were given up for a while, because several in a row were lost without a result."""
    lost: int = 0
    """Programs that had to be run again because a process was lost under them."""
    snapshots: int = 0
    evicted: int = 0
