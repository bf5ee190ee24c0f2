"""Hints in levels, steps one at a time, and the answer only where it is asked for."""

from __future__ import annotations

import json
from dataclasses import asdict

from rstar_math.api.tutoring import taught
from rstar_math.tutor.judging import judge
from tests.tutor.room import Room

SHOP = "Ada orders 12 pens for 4 dollars each and 6 caps for 9 dollars each. What is the bill?"
PROGRAM = (
    "# price of the pens\nfirst = 12 * 4",
    "# price of the caps\nsecond = 6 * 9",
    "# both prices, 102 in all\nanswer = first + second  # answer: 102",
)


def test_hints_grow_and_steps_follow(room: Room) -> None:
    lesson = room.lesson(SHOP, PROGRAM)
    assert [lesson.hint() for _ in range(4)] == [
        "The next step is a product, made from numbers of the question.",
        "price of the pens",
        "first = 12 * 4",
        "first = 12 * 4",
    ]
    assert len(lesson.hints()) == 3
    shown = lesson.show()
    assert shown is not None
    assert (shown.words, shown.value, shown.by) == ("price of the pens", "48", "tutor")
    assert lesson.hints() == []
    assert room.wait(judge(lesson, "54")).kind == "right"
    assert [(s.value, s.by) for s in lesson.steps()] == [("48", "tutor"), ("54", "learner")]
    assert lesson.hint() == "The next step is a sum, made from what you have so far."
    assert lesson.hint() == "both prices, … in all"
    last = lesson.show()
    assert last is not None
    assert last.value is None
    assert "102" not in json.dumps([asdict(taught(lesson)), asdict(last)])
    assert lesson.give_answer() == "102"
    assert [s.value for s in lesson.steps()] == ["48", "54", "102"]
    assert lesson.show() is None
    assert "answer" in lesson.hint()
    assert "102" in taught(lesson).steps[-1].words
    assert not lesson.again().steps()


def test_the_solution_is_followed_of_which_the_learner_has_most(room: Room) -> None:
    other = [
        "# in pence\npens = 12 * 400",
        "# caps\nall = pens + 6 * 900",
        "# back\nanswer = all // 100  # answer: 102",
    ]
    lesson = room.lesson(SHOP, PROGRAM, other)
    assert room.wait(judge(lesson, "4800")).kind == "right"
    assert lesson.steps()[0].words == "in pence"


def test_what_it_does_not_know_it_does_not_teach(room: Room) -> None:
    lesson = room.lesson(SHOP, PROGRAM, outside=True, sure=False)
    assert "does not know" in lesson.hint()
    assert lesson.show() is None
    assert (lesson.num_steps(), lesson.steps()) == (0, [])
    judgement = room.wait(judge(lesson, "12 * 4"))
    assert (judgement.kind, judgement.accepted, judgement.value) == ("unknown", False, "48")
