"""Pieces in the sandbox."""

from __future__ import annotations

from rstar_math.tutor.reading import read
from rstar_math.tutor.running import BROKEN, MAX_VALUE_CHARS, run
from tests.tutor.room import Room


def values(room: Room, text: str, *before: str) -> list[tuple[str | None, str | None]]:
    return [(r.value, r.error) for r in room.wait(run(room.executor, before, read(text).pieces))]


def test_each_piece_has_its_value(room: Room) -> None:
    assert values(room, "x = y * 4\nimport math\nprint(f'so {x}')\nx - 1", "y = 3") == [
        ("12", None),
        (None, None),
        ("so 12", None),
        ("11", None),
    ]


def test_what_does_not_run_says_why_and_ends(room: Room) -> None:
    assert values(room, "x = 1\nx / 0\nx") == [("1", None), (None, "ZeroDivisionError: division by zero")]
    assert values(room, "while True: pass")[0][1] == "it computes for too long, perhaps for ever"
    assert values(room, "print('a' * 10**8)")[0][1] is not None
    assert values(room, "10**5000")[0][1] is not None
    assert values(room, "1", "x = undefined") == [(None, BROKEN)]


def test_long_values_are_cut_and_parts_are_told(room: Room) -> None:
    ((value, _),) = values(room, "'ab' * 5000")
    assert value is not None
    assert len(value) == MAX_VALUE_CHARS
    (ran,) = room.wait(run(room.executor, (), read("(2 + 3) * 4").pieces, [["2 + 3"]]))
    assert (ran.value, ran.parts) == ("20", ("5",))
