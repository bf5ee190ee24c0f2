"""One question, taught: what is known of it, what the learner has of it, hints in levels, steps one at a time.

The learner never sees the answer before giving it or asking for it. What is right is what fits a solution that the
search found, verified by running it once more; where the model does not know the kind of problem, nothing is judged
(`rstar_math.tutor.judging`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rstar_math.execution.base import Executor
from rstar_math.grading.base import Grader
from rstar_math.tutor.known import KnownSolution
from rstar_math.tutor.reading import Piece, parsed
from rstar_math.tutor.running import OFFERED
from rstar_math.tutor.trust import Trust
from rstar_math.tutor.values import same_value
from rstar_math.tutor.wording import kind_of, without

LEVELS = 3
"""Hints before a step: its kind, its words, its code."""

MAX_NOTED = 40
"""Definitions of the learner's that are kept."""

By = Literal["learner", "tutor"]


@dataclass(frozen=True, slots=True)
class TaughtStep:
    """A step that the learner has.

    Attributes:
      words: its comment.
      code: of the solution.
      value: what it computes; None for the step that gives the answer, while the answer is the learner's to find.
      by: who did it.
    """

    words: str
    code: str
    value: str | None
    by: By


@dataclass(frozen=True, slots=True)
class _Has:
    """A value that the learner has, and the name that the learner gave it."""

    value: str
    by: By
    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Noted:
    """What the learner defined besides; `given` is the number of the question that it names."""

    code: str
    name: str | None
    given: str | None


