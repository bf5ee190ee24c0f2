"""Real Ray on loopback: an actor is killed, every tree comes once, nothing listens beyond loopback, nothing is left."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import subprocess
import sys
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
from tests.cluster.test_whole_recipe import require_nothing_left, stages, trees, weights
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
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'rstar-math\[ray\]'"):
        RayPool(RuntimeSettings(cluster="ray"), tmp_path, print)
    assert ray_pool.SearchActor.__doc__


@needs_ray
@pytest.mark.slow
def test_three_nodes_whose_processes_are_killed_at_random_moments_make_the_same_run(
    tiny_run: Path, tiny_recipe: Path, tmp_path: Path, place: Path
) -> None:
    seed = int(os.environ.get("CLUSTER_SEED") or random.randrange(1 << 30))
    print(f"CLUSTER_SEED={seed}", flush=True)
    chance, run = random.Random(seed), tmp_path / "run"
    environment = dict(os.environ) | {"RAY_TMPDIR": str(place), "PYTHONPATH": str(warm.ROOT)}
    nodes = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.ray_nodes", "3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=warm.ROOT,
        env=environment,
    )
    assert nodes.stdin is not None
    assert nodes.stdout is not None
    address = nodes.stdout.readline().strip()

    def drive() -> warm.Running:
        return warm.start(
            *("evolve", tiny_recipe, "--out", run, "--rounds", "1", "--cluster", "ray"),
            env=environment | {"RAY_ADDRESS": address},
            pipes=["stderr"],
        )

    def tell(command: str) -> int:
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        nodes.stdin.write(command + "\n")
        nodes.stdin.flush()
        line = nodes.stdout.readline()
        while not line.strip().isdecimal():
            line = nodes.stdout.readline()
        return int(line)

    driver, num_kills, num_nodes, num_dead = drive(), 0, 3, 0
    try:
        while driver.poll() != 0:
            if driver.poll() is not None:  # killed, or its own raylet was
                assert num_dead < num_kills, driver.communicate()[1][-4000:]
                num_dead += 1
                driver.communicate()
                driver = drive()
            time.sleep(1.0 + 3.0 * chance.random())
            if num_kills >= 20:
                continue
            num_kills += 1
            kind = chance.choice(["driver", "actor", "actor", "raylet", "added", "removed"])
            if kind == "driver":
                driver.send_signal(9)
            elif kind == "actor":
                actors = [pid for pid, line in processes_with("ray::SearchActor") if line]
                if actors:
                    os.kill(chance.choice(sorted(actors)), 9)
            elif kind == "added" or num_nodes < 2:
                num_nodes = tell("add")
            else:
                num_nodes = tell(f"{'kill' if kind == 'raylet' else 'remove'} {chance.randrange(9)}")
            print(num_kills, kind, num_nodes, flush=True)
    finally:
        driver.send_signal(9)
        driver.communicate()
        nodes.communicate()
    print(f"{num_kills} kills and changes, {num_dead} times the driver was started again")
    for name in ("search", "select", "policy", "ppm", "calibrate"):
        assert stages(run, 1)[name] == stages(tiny_run, 1)[name], name
    assert trees(run, 1) == trees(tiny_run, 1)
    assert weights(run, 1) == weights(tiny_run, 1)
    require_nothing_left(run)
    deadline = time.monotonic() + 60
    while processes_of(place):
        assert time.monotonic() < deadline, processes_of(place)
        time.sleep(0.2)


def processes_with(title: str) -> list[tuple[int, str]]:
    """Processes of this machine that call themselves so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if line.startswith(title):
            found.append((int(path.parent.name), line))
    return found
