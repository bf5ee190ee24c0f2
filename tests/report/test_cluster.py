"""What each machine of a cluster did, from the events of a run."""

from __future__ import annotations

import io
from typing import Any

from rstar_math.cluster.tally import Tally
from rstar_math.report.cluster import cluster_used
from rstar_math.report.tables import print_report, report_tables
from rstar_math.terminal.console import Console
from tests.report.made_up import report


def event(*workers: str) -> dict[str, Any]:
    tally = Tally(num_leases=len(workers), num_taken_over=1)
    for worker in workers:
        tally.count({"worker": worker, "tokens": 100, "seconds": 0.5})
    return {"event": "cluster", **tally.row("folder"), "seconds": 2.0}


def test_jobs_are_summed_by_machine() -> None:
    used = cluster_used([event("a-1-x", "a-2-y", "b-1-z"), event("a-1-x"), {"event": "stage", "seconds": 1.0}])
    assert used is not None
    assert [(m.name, m.num_workers, m.num_tasks, m.tokens, m.tokens_per_s) for m in used.machines] == [
        ("a", 2, 3, 300, 75.0),
        ("b", 1, 1, 100, 25.0),
    ]
    assert (used.seconds, used.num_leases, used.num_taken_over, used.tokens_per_s) == (4.0, 4, 2, 100.0)
    stream = io.StringIO()
    print_report(Console(stream, width=100), report().model_copy(update={"cluster": used}))
    assert "4 leases, 2 taken over" in " ".join(stream.getvalue().split())


def test_without_a_cluster_nothing_is_said_and_damaged_events_are_left_out() -> None:
    assert cluster_used([{"event": "stage"}, {"event": "cluster"}, event("a-1") | {"workers": {"a-1": 3}}]) is None
    assert "Cluster" not in [table.title for table in report_tables(report())]
