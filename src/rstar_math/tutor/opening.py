"""From an answered question to a lesson: which solutions are kept, and how far they are trusted."""

from __future__ import annotations

from rstar_math.execution.base import Executor
from rstar_math.grading.base import Grader
from rstar_math.tutor.chance import same_way
from rstar_math.tutor.known import MAX_SOLUTIONS, KnownSolution, distinct, known_solution
from rstar_math.tutor.lesson import Lesson
from rstar_math.tutor.trust import trust_of
from rstar_math.tutor.values import same_value
from rstar_math.types import Problem, Solution


async def open_lesson(problem: Problem, solution: Solution, executor: Executor, grader: Grader) -> Lesson:
    """A lesson on a question that was answered.

    All distinct solutions with the chosen answer are kept, or with the reference where the problem has one. Each runs
    once more, and of those that part ways with other numbers in the question only the largest group is kept: the others
    arrive at the number by chance.

    Args:
      problem: the question; where it names the answer, the solutions must have it.
      solution: what the search found, with all of its candidates.
      executor, grader: run and compare.

    Raises:
      SandboxError: there is no sandbox, or it does not work.
      GradingError: values cannot be compared.
    """
    answer = problem.answer if problem.answer is not None else solution.answer
    groups: list[list[KnownSolution]] = []
    if answer is not None:
        fits = [t for t in solution.candidates if t.answer is not None and await same_value(grader, answer, t.answer)]
        for trajectory in list(distinct(fits))[:MAX_SOLUTIONS]:
            known = await known_solution(executor, trajectory)
            if known is None or not await same_value(grader, answer, known.steps[-1].value):
                continue
            for group in groups:
                if await same_way(executor, problem.question, group[0], known):
                    group.append(known)
                    break
            else:
                groups.append([known])
    kept = max(groups, key=len, default=[])
    trust = trust_of(
        bool(kept), solution.outside, solution.sure, solution.confidence, problem.answer is not None, solution.why
    )
    return Lesson(problem.question, trust, answer if kept else None, kept, executor, grader)