@dataclass(slots=True)
class Lesson:
    """The state of one question. All of it belongs to the model's event loop.

    Attributes:
      question: what is asked.
      trust: whether the tutor knows this kind of problem, and how sure it is.
      answer: of the solutions; None without any.
      solutions: that are right.
      executor, grader: run and compare.
      is_over: the answer was given or asked for.
    """

    question: str
    trust: Trust
    answer: str | None
    solutions: Sequence[KnownSolution]
    executor: Executor
    grader: Grader
    is_over: bool = False
    _has: list[_Has] = field(default_factory=list)
    _noted: list[_Noted] = field(default_factory=list)
    _hints: list[str] = field(default_factory=list)
    _hints_of: int | None = None

    # what may be shown

    def steps(self) -> list[TaughtStep]:
        """The steps that the learner has, in the order of the solution that is followed."""
        if not self.solutions:
            return []
        solution = self._main()
        return [self._taught(solution, k, by) for k, by in sorted(self._done(solution).items())]

    def num_steps(self) -> int:
        """How many steps the solution has that is followed; 0 where nothing is taught."""
        return len(self._main().steps) if self.solutions and self.trust.knows else 0

    def hints(self) -> list[str]:
        """The hints that were given for the next step."""
        return list(self._hints) if self._next() == self._hints_of else []

    # what the learner asks for

    def again(self) -> Lesson:
        """The same question from the beginning."""
        return Lesson(self.question, self.trust, self.answer, self.solutions, self.executor, self.grader)

    def hint(self) -> str:
        """The next level of hints for the next step: its kind, then its words, then its code."""
        if not self.trust.knows:
            return self.trust.text
        at = self._next()
        if at is None:
            return "There is no step left: you have the answer."
        if at != self._hints_of:
            self._hints_of, self._hints = at, []
        if len(self._hints) < LEVELS:
            step = self._main().steps[at]
            words = step.words or "The solution says nothing in words about this step."
            self._hints.append(self._hidden((kind_of(step), words, step.code)[len(self._hints)]))
        return self._hints[-1]

    def show(self) -> TaughtStep | None:
        """Does the next step for the learner; of the last one the value stays to be found. None where none is left."""
        at = self._next() if self.trust.knows else None
        if at is None:
            return None
        solution = self._main()
        if at == len(solution.steps) - 1:
            return self._taught(solution, at, "tutor")
        self._has.append(_Has(solution.steps[at].value, "tutor"))
        return self._taught(solution, at, "tutor")

    def give_answer(self) -> str | None:
        """The answer, because the learner asks for it; the lesson is over. None where there is none."""
        if self.answer is None:
            return None
        self.is_over = True
        return self.answer

    # what judging asks for, and leaves

    async def same(self, known: str, value: str) -> bool:
        """Whether two values are the same."""
        return await same_value(self.grader, known, value)

    async def is_answer(self, value: str) -> bool:
        """Whether a value is the answer."""
        return self.answer is not None and await self.same(self.answer, value)

    async def has(self, value: str) -> bool:
        """Whether the learner has this value already."""
        return any([await self.same(known, value) for known in self._values_had()])

    async def fitting(self, value: str) -> tuple[KnownSolution, int] | None:
        """A step of a known solution that the learner does not have yet, and that has this value."""
        for solution in self._by_progress():
            done = self._done(solution)
            for k, step in enumerate(solution.steps):
                if k not in done and await self.same(step.value, value):
                    return solution, k
        return (self._main(), len(self._main().steps) - 1) if await self.is_answer(value) else None

    async def step_with_part(self, value: str) -> str | None:
        """The name that an open step sets and inside of which the value stands; "" where it sets none."""
        for solution in self.solutions:
            done = self._done(solution)
            for k, step in enumerate(solution.steps):
                if k not in done and any([await self.same(part, value) for part in step.parts]):
                    return step.name or ""
        return None

    async def stands_inside(self, value: str) -> bool:
        """Whether the value is that of a step, or stands inside of one."""
        steps = self._main().steps
        return any(
            [await self.same(v, value) for v in (*(s.value for s in steps), *(p for s in steps for p in s.parts))]
        )

    def open_values(self) -> list[str]:
        """Values of steps that the learner does not have, but the answer."""
        solution = self._main()
        done = self._done(solution)
        return [s.value for k, s in enumerate(solution.steps[:-1]) if k not in done]

    def named_numbers(self) -> list[tuple[str, str, str]]:
        """Lines of the learner's that name a number of the question, the last one first: line, name, number."""
        return [(n.code, n.name, n.given) for n in reversed(self._noted) if n.name is not None and n.given is not None]

    def accept(self, piece: Piece, solution: KnownSolution, step: int) -> int:
        """The learner has made this step; gives how many steps are new by it."""
        before = len(self._done(solution))
        self._has.append(_Has(solution.steps[step].value, "learner", piece.name))
        num_new = len(self._done(solution)) - before
        if step == len(solution.steps) - 1:
            self.is_over = True
        return num_new

    def note(self, piece: Piece, given: str | None) -> None:
        """Keeps what a piece defines, for what the learner writes next."""
        if piece.name is not None or piece.code.startswith(("import ", "from ", "def ")):
            self._noted = [*self._noted, _Noted(piece.code, piece.name, given)][-MAX_NOTED:]

    def forget(self) -> bool:
        """Forgets what the learner defined, because it does not run any more; whether there was any."""
        had, self._noted = bool(self._noted), []
        return had

    def program(self) -> list[str]:
        """What runs before the learner's next text: the steps that the learner has, then the learner's own names."""
        own = [n.code for n in self._noted if n.code]
        if not self.solutions:
            return [OFFERED, *own]
        solution = self._main()
        last = len(solution.steps) - 1
        known = [solution.steps[k].code for k in sorted(self._done(solution)) if k != last]
        named = [f"{h.name} = {h.value}" for h in self._has if h.name is not None and parsed(h.value) is not None]
        return [OFFERED, *known, *own, *named]

    def meant(self, solution: KnownSolution) -> dict[str, int | str]:
        """What names stand for: steps of a solution, or numbers of the question."""
        meant: dict[str, int | str] = {}
        for k in self._done(solution):
            if (name := solution.steps[k].name) is not None:
                meant[name] = k
        meant |= {name: given for _, name, given in reversed(self.named_numbers())}
        for had in self._has:
            k_or_none = next((k for k, s in enumerate(solution.steps) if s.value == had.value), None)
            if had.name is not None and k_or_none is not None:
                meant[had.name] = k_or_none
        return meant

    # where the lesson is

    def _values_had(self) -> list[str]:
        solution = self._main()
        return [*(h.value for h in self._has), *(solution.steps[k].value for k in self._done(solution))]

    def _done(self, solution: KnownSolution) -> dict[int, By]:
        """The steps of a solution that the learner has, those included that others are made of."""
        done: dict[int, By] = {}
        for had in self._has:
            k = next((k for k, s in enumerate(solution.steps) if k not in done and s.value == had.value), None)
            if k is not None:
                for needed in sorted({k, *solution.steps[k].needs}):
                    done.setdefault(needed, had.by)
        if self.is_over:
            for k in range(len(solution.steps)):
                done.setdefault(k, "tutor")
        return done

    def _by_progress(self) -> list[KnownSolution]:
        return sorted(self.solutions, key=lambda s: -len(self._done(s)))

    def _main(self) -> KnownSolution:
        """The solution that is followed: the one of which the learner has most."""
        return self._by_progress()[0]

    def _next(self) -> int | None:
        if not self.solutions or self.is_over:
            return None
        solution = self._main()
        done = self._done(solution)
        return next((k for k in range(len(solution.steps)) if k not in done), None)

    def _taught(self, solution: KnownSolution, k: int, by: By) -> TaughtStep:
        step = solution.steps[k]
        is_secret = not self.is_over and (k == len(solution.steps) - 1 or step.value == self.answer)
        return TaughtStep(self._hidden(step.words), self._hidden(step.code), None if is_secret else step.value, by)

    def _hidden(self, text: str) -> str:
        return text if self.is_over or self.answer is None else without(text, self.answer, self.question)
