"""The processes of one machine that join a run, without starting any: what is said where there is nothing to join."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.cluster.places import ClusterFolder, Driver
from rstar_math.cluster.processes import WorkerProcesses, is_whole, keep_working
from rstar_math.cluster.worker import Joining
from rstar_math.config import RuntimeSettings
from rstar_math.errors import PathError, RunError
from tests.cluster.test_holders import FAR


def joining(run: Path) -> Joining:
    return Joining(run, RuntimeSettings(), 1, idle_s=0.0)


def test_a_run_that_nobody_drives_is_not_waited_for_beyond_the_limit(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nobody has driven .* --cluster folder"):
        keep_working(joining(tmp_path / "run"))
    with pytest.raises(PathError):
        keep_working(joining(Path("a\0b")))


def test_a_run_that_is_whole_has_nothing_to_do(tiny_run: Path) -> None:
    assert is_whole(tiny_run)
    assert keep_working(joining(tiny_run)) == 0
    assert not is_whole(tiny_run / "round-1")


def test_processes_that_were_never_started_are_none(tmp_path: Path) -> None:
    with WorkerProcesses(joining(tmp_path)) as processes:
        assert not processes.check()
        assert processes.pids == []


def test_what_dead_processes_of_this_machine_held_is_free_again(tmp_path: Path) -> None:
    from dataclasses import replace

    from rstar_math.cluster.holders import new_holder

    cluster = ClusterFolder(tmp_path)
    cluster.make(Driver("d", 1.0, 0))
    leases = cluster.job("job").leases
    leases.make()
    dead, alive = replace(new_holder(1), started="1"), new_holder(1)
    for beat in (dead, alive, FAR):
        cluster.beat(beat)
        leases.publish(f"{beat.pid}{beat.count}{beat.machine}{beat.started}.1", "[]")
        leases.take(beat.holder, 1)
    assert cluster.release_gone() == 1
    assert sorted(cluster.workers()) == sorted([alive.holder, FAR.holder])
    assert len(leases.units().free) == 1
