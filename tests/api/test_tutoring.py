"""Lessons by the shipped model, from Python and from the command line."""

from __future__ import annotations

import asyncio

import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.errors import ConfigError
from rstar_math.types import Problem
from tests import warm

TANK = "A tank gains 30 liters a minute and loses 7. Bo waits 6 minutes. How many liters is that?"


def test_a_lesson_blocking_awaited_and_with_the_answer() -> None:
    with RStarMathModel.from_pretrained("pocket") as model:
        lesson = model.tutor(TANK)
        assert (lesson.state.knows, lesson.state.sure, lesson.state.answer) == (True, True, None)
        assert lesson.judge("30 + 7").wrong == "30 + 7"
        assert lesson.judge("23").kind == "right"
        assert lesson.state.num_steps == 2
        lesson.again()
        assert lesson.state.steps == ()

        async def awaited() -> str:
            tutor = await model.atutor(TANK)
            return (await tutor.judge("(30 - 7) * 6")).kind

        assert asyncio.run(awaited()) == "answer"
        assert not model.tutor("Name the largest prime below a googol, and prove it.").state.knows
        assert model.tutor(Problem("p", TANK, "138")).state.sure
        with pytest.raises(ConfigError, match="empty"):
            model.tutor(" ")


def test_the_command_takes_steps_and_shows_none_of_the_answer() -> None:
    ran = warm.run("tutor", TANK, text="hint\n30 - 7\nstep\n139\n")
    assert ran.returncode == 0, ran.stderr
    assert "a difference, made from numbers of the question" in ran.stdout
    assert "Right: 23." in ran.stdout
    assert "`139` gives 139" in ran.stdout
    assert "138" not in ran.stdout
