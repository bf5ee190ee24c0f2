"""What `rstar tutor` and `rstar solve --hint` and `--explain` say, without a model."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from rstar_math.api.tutoring import Tutor
from rstar_math.cli.app import app
from rstar_math.cli.tutor import converse, print_explanation, print_hints
from rstar_math.errors import ConfigError
from rstar_math.terminal.console import Console
from rstar_math.tutor.lesson import Lesson
from tests.tutor.room import Room, rooms
from tests.tutor.test_lesson import PROGRAM, SHOP

room = pytest.fixture(scope="module")(rooms)


class Loop:
    """A loop that waits in the room."""

    def __init__(self, room: Room) -> None:
        self.call = room.wait


def said(room: Room, lesson: Lesson, monkeypatch: pytest.MonkeyPatch, lines: str) -> str:
    loop: Any = Loop(room)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    converse(Tutor(loop, lesson), Console(out, width=200))
    return out.getvalue()


def test_a_conversation(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = room.lesson(SHOP, PROGRAM)
    told = said(room, lesson, monkeypatch, "h\n48\n\nstep\ns\n\x1b[2J\nquit\n102\n")
    assert "a product" in told
    assert "what it gives is yours to find" in told
    assert "102" not in told
    assert "\x1b" not in told
    assert "The answer is 102." in said(room, lesson, monkeypatch, "answer\n")
    lesson = lesson.again()
    told = said(room, lesson, monkeypatch, "48\nagain\n12 * 4 + 6 * 9\nnever read\n")
    assert "From the beginning." in told
    assert "gives 102" in told  # all steps, when it is over
    unknown = room.lesson(SHOP, PROGRAM, outside=True)
    assert "do not trust it" in said(room, unknown, monkeypatch, "step\nanswer\n")


def test_hints_and_explanations(room: Room) -> None:
    loop: Any = Loop(room)
    out = io.StringIO()
    print_hints(Tutor(loop, room.lesson(SHOP, PROGRAM)), 2, Console(out))
    assert "price of the pens" in out.getvalue()
    assert "first =" not in out.getvalue()
    print_explanation(Tutor(loop, room.lesson(SHOP, PROGRAM)), Console(out))
    assert "Answer: 102" in out.getvalue()


@pytest.mark.parametrize("options", [["--json"], ["--interactive"], ["--explain"]])
def test_hints_go_with_one_question_alone(options: list[str]) -> None:
    question = [] if "--interactive" in options else [SHOP]
    with pytest.raises(ConfigError, match="one question"):
        app(["solve", "--hint", *options, *question], standalone_mode=False)


def test_an_empty_question() -> None:
    with pytest.raises(ConfigError, match="empty"):
        app(["tutor", "  "], standalone_mode=False)
