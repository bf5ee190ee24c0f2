"""`rstar evolve --cluster folder` and `rstar work` on a whole recipe: the same bytes as on one machine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from rstar_math.store.records import read_trees
from tests import warm
from tests.growing import clockless_row

TRAINED = ("policy/model.safetensors", "ppm/model.safetensors", "trajectories.parquet", "pairs.parquet")


def stages(run: Path, number: int) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((run / f"round-{number}" / "manifest.json").read_text())["stages"]
    return made


def trees(run: Path, number: int) -> dict[str, Any]:
    return {t.id: clockless_row(t) for t in read_trees(run / f"round-{number}" / "trees")}


def weights(run: Path, number: int) -> list[str]:
    files = (run / f"round-{number}" / name for name in TRAINED[:2])
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def require_nothing_left(run: Path) -> None:
    assert not (run / "cluster").exists()
    assert not list(run.rglob(".*.tmp"))


def children_of(pid: int) -> list[int]:
    """The processes that a process has started; none where it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_machines_and_one_make_the_same_round(tiny_run: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with warm.start("work", run, "--workers", "1", pipes=["stdout", "stderr"]) as joined:  # before there is a run
        options = ("--rounds", "1", "--cluster", "folder", "--workers", "1")
        driver = warm.run("evolve", tiny_recipe, "--out", run, *options)
        assert driver.returncode == 0, driver.stderr[-4000:]
        out, err = joined.communicate()
        assert joined.wait() == 0, err
    assert int(out.split()[0]) > 0, "the second machine did nothing"
    for name in ("search", "select", "policy", "ppm", "calibrate"):
        assert stages(run, 1)[name] == stages(tiny_run, 1)[name], name
    assert trees(run, 1) == trees(tiny_run, 1)
    assert weights(run, 1) == weights(tiny_run, 1)
    require_nothing_left(run)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert all(e["num_workers"] <= 2 and e["num_twice"] == 0 for e in events if e["event"] == "cluster")
    assert max(e["num_workers"] for e in events if e["event"] == "cluster") == 2


@pytest.mark.slow
def test_four_machines_killed_at_twenty_moments_make_the_same_run(
    tiny_run: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    seed = int(os.environ.get("CLUSTER_SEED") or random.randrange(1 << 30))
    print(f"CLUSTER_SEED={seed}")
    chance, run = random.Random(seed), tmp_path / "run"

    def drive() -> warm.Running:
        options = ("--cluster", "folder", "--workers", "0")
        return warm.start("evolve", tiny_recipe, "--out", run, *options, pipes=[], new_session=True)

    def work() -> warm.Running:
        return warm.start("work", run, "--workers", "1", pipes=[], new_session=True)

    driver, machines, pids = drive(), [work() for _ in range(4)], set[int]()
    num_kills = 0
    while driver.poll() != 0:
        assert driver.poll() in (None, -9), "the driver failed"
        time.sleep(0.5 + 2.0 * chance.random())
        if num_kills < 20:
            kind = chance.choice(["driver", "machine", "search process", "added", "removed"])
            print(num_kills, kind)
            num_kills += 1
            one = chance.randrange(len(machines))
            children = {child for m in machines for child in children_of(m.pid)}
            pids |= children
            if kind == "driver":
                driver.send_signal(9)
            elif kind == "machine":
                machines[one].send_signal(9)
            elif kind == "search process" and children:
                os.kill(chance.choice(sorted(children)), 9)
            elif kind == "added":
                machines.append(work())
            elif kind == "removed":
                machines[one].terminate()
        if driver.poll() not in (None, 0):
            driver = drive()
        while sum(m.poll() is None for m in machines) < 3:
            machines.append(work())
    for machine in machines:
        machine.wait(1500)
    for number in (1, 2):
        assert stages(run, number) == stages(tiny_run, number)
        assert trees(run, number) == trees(tiny_run, number)
        assert weights(run, number) == weights(tiny_run, number)
    require_nothing_left(run)
    time.sleep(1.0)
    assert not [pid for pid in pids if is_running(pid)]
