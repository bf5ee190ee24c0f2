"""A driver over Ray in a process of its own: RUN NUM_TASKS. Kills the first actor that hands something over.

Prints one JSON object: the trees, the run's events, and what of Ray listens beyond loopback.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from rstar_math.cluster.ray_pool import RayPool
from rstar_math.config import PolicySettings, RuntimeSettings
from rstar_math.engines.fake import FakeEngine
from rstar_math.tree import Tree
from rstar_math.workers.jobs import SearchJob
from tests.cluster.fakes import SEARCH, tasks
from tests.growing import clockless_row


def engine() -> FakeEngine:
    """The policy of this run; every actor loads it from this file."""
    return FakeEngine()


def listening() -> list[str]:
    """Addresses beyond loopback at which processes of this machine listen, from the system's own table."""
    found = []
    for name, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and not local.startswith((loopback, "0000000000000000FFFF00000100007F")):
                found.append(local)
    return found


def main(run: str, num: str) -> None:
    events: list[dict[str, Any]] = []
    trees: dict[str, Any] = {}
    killed = 0
    before = listening()
    runtime = RuntimeSettings(cluster="ray", num_workers=2, concurrency=4, lease_s=60)
    job = SearchJob(PolicySettings(policy=f"{__file__}:engine", bootstrap="none"), None, "mcts", SEARCH)
    with RayPool(runtime, Path(run), lambda event, **values: events.append({"event": event, **values})) as pool:
        for task, tree in pool.run(job, tasks(int(num))):
            assert isinstance(tree, Tree)
            assert task.problem.id not in trees, "a tree came twice"
            trees[task.problem.id] = clockless_row(tree)
            if not killed:
                killed = int(next(a.name for a in pool._actors if a.name).rpartition("-")[2])
                os.kill(killed, 9)
        beyond = sorted(set(listening()) - set(before))
    print(json.dumps({"trees": trees, "events": events, "killed": killed, "beyond": beyond}))


if __name__ == "__main__":
    main(*sys.argv[1:])
