"""Real Ray on loopback: an actor is killed, every tree comes once, nothing listens beyond loopback, nothing is left."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rstar_math.cluster import ray_pool
from rstar_math.cluster.ray_pool import RayPool
from rstar_math.config import RuntimeSettings
from rstar_math.errors import ConfigError
from rstar_math.tree import Tree
from tests import warm
from tests.cluster.fakes import JOB, done, tasks
from tests.growing import clockless_row

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray (extra [ray])")


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for Ray with a short name: its sockets have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@needs_ray
def test_an_actor_that_is_killed_costs_nothing(tmp_path: Path, place: Path) -> None:
    environment = dict(os.environ) | {"RAY_TMPDIR": str(place), "PYTHONPATH": str(warm.ROOT)}
    ran = warm.run(tmp_path / "run", "12", program="tests.cluster.ray_driver", cwd=warm.ROOT, env=environment)
    assert ran.returncode == 0, ran.stderr[-4000:]
    said = json.loads(ran.stdout.splitlines()[-1])
    for task in tasks(12):
        tree = asyncio.run(done(JOB, task))
        assert isinstance(tree, Tree)
        ours, theirs = clockless_row(tree), said["trees"].pop(task.problem.id)
        assert theirs == json.loads(json.dumps(ours))
    assert not said["trees"]
    (event,) = said["events"]
    assert (event["carrier"], event["num_tasks"], event["num_twice"]) == ("ray", 12, 0)
    assert event["num_leases"] == 12 + event["num_taken_over"]
    assert said["beyond"] == []
    deadline = time.monotonic() + 60
    while processes_of(place):
        assert time.monotonic() < deadline, processes_of(place)
        time.sleep(0.2)


def test_without_ray_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'rstar-math\[ray\]'"):
        RayPool(RuntimeSettings(cluster="ray"), tmp_path, print)
    assert ray_pool.SearchActor.__doc__
