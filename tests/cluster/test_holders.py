"""When a lease has run out, by one observer's own clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from rstar_math.cluster.holders import Beat, Watch, is_gone, new_holder, read_beat

FAR = Beat("far-1", 1, "far", "another place", 1, "1", 16)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_holder_that_is_not_heard_of_runs_out_and_one_that_beats_does_not() -> None:
    clock = Clock()
    watch = Watch(80.0, clock)
    counts, found = [], set[str]()
    for i in range(12):
        clock.now += 10
        beats = {"far-1": FAR, "near-2": replace(FAR, holder="near-2", count=i), "none-3": None}
        found = watch.run_out(beats)
        counts.append(len(found))
    assert found == {"far-1", "none-3"}
    assert counts[:7] == [0] * 7  # not before a whole lease has passed


def test_wall_clocks_play_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    watch = Watch(80.0, clock)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    for i in range(50):
        clock.now += 10
        assert watch.run_out({"far-1": replace(FAR, count=i)}) == set()


def test_time_in_which_the_observer_could_not_look_counts_little() -> None:
    clock = Clock()
    watch = Watch(80.0, clock)
    watch.run_out({"far-1": FAR})
    clock.now += 3600  # the folder stalled, for holder and observer alike
    assert watch.run_out({"far-1": FAR}) == set()
    clock.now += 10
    assert watch.run_out({"far-1": FAR}) == set()


def test_a_process_of_this_machine_that_has_ended_loses_its_leases_at_once() -> None:
    own = new_holder(16)
    assert not is_gone(own)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert is_gone(replace(own, pid=ended.pid))
    assert is_gone(replace(own, started="1"))  # the number is used again by another process
    assert not is_gone(replace(own, pid=ended.pid, place="another"))
    assert Watch(1e9).run_out({"x": replace(own, pid=ended.pid)}) == {"x"}


def test_a_beat_survives_its_file_and_what_is_no_beat_is_none() -> None:
    own = new_holder(4)
    assert read_beat(own.text()) == own
    assert own.holder != new_holder(4).holder
    assert str(os.getpid()) in own.holder
    for text in (None, "", "{", "[]", '{"holder": 1}'):
        assert read_beat(text) is None
