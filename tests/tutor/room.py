"""A sandbox and a grader for the tests of the tutor, and lessons without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rstar_math.config import ExecutionSettings
from rstar_math.execution.base import Executor
from rstar_math.execution.opening import open_executor
from rstar_math.grading.base import Grader
from rstar_math.grading.pool import GradingPool
from rstar_math.pocket.demonstrations import solution
from rstar_math.pocket.families import Exercise
from rstar_math.pocket.splits import problem_of
from rstar_math.tutor.lesson import Lesson
from rstar_math.tutor.opening import open_lesson
from rstar_math.types import Execution, Problem, Solution, Step, Trajectory

T = TypeVar("T")


@dataclass
class Room:
    """Where lessons are given."""

    executor: Executor
    grader: Grader
    wait: Callable[[Awaitable[Any]], Any]

    def lesson(self, question: str, *programs: Sequence[str], answer: str | None = None, **known: Any) -> Lesson:
        """A lesson of solutions that are written here, each a list of steps; what they print last is the answer."""
        found = [trajectory([*map(code_step, program)]) for program in programs]
        return self.opened(Problem("p", question, answer), found, **known)

    def opened(self, problem: Problem, found: Sequence[Trajectory], **known: Any) -> Lesson:
        """A lesson on solutions that were found."""
        facts = {"outside": False, "sure": True, "confidence": 1.0} | known
        chosen = found[0] if found else None
        steps = chosen.steps if chosen else ()
        answered = Solution(chosen.answer if chosen else None, steps, chosen, tuple(found), **facts)
        lesson: Lesson = self.wait(open_lesson(problem, answered, self.executor, self.grader))
        return lesson


def rooms() -> Iterator[Room]:
    """A room for the tests of a module."""
    loop = asyncio.new_event_loop()
    yield from rooms_in(loop.run_until_complete)
    loop.close()


def rooms_in(wait: Callable[[Any], Any]) -> Iterator[Room]:
    """A room in an event loop; `wait` runs something there to its end."""
    executor = open_executor(ExecutionSettings(cpu_s=0.4, wall_s=3.0), 1)
    grader = GradingPool()
    yield Room(executor, grader, wait)
    wait(executor.aclose())
    wait(grader.aclose())


def code_step(code: str) -> Step:
    """A step of a solution, with words as its comment."""
    return Step(f"\n{code}\n<end_of_step>", code, "", Execution("ok", ""))


def trajectory(steps: Sequence[Step], answer: str | None = None) -> Trajectory:
    """A finished solution; its answer is what the last step says, `# answer: 138` in its code."""
    last = steps[-1].answer or answer or steps[-1].code.rpartition("answer: ")[2]
    return Trajectory("p", (), tuple(steps), (), last, None)


def exercise_lesson(room: Room, exercise: Exercise) -> Lesson:
    """A lesson on the right solution of a pocket exercise."""
    steps = solution([move.right for move in exercise.moves], exercise.result)
    problem = problem_of(exercise)
    asked = Problem(problem.id, problem.question)
    return room.opened(asked, [trajectory(steps, str(exercise.reference))])
