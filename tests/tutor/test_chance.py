"""Right numbers by chance."""

from __future__ import annotations

import pytest

from rstar_math.tutor.chance import by_chance, same_way
from rstar_math.tutor.known import KnownSolution, known_solution
from tests.tutor.room import Room, code_step, trajectory

QUESTION = "Bo has 2 trays of 2 cups, and 5 more; a box holds 15 percent of 300. A court is 4 by 7."
STEPS = ("cups = 2 * 2", "all = cups + 5", "part = 300 * 15 // 100", "border = 2 * (4 + 7)", "answer = all * part")


@pytest.fixture(scope="module")
def solution(room: Room) -> KnownSolution:
    found: KnownSolution = room.wait(known_solution(room.executor, trajectory([*map(code_step, STEPS)], "405")))
    return found


@pytest.mark.parametrize(
    ("step", "expression", "is_chance"),
    [
        (0, "2 * 2", False),
        (0, "2 + 2", True),
        (0, "2 ** 2", True),
        (1, "5 + 2 * 2", False),
        (1, "5 + 4", False),  # 4 is the result before
        (1, "mine + 5", False),
        (1, "5 + 2 + 2", True),
        (2, "300 * 15 / 100", False),
        (2, "300 / 100 * 15", False),
        (2, "300 * 0.15", False),  # nothing says what 0.15 is
        (2, "int(15 * 300 / 100)", False),
        (2, "300 // 15 * 2 + 5", True),
        (3, "4 + 7 + 4 + 7", False),
        (3, "2 * 4 + 2 * 7", False),
        (3, "(4 + 7) * 2", False),
        (3, "15 + 7", True),
        (4, "(2 * 2 + 5) * (300 * 15 // 100)", False),
        (4, "9 * 45", False),
    ],
)
def test_other_numbers_tell(room: Room, solution: KnownSolution, step: int, expression: str, is_chance: bool) -> None:
    names: dict[str, int | str] = {"mine": 0, "all": 1}
    assert room.wait(by_chance(room.executor, QUESTION, solution, step, expression, names)) is is_chance


def test_solutions_that_agree_by_chance(room: Room, solution: KnownSolution) -> None:
    def known(*program: str) -> KnownSolution:
        found: KnownSolution = room.wait(known_solution(room.executor, trajectory([*map(code_step, program)], "4")))
        return found

    right, other, turned = known("x = 2 * 2"), known("x = 2 + 2"), known("y = 2", "x = y * 2")
    assert not room.wait(same_way(room.executor, QUESTION, right, other))
    assert room.wait(same_way(room.executor, QUESTION, right, turned))
