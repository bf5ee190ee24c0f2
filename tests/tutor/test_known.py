"""Trajectories as known solutions."""

from __future__ import annotations

from rstar_math.tutor.known import distinct, inner_expressions, known_solution, uses
from tests.tutor.room import Room, code_step, trajectory

PROGRAM = (
    "# Step 1: both prices\nfirst = 12 * 4\nsecond = 6 * 9",
    "# the sum\nanswer = first + second // 1",
    "# Now print the final answer\nprint(answer)",
)


def test_steps_have_words_values_and_what_they_need(room: Room) -> None:
    known = room.wait(known_solution(room.executor, trajectory([*map(code_step, PROGRAM)], "102")))
    first, second = known.steps
    assert (first.words, first.name, first.value, first.parts) == ("both prices", "second", "54", ("48",))
    assert (second.words, second.expression, second.needs) == ("the sum", "first + second // 1", frozenset({0}))
    assert second.parts == ("54",)
    assert second.code == "answer = first + second // 1"


def test_what_does_not_run_or_computes_nothing_is_no_solution(room: Room) -> None:
    for program in (["x = 1 / 0"], ["import math"], ["x = = 1"]):
        assert room.wait(known_solution(room.executor, trajectory([*map(code_step, program)], "1"))) is None


def test_one_of_each_program() -> None:
    a, b = (trajectory([code_step(code)], "1") for code in ("x = 1", "x = 2"))
    assert list(distinct([a, b, a])) == [a, b]


def test_expressions() -> None:
    assert inner_expressions("(a + 2) * max(3, 4)") == ["a + 2", "max(3, 4)", "(a + 2) * max(3, 4)"]
    assert inner_expressions("a =") == []
    assert uses("a + 2", "a")
    assert not uses("b", "a")
