"""The learner's own steps, judged by running them."""

from __future__ import annotations

import pytest

from rstar_math.tutor.judging import Judgement, judge
from rstar_math.tutor.lesson import Lesson
from tests.tutor.room import Room
from tests.tutor.test_lesson import PROGRAM, SHOP


@pytest.fixture
def lesson(room: Room) -> Lesson:
    return room.lesson(SHOP, PROGRAM)


def told(room: Room, lesson: Lesson, *texts: str) -> Judgement:
    """The judgement of the last of some texts."""
    for text in texts:
        found: Judgement = room.wait(judge(lesson, text))
    return found


@pytest.mark.parametrize(
    "texts",
    [
        ["48"],
        ["4 * 12"],
        ["pens = 12 * 4"],
        ["6 * 9"],  # in another order
        ["The pens cost 48 dollars."],
        ["12 × 4 = 48"],
        ["48", "first + 54"],  # a name of the solution, once its step is done
        ["p = 12 * 4", "c = 9 * 6", "p + c"],
        ["12 * 4 + 6 * 9"],
        ["p = 12\nq = 4\np * q"],
        ["total = 0\nfor n, p in ((12, 4), (6, 9)):\n    total += n * p"],
        ["102"],
        ["The answer is $102."],
    ],
)
def test_right_steps_in_other_words(room: Room, lesson: Lesson, texts: list[str]) -> None:
    judgement = told(room, lesson, *texts)
    assert judgement.accepted, judgement
    assert lesson.is_over == (judgement.kind == "answer")


@pytest.mark.parametrize(
    ("texts", "kind", "wrong", "value"),
    [
        (["12 + 4"], "wrong", "12 + 4", "16"),
        (["first = 4"], "given", "first = 4", "4"),
        (["47"], "wrong", "47", "47"),
        (["the bill comes to 101"], "wrong", "the bill comes to 101", "101"),
        (["48", "first = 48"], "repeated", "first = 48", "48"),
        (["48", "first + 6"], "chance", "first + 6", "54"),
        (["12 * 4 = 46"], "slip", "12 * 4 = 46", "48"),
        (["12 * 4 + 6 + 9"], "wrong", "12 * 4 + 6 + 9", "63"),
        (["12 * 4 + 6 * 7 + 9"], "wrong", "6 * 7", "99"),
        (["a = 12 * 4\nb = 6 + 9\na + b"], "wrong", "b = 6 + 9", "15"),
        (["a = 4\nb = 6 * 9\na + b"], "given", "a = 4", "4"),
        (["The answer is 48."], "wrong", "The answer is 48.", "48"),
        (["12 * 4 / 0"], "failed", "12 * 4 / 0", None),
        (["pens * 4"], "failed", "pens * 4", None),
        (["48", "54", "second - first"], "wrong", "second - first", "6"),
    ],
)
def test_wrong_ones_and_where_they_go_wrong(
    room: Room, lesson: Lesson, texts: list[str], kind: str, wrong: str, value: str | None
) -> None:
    judgement = told(room, lesson, *texts)
    assert (judgement.kind, judgement.accepted, judgement.wrong, judgement.value) == (kind, False, wrong, value)
    assert not lesson.is_over
    assert "102" not in judgement.text


def test_the_answer_is_not_told_by_what_is_refused(room: Room, lesson: Lesson) -> None:
    for text in (
        "12 * 4 + 6 * 9 = 1",
        "x = 12 * 4 + 6 * 9 = 1",
        "(12 * 4 + 6 * 9) * 2",
        "print(answer)",
        "answer",
        "print(second)",
    ):
        judgement = told(room, lesson, text)
        assert not judgement.accepted
        assert "102" not in f"{judgement.text} {judgement.value}"


def test_a_right_number_by_a_wrong_way(room: Room) -> None:
    lesson = room.lesson("Bo has 2 trays of 2 cups, and 5 more.", ["cups = 2 * 2", "answer = cups + 5  # answer: 9"])
    judgement = told(room, lesson, "2 + 2")
    assert (judgement.kind, judgement.accepted, judgement.value) == ("chance", False, "4")
    at_the_end = told(room, lesson, "2 + 2 + 5")
    assert (at_the_end.kind, at_the_end.value) == ("chance", None)
    assert "9" not in at_the_end.text.replace(at_the_end.wrong or "", "")
    assert told(room, lesson, "2 * 2 + 5").kind == "answer"
    assert told(room, lesson, "9").kind == "repeated"


def test_parts_of_a_step(room: Room) -> None:
    lesson = room.lesson(
        "300 dollars, 15 percent off", ["# part\npart = 300 * 15 // 100", "answer = 300 - part  # answer: 255"]
    )
    assert told(room, lesson, "300 * 15").kind == "part"
    assert told(room, lesson, "part = 300 * 15").kind == "unfinished"
    assert told(room, lesson, "x = 300 * 15\nx / 100").kind == "right"


def test_what_is_no_step(room: Room, lesson: Lesson) -> None:
    assert told(room, lesson, "").kind == "unread"
    assert told(room, lesson, "who knows").kind == "unread"
    imported = told(room, lesson, "import os")
    assert (imported.kind, imported.accepted) == ("noted", True)
    assert told(room, lesson, "os.listdir('/')").kind in ("failed", "wrong")
    assert "for ever" in told(room, lesson, "while True: pass").text
    assert told(room, lesson, "print('x' * 10**8)").kind == "failed"
    assert told(room, lesson, "__import__('sys').exit(0)").kind == "failed"
    assert told(room, lesson, "x = 10**10**8").kind == "failed"
    assert told(room, lesson, "48").kind == "right"  # and goes on


def test_doubt_stands_behind_what_is_not_sure(room: Room) -> None:
    lesson = room.lesson(SHOP, PROGRAM, sure=False, confidence=0.4)
    assert "not sure" in told(room, lesson, "12 + 4").text
    assert told(room, lesson, "12 * 4").sure is False
