"""Lessons on the page: kept here, so that the page never holds more than its learner may see."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rstar_math.api.asking import question_id
from rstar_math.api.model import RStarMathModel
from rstar_math.api.tutoring import AsyncTutor
from rstar_math.errors import UserError
from rstar_math.types import Problem
from rstar_math.view.library import NotFoundError

MAX_QUESTION_CHARS = 4_000
MAX_LESSONS = 256
"""Lessons that are kept; the one that was used least recently goes first."""

_MAX_SAID = 200
_AT_ONCE = 2


@dataclass(slots=True)
class _Kept:
    """A lesson, and what was said in it."""

    tutor: AsyncTutor
    said: list[dict[str, Any]] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Learning:
    """The lessons of all who learn on these pages.

    Attributes:
      models: who teaches, by name; closed by whoever opened them.
    """

    def __init__(self, models: Mapping[str, RStarMathModel]) -> None:
        self.models = models
        self._lessons: OrderedDict[str, _Kept] = OrderedDict()
        self._beginning = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, body: bytes) -> dict[str, Any]:
        """Answers one request of the page: `do`, and what it needs.

        begin: `question`, perhaps `model`. state, hint, step, answer, again: `lesson`. judge: `lesson`, `text`.

        Returns:
          `lesson`: its id; `state`: `rstar_math.api.tutoring.Taught`; `said`: what was said, each `by` and `text`.

        Raises:
          UserError: it is not asked for in this way.
          NotFoundError: there is no such lesson any more, or no such model.
          RStarError: the search, the sandbox or the grader failed.
        """
        try:
            asked = json.loads(body)
            do = asked["do"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError("send an object with do: begin, state, hint, step, judge, answer or again") from None
        if do == "begin":
            return await self._begin(_text(asked, "question", MAX_QUESTION_CHARS), asked.get("model"))
        name = _text(asked, "lesson", 100)
        kept = self._lessons.get(name)
        if kept is None:
            raise NotFoundError("this lesson is not kept any more; begin it again")
        self._lessons.move_to_end(name)
        async with kept.turn:
            await self._do(do, kept, asked)
        return _shown(name, kept)

    async def _begin(self, question: str, model: object) -> dict[str, Any]:
        if not self.models:
            raise NotFoundError("no model teaches here; start the pages with --model pocket")
        name = model if isinstance(model, str) else next(iter(self.models))
        if name not in self.models:
            raise NotFoundError("there is no such model here")
        async with self._beginning:
            tutor = await self.models[name].atutor(Problem(question_id(question), question.strip()))
        lesson = secrets.token_urlsafe(12)
        self._lessons[lesson] = _Kept(tutor)
        while len(self._lessons) > MAX_LESSONS:
            self._lessons.popitem(last=False)
        return _shown(lesson, self._lessons[lesson])

    async def _do(self, do: object, kept: _Kept, asked: dict[str, Any]) -> None:
        tutor, said = kept.tutor, kept.said
        if do == "state":
            return
        if do == "judge":
            text = _text(asked, "text", 100_000, may_be_empty=True)
            judgement = await tutor.judge(text)
            said.append({"by": "learner", "text": text[:2_000]})
            said.append({"by": "tutor", **asdict(judgement)})
        elif do == "hint":
            said.append({"by": "tutor", "kind": "hint", "text": tutor.hint()})
        elif do == "step":
            step = tutor.show()
            if step is None:
                said.append({"by": "tutor", "kind": "hint", "text": "There is no step to show."})
            else:
                said.append({"by": "tutor", "kind": "step", "text": "A step is done for you.", "step": asdict(step)})
        elif do == "answer":
            told = "I have no answer to this question." if (a := tutor.answer()) is None else f"The answer is {a}."
            doubt = "" if tutor.state.knows or a is None else " I do not know this kind of problem: do not trust it."
            said.append({"by": "tutor", "kind": "answer", "text": told + doubt})
        elif do == "again":
            tutor.again()
            said.clear()
        else:
            raise UserError("do is begin, state, hint, step, judge, answer or again")
        del said[:-_MAX_SAID]


def _shown(lesson: str, kept: _Kept) -> dict[str, Any]:
    return {"lesson": lesson, "state": asdict(kept.tutor.state), "said": kept.said}


def _text(asked: dict[str, Any], name: str, most: int, may_be_empty: bool = False) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or (not value.strip() and not may_be_empty):
        raise UserError(f"{name} must be a text that is not empty")
    if len(value) > most:
        raise UserError(f"{name} has {len(value):,} characters; it may have {most:,}")
    return value
