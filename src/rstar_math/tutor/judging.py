"""A learner's text, judged by running it: what fits a known solution, and where what does not first goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rstar_math.tutor.chance import by_chance
from rstar_math.tutor.known import KnownSolution, inner_expressions, uses
from rstar_math.tutor.lesson import Lesson
from rstar_math.tutor.reading import Piece, parsed, read
from rstar_math.tutor.running import BROKEN, Ran, run
from rstar_math.tutor.wording import brief, described, is_number_of

Kind = Literal[
    "answer",
    "right",
    "part",
    "noted",
    "repeated",
    "given",
    "unfinished",
    "wrong",
    "chance",
    "slip",
    "failed",
    "unread",
    "unknown",
]
"""What was made of a learner's text.

answer: it is the answer. right: it is a step of a correct solution, or several. part: it stands inside of the next
step. noted: it sets something up, and computes no step. repeated: a value that is there already. given: a number of the
question as it stands. unfinished: a part of the step that is given out as the whole. wrong: it fits no correct solution
that is known. chance: the number is right, the way to it is not. slip: it says another value than it has. failed: it
does not run. unread: nothing was understood. unknown: the model does not know this kind of problem."""

_NOT_OF_THE_MODEL = ("unread", "failed", "slip", "noted", "unknown")
"""What is said whatever the model believes."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a tutor says of a learner's text.

    Attributes:
      kind: see `Kind`.
      accepted: it goes on from here.
      text: for the learner.
      wrong: what first goes wrong, as the learner wrote it; None where nothing does.
      value: what that computed, or the last value of all; None where there is none, and where it would tell the answer.
      sure: whether the tutor is sure of it (`Trust.sure`).
    """

    kind: Kind
    accepted: bool
    text: str
    wrong: str | None = None
    value: str | None = None
    sure: bool | None = None


async def judge(lesson: Lesson, text: str) -> Judgement:
    """Judges what the learner wrote: one step, several, or the answer. What is right of it stays in the lesson.

    Raises:
      SandboxError: there is no sandbox, or it does not work.
      GradingError: values cannot be compared.
    """
    if lesson.is_over:
        return Judgement("repeated", False, "You have the answer; nothing is left to do.", sure=lesson.trust.sure)
    understood = read(text)
    if understood.why:
        return Judgement("unread", False, understood.why, sure=lesson.trust.sure)
    ran = await run(lesson.executor, lesson.program(), understood.pieces)
    if ran[0].error == BROKEN and lesson.forget():
        ran = await run(lesson.executor, lesson.program(), understood.pieces)
    if not lesson.trust.knows:
        values = [r.value for r in ran if r.value is not None]
        told = f" What you wrote computes {values[-1]}." if values else ""
        return Judgement("unknown", False, lesson.trust.text + told, None, values[-1] if values else None, False)
    for number, (piece, did) in enumerate(zip(understood.pieces, ran, strict=False)):
        judgement = await _Judging(lesson, piece, did, number, len(understood.pieces)).judged()
        if not judgement.accepted:
            break
    return judgement


class _Judging:
    """One piece of what a learner wrote."""

    def __init__(self, lesson: Lesson, piece: Piece, ran: Ran, number: int, num_pieces: int) -> None:
        self._lesson, self._piece, self._ran = lesson, piece, ran
        self._source = brief(piece.source)
        self._where = f"Line {number + 1}, `{self._source}`," if num_pieces > 1 else f"`{self._source}`"
        self._is_last = number == num_pieces - 1

    async def judged(self) -> Judgement:
        lesson, piece, value, where = self._lesson, self._piece, self._ran.value, self._where
        if self._ran.error is not None:
            return self._refused("failed", f"{where} does not run: {self._ran.error}.")
        if value is None:
            lesson.note(piece, None)
            return self._taken("noted", f"{where} computes nothing yet. Go on from it.", None)
        for claim, claimed in zip(piece.claims, self._ran.claims, strict=True):
            if not await lesson.same(value, claimed):
                is_secret = await lesson.is_answer(value)
                told = f"is {value}, and not {brief(claim)}" if not is_secret else f"is not {brief(claim)}"
                return self._refused(
                    "slip", f"{where} is not right: {piece.report} {told}.", None if is_secret else value
                )
        found = await lesson.fitting(value)
        if found is not None:
            return await self._fits(value, *found)
        if await lesson.has(value):
            return self._refused(
                "repeated", f"{where} gives {value}, which you have already: no step on from it.", value
            )
        is_bare = piece.expression is None or not inner_expressions(piece.expression)
        is_given = is_number_of(lesson.question, value)
        if is_bare and not self._is_last and piece.code and not is_given and value in ("0", "1"):
            lesson.note(piece, None)
            return self._taken("noted", f"{where} is a beginning. Go on from it.", value)
        if is_bare and is_given:
            if not self._is_last and piece.code:
                lesson.note(piece, value)
                return self._taken("noted", f"{where} names a number of the question.", value)
            told = f"{where} takes {value} from the question as it stands: that is no step of a correct solution."
            return self._refused("given", told, value)
        if (part_of := await lesson.step_with_part(value)) is not None:
            if piece.is_answer or (piece.name is not None and piece.name == part_of):
                told = (
                    f"{where} gives {described(piece.expression, value)}: a part of the step, and not the whole of it."
                )
                return self._refused("unfinished", told, value)
            lesson.note(piece, None)
            told = f"{where} gives {value}, a part of the step. Finish it."
            return self._taken("part", told, value, accepted=not self._is_last)
        return await self._wrong(value)

    async def _fits(self, value: str, solution: KnownSolution, step: int) -> Judgement:
        """It has the value of a step; whether by the same way."""
        lesson, piece = self._lesson, self._piece
        is_end = step == len(solution.steps) - 1
        if piece.is_answer and not is_end:
            return self._refused("wrong", f"{value} is not the answer. There is more to do with it.", value)
        if piece.expression and await by_chance(
            lesson.executor, lesson.question, solution, step, piece.expression, lesson.meant(solution)
        ):
            told = (
                f"{self._where} would be right by chance: with other numbers in the question, this formula goes wrong."
            )
            if is_end or await lesson.is_answer(value):
                return self._refused("chance", told)
            return self._refused("chance", f"{told} It computes {described(piece.expression, value)}.", value)
        num_new = lesson.accept(piece, solution, step)
        if is_end:
            skipped = f" That was {num_new} steps at once." if num_new > 1 else ""
            return self._taken("answer", f"Right: {value} is the answer.{skipped}", value)
        at_once = f" These are {num_new} steps at once." if num_new > 1 else ""
        return self._taken("right", f"Right: {value}.{at_once}", value)

    async def _wrong(self, value: str) -> Judgement:
        """It fits nothing: says what it computed, and where it first goes wrong."""
        lesson, piece = self._lesson, self._piece
        blamed = await self._blamed()
        if blamed is not None:
            line, given = blamed
            told = f"`{line}` takes {given} from the question as it stands, where a step was to be made first."
            return self._refused("given", f"{told} So {self._where} gives {value}.", given, line)
        told = f"{self._where} gives {described(piece.expression, value)}. It fits no correct solution that I know."
        inner = inner_expressions(piece.expression or "")
        if len(inner) > 1:
            ran = await run(lesson.executor, lesson.program(), [Piece(part, report=part) for part in inner])
            for part, r in zip(inner[:-1], ran, strict=False):
                if r.value is None or await lesson.stands_inside(r.value) or await lesson.is_answer(r.value):
                    continue
                told += f" The first part that fits none is `{brief(part)}`: {described(part, r.value)}."
                return self._refused("wrong", told, value, part)
        return self._refused("wrong", told, value)

    async def _blamed(self) -> tuple[str, str] | None:
        """A line before that only names a number of the question, where the value of a step should stand."""
        lesson, expression = self._lesson, self._piece.expression or ""
        wanted = [v for v in lesson.open_values() if parsed(v) is not None]
        for line, name, given in lesson.named_numbers():
            if not wanted or not uses(expression, name):
                continue
            tried = [f"(lambda {name}: {expression})({v})" for v in wanted]
            ran = await run(lesson.executor, lesson.program(), [Piece(t, report=t) for t in tried])
            if any([r.value is not None and await lesson.fitting(r.value) is not None for r in ran]):
                return brief(line), given
        return None

    def _refused(self, kind: Kind, text: str, value: str | None = None, wrong: str | None = None) -> Judgement:
        return self._said(kind, False, text, wrong or self._source, value)

    def _taken(self, kind: Kind, text: str, value: str | None, accepted: bool = True) -> Judgement:
        return self._said(kind, accepted, text, None, value)

    def _said(self, kind: Kind, accepted: bool, text: str, wrong: str | None, value: str | None) -> Judgement:
        trust = self._lesson.trust
        doubt = f" {trust.doubt}" if trust.sure is False and kind not in _NOT_OF_THE_MODEL else ""
        return Judgement(kind, accepted, text + doubt, wrong, value, trust.sure)
