"""Units of work in a shared folder: one winner, whatever is killed or fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rstar_math.cluster.leases import Held, Leases, size_of, unit_name
from tests.cluster.fakes import stall


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    made = Leases(tmp_path / "job")
    made.make()
    return made


def test_a_unit_goes_from_free_to_held_to_nowhere(leases: Leases) -> None:
    leases.publish("u.1", "content")
    assert leases.units().free == ("u.1",)
    assert leases.take("ann", 1) == [("u.1", "content")]
    assert leases.take("bob", 1) == []
    assert leases.units().held == (Held("u.1", "ann"),)
    assert leases.content("u.1") == "content"
    leases.finish("u.1", "ann")
    assert leases.units().names == set()


def test_a_unit_that_was_taken_over_is_not_ended_by_its_first_holder(leases: Leases) -> None:
    leases.publish("u.1", "content")
    leases.take("ann", 1)
    assert leases.give_back(Held("u.1", "ann"))
    assert not leases.give_back(Held("u.1", "bob"))
    leases.take("bob", 1)
    leases.finish("u.1", "ann")  # comes late
    assert leases.units().held == (Held("u.1", "bob"),)


def test_no_more_is_taken_than_is_wanted(leases: Leases) -> None:
    for i in range(6):
        leases.publish(unit_name([f"p{i}@0", f"q{i}@0"]), str(i))
    assert sum(size_of(unit) for unit, _ in leases.take("ann", 3)) == 4
    assert leases.give_back_all("ann") == 2
    assert len(leases.units().free) == 6


def test_of_two_who_take_the_same_unit_one_wins(leases: Leases) -> None:
    units = [unit_name([f"p{i}@0"]) for i in range(60)]
    for unit in units:
        leases.publish(unit, unit)
    taken: dict[str, list[str]] = {}
    start = threading.Barrier(4)

    def reach(holder: str) -> None:
        start.wait()
        taken[holder] = [unit for unit, _ in leases.take(holder, len(units), units)]

    threads = [threading.Thread(target=reach, args=(f"h{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(unit for each in taken.values() for unit in each) == sorted(units)


def test_a_folder_that_stalls_loses_nothing(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    stall(3, leases.folder, 0.2, lambda place, name, value: monkeypatch.setattr(place, name, value))
    units = [unit_name([f"p{i}@0"]) for i in range(12)]
    for unit in units:
        leases.publish(unit, unit)
    taken = [unit for unit, _ in leases.take("ann", 12)]  # a rename that was done though it failed counts as done
    assert sorted(taken) == sorted(units)
    for unit in taken[:6]:
        leases.finish(unit, "ann")
    assert leases.give_back_all("ann") == 6
    assert sorted(leases.units().free) == sorted(taken[6:])


def test_names_of_units_do_not_depend_on_who_makes_them() -> None:
    assert unit_name(["a@1", "b@1"]) == unit_name(["a@1", "b@1"]) != unit_name(["b@1", "a@1"])
    assert size_of(unit_name(["a@1", "b@1"])) == 2
