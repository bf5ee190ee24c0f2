"""What each machine of a cluster did for a run: workers, leases, tokens a second, from the events of its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rstar_math.report.schema import ClusterMachine, ClusterUsed, Report
from rstar_math.report.table import Column, TextTable, compact, count


def cluster_used(events: Iterable[Mapping[str, Any]]) -> ClusterUsed | None:
    """The sum of a run's `cluster` events; None where no cluster worked on it. A damaged event is left out."""
    jobs = [event for event in events if event.get("event") == "cluster" and _is_whole(event)]
    if not jobs:
        return None
    seconds = sum(job["seconds"] for job in jobs)
    found: dict[str, tuple[set[str], list[int]]] = {}
    for job in jobs:
        for worker, did in job["workers"].items():
            workers, sums = found.setdefault(_machine(worker), (set(), [0, 0]))
            workers.add(worker)
            sums[0] += did["num_tasks"]
            sums[1] += did["tokens"]
    machines = tuple(
        ClusterMachine(
            name=name,
            num_workers=len(workers),
            num_tasks=num_tasks,
            tokens=tokens,
            tokens_per_s=round(tokens / max(seconds, 1e-3), 1),
        )
        for name, (workers, (num_tasks, tokens)) in sorted(found.items())
    )
    return ClusterUsed(
        carriers=tuple(sorted({str(job["carrier"]) for job in jobs})),
        seconds=round(seconds, 3),
        num_leases=sum(job["num_leases"] for job in jobs),
        num_taken_over=sum(job["num_taken_over"] for job in jobs),
        num_lost=sum(job["num_lost"] for job in jobs),
        num_twice=sum(job["num_twice"] for job in jobs),
        tokens_per_s=round(sum(machine.tokens_per_s for machine in machines), 1),
        machines=machines,
    )


def cluster_table(report: Report) -> TextTable | None:
    """A line for each machine."""
    used = report.cluster
    if used is None:
        return None
    columns = (
        Column("machine", is_text=True),
        Column("processes"),
        Column("tasks"),
        Column("generated", "tokens"),
        Column("a second", "tokens"),
    )
    rows = tuple(
        (m.name, count(m.num_workers), compact(m.num_tasks), compact(m.tokens), count(m.tokens_per_s))
        for m in used.machines
    )
    note = (
        f"By {', '.join(used.carriers)}: {used.num_leases} leases, {used.num_taken_over} taken over from workers that "
        f"were lost, {used.num_lost} laid out anew, {used.num_twice} results that came twice and count once. A process "
        "that was started again counts again."
    )
    return TextTable("Cluster", columns, rows, note=note)


def _machine(worker: str) -> str:
    """The machine of a worker, whose name is <machine>-<process>[-<start>]."""
    return worker.split("-", 1)[0]


def _is_whole(job: Mapping[str, Any]) -> bool:
    counts = ("num_leases", "num_taken_over", "num_lost", "num_twice")
    workers = job.get("workers")
    return (
        all(_is_count(job.get(name)) for name in counts)
        and isinstance(job.get("seconds"), int | float)
        and isinstance(job.get("carrier"), str)
        and isinstance(workers, dict)
        and all(
            isinstance(did, dict) and _is_count(did.get("num_tasks")) and _is_count(did.get("tokens"))
            for did in workers.values()
        )
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
