"""Which solutions are kept."""

from __future__ import annotations

from rstar_math.types import Problem
from tests.tutor.room import Room, code_step, trajectory

QUESTION = "Bo has 2 trays of 2 cups."


def test_only_solutions_with_the_answer_that_agree_with_other_numbers(room: Room) -> None:
    right = ["cups = 2 * 2  # answer: 4"]
    lesson = room.lesson(
        QUESTION,
        right,
        ["cups = 2 + 2  # answer: 4"],
        ["n = 2", "cups = n * 2  # answer: 4"],
        ["cups = 2  # answer: 2"],
    )
    assert [s.steps[-1].expression for s in lesson.solutions] == ["2 * 2", "n * 2"]
    assert lesson.trust.knows


def test_the_reference_decides_where_there_is_one(room: Room) -> None:
    found = [trajectory([code_step(f"x = {x}")], x) for x in ("3 * 2", "2 * 2")]
    assert not room.opened(Problem("p", QUESTION, "5"), found).trust.knows
    by_reference = room.opened(
        Problem("p", QUESTION, "4"), [trajectory([code_step("x = 2 * 2")], "4"), *found], outside=True
    )
    assert (by_reference.answer, by_reference.trust.knows, by_reference.trust.sure) == ("4", True, True)


def test_a_program_that_does_not_run_or_says_another_answer_is_no_solution(room: Room) -> None:
    found = [trajectory([code_step("x = 1 / 0")], "4"), trajectory([code_step("x = 3")], "4")]
    lesson = room.opened(Problem("p", QUESTION), found)
    assert (lesson.answer, lesson.trust.knows, list(lesson.solutions)) == (None, False, [])
    assert lesson.give_answer() is None
    assert lesson.show() is None
    assert lesson.steps() == []
