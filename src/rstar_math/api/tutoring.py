"""A lesson in Python: `model.tutor(question)`, blocking, and `model.atutor(question)`, awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rstar_math.tutor.judging import Judgement, judge
from rstar_math.tutor.lesson import Lesson, TaughtStep
from rstar_math.tutor.opening import open_lesson
from rstar_math.types import Solution

if TYPE_CHECKING:
    from rstar_math.api.asking import Asked
    from rstar_math.api.background import BackgroundLoop
    from rstar_math.workers.bench import Workbench

MORE_TREES = 4
"""So many times the model's own trees grow where the answer is given and no solution had it."""


@dataclass(frozen=True, slots=True)
class Taught:
    """All that may be shown of a lesson at this moment: never the answer before it is given or asked for.

    Attributes:
      question: what is asked.
      knows, sure, trust: whether the tutor teaches it, how sure it is, and that in words.
      steps: that the learner has.
      num_steps: of the solution.
      hints: that were given for the next step.
      is_over: the answer was given or asked for.
      answer: once the lesson is over.
    """

    question: str
    knows: bool
    sure: bool | None
    trust: str
    steps: tuple[TaughtStep, ...]
    num_steps: int
    hints: tuple[str, ...]
    is_over: bool
    answer: str | None


def taught(lesson: Lesson) -> Taught:
    """What may be shown of a lesson."""
    return Taught(
        question=lesson.question,
        knows=lesson.trust.knows,
        sure=lesson.trust.sure,
        trust=lesson.trust.text,
        steps=tuple(lesson.steps()),
        num_steps=lesson.num_steps(),
        hints=tuple(lesson.hints()),
        is_over=lesson.is_over,
        answer=lesson.answer if lesson.is_over else None,
    )


class _AnyTutor:
    """What both kinds of tutors have: all that needs no waiting."""

    def __init__(self, loop: BackgroundLoop, lesson: Lesson) -> None:
        self._loop, self._lesson = loop, lesson

    @property
    def state(self) -> Taught:
        """What may be shown at this moment."""
        return taught(self._lesson)

    def hint(self) -> str:
        """The next level of hints for the next step: its kind, then its words, then its code."""
        return self._lesson.hint()

    def show(self) -> TaughtStep | None:
        """Does the next step for the learner; of the last one the value stays to be found. None where none is left."""
        return self._lesson.show()

    def again(self) -> None:
        """Begins the question once more."""
        self._lesson = self._lesson.again()

    def answer(self) -> str | None:
        """The answer, because the learner asks for it; the lesson is over. None where there is none."""
        return self._lesson.give_answer()


class Tutor(_AnyTutor):
    """One question, taught; blocking. `RStarMathModel.tutor` makes it."""

    def judge(self, text: str) -> Judgement:
        """Judges the learner's next step, several steps, or the answer, by running them in the sandbox.

        Raises:
          SandboxError: there is no sandbox, or it does not work.
        """
        return self._loop.call(judge(self._lesson, text))


class AsyncTutor(_AnyTutor):
    """One question, taught; awaited. `RStarMathModel.atutor` makes it."""

    async def judge(self, text: str) -> Judgement:
        """`Tutor.judge`, awaited."""
        return await self._loop.acall(judge(self._lesson, text))


async def lesson_on(bench: Workbench, asked: Asked, solve: Callable[[Asked], Awaitable[Solution]]) -> Lesson:
    """Searches, and opens a lesson on what was found; once more and longer where the given answer was not found.

    Args:
      bench: where programs run.
      asked: the question, perhaps with its answer, and how it is searched.
      solve: the search.
    """
    problem = asked.problem
    lesson = await open_lesson(problem, await solve(asked), bench.executor, bench.grader)
    if problem.answer is not None and not lesson.trust.knows:
        more = asked.settings.model_copy(update={"num_trees": MORE_TREES * asked.settings.num_trees})
        found = await solve(replace(asked, settings=more))
        lesson = await open_lesson(problem, found, bench.executor, bench.grader)
    return lesson
