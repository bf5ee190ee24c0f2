"""`rstar solve`: questions, the verified steps, the answer, how sure, at what cost."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from rstar_math.cli.questions import open_questions, questions_command
from rstar_math.cli.solution import print_solution, solution_to_json
from rstar_math.cli.thinking import shown, thinking
from rstar_math.config import AnsweringSettings
from rstar_math.errors import ConfigError, DataError
from rstar_math.search.course import Course
from rstar_math.store.paths import shown as shown_path
from rstar_math.terminal.visible import visible_json
from rstar_math.types import Problem, Solution

if TYPE_CHECKING:
    from rstar_math.api.model import RStarMathModel

_NUM_EXAMPLES = 200

UNFINISHED = 3
"""Exit status where a question has no answer, because no solution was finished."""

REFUSED = 2
"""Exit status where a line could not be read or a question was refused; the others were answered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How questions are to be answered; None: as the model's own settings say.

    Attributes:
      model: as --model takes it.
      strategy: name of the strategy.
      rollouts: of each tree.
      trees: fresh trees.
      max_depth: most steps of a solution.
      total_rollouts, tokens, seconds: limits of one answer.
      seed: of the search, and of the choice of a test problem.
      changes: KEY=VALUE for the answering settings.
      deterministic: the same to the last bit at any concurrency.
    """

    model: str = "pocket"
    strategy: str | None = None
    rollouts: int | None = None
    trees: int | None = None
    max_depth: int | None = None
    total_rollouts: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    seed: int | None = None
    changes: Sequence[str] = ()
    deterministic: bool = False


def solve_command(
    question: str | None, file: str | None, interactive: bool, asked: Asked, num_at_once: int, as_json: bool
) -> int:
    """Answers and prints; returns the exit status."""
    given = {"a question": question is not None, "--file": file is not None, "--interactive": interactive}
    if sum(given.values()) > 1:
        raise ConfigError(f"give only one of {' and '.join(name for name, is_given in given.items() if is_given)}")
    if num_at_once < 1:
        raise ConfigError(f"--concurrency is {num_at_once}; it must be at least 1")
    example = _example(asked.seed) if not any(given.values()) else None
    if question is not None and not question.strip():
        raise ConfigError("the problem is empty; give the text of a question")
    with ExitStack() as opened:
        stream = opened.enter_context(open_questions(file)) if file is not None else None
        with shown(lambda: f"loading {asked.model}"):
            model = opened.enter_context(_load(asked))
        settings = _settings(model, asked)
        if stream is not None:
            return _answer_file(model, stream, file or "-", asked, settings, num_at_once)
        if interactive:
            from rstar_math.cli.conversation import conversation

            return conversation(lambda text: _answer(model, Problem("", text), asked, settings, None, as_json))
        problem = example or Problem("", question or "")
        return _answer(model, problem, asked, settings, example, as_json)


def _load(asked: Asked) -> RStarMathModel:
    from rstar_math.api.model import RStarMathModel
    from rstar_math.config import RuntimeSettings

    return RStarMathModel.from_pretrained(asked.model, RuntimeSettings(deterministic=asked.deterministic))


def _settings(model: RStarMathModel, asked: Asked) -> AnsweringSettings:
    from rstar_math.cli.settings import changed

    trees = [f"num_trees={asked.trees}"] if asked.trees is not None else []
    return changed(model.answering, [*trees, *asked.changes])


def _answer(
    model: RStarMathModel,
    problem: Problem,
    asked: Asked,
    settings: AnsweringSettings,
    example: Problem | None,
    as_json: bool,
) -> int:
    course = Course()
    with thinking(course):
        solution = model.solve(
            example or problem.question,
            asked.strategy,
            num_simulations=asked.rollouts,
            max_depth=asked.max_depth,
            max_rollouts=asked.total_rollouts,
            max_tokens=asked.tokens,
            max_seconds=asked.seconds,
            seed=asked.seed or 0,
            settings=settings,
            course=course,
        )
    if as_json:
        print(visible_json(solution_to_json(solution, problem)), flush=True)
    else:
        print_solution(solution, example)
    return UNFINISHED if solution.answer is None else 0


def _answer_file(
    model: RStarMathModel, stream: BinaryIO, file: str, asked: Asked, settings: AnsweringSettings, num_at_once: int
) -> int:
    async def solve(question: str) -> Solution:
        return await model.asolve(
            question,
            asked.strategy,
            num_simulations=asked.rollouts,
            max_depth=asked.max_depth,
            max_rollouts=asked.total_rollouts,
            max_tokens=asked.tokens,
            max_seconds=asked.seconds,
            seed=asked.seed or 0,
            settings=settings,
        )

    outcome = asyncio.run(questions_command(stream, solve, num_at_once))
    if not outcome.num_answered + outcome.num_unfinished + outcome.num_bad:
        raise DataError(
            f"{'standard input' if file == '-' else shown_path(file)} holds no question; each line is one, text or JSON"
        )
    if outcome.num_bad or outcome.num_unfinished:
        print(
            f"rstar: {outcome.num_answered} answered, {outcome.num_unfinished} without an answer, {outcome.num_bad} "
            "refused",
            file=sys.stderr,
        )
    return REFUSED if outcome.num_bad else UNFINISHED if outcome.num_unfinished else 0


def _example(seed: int | None) -> Problem:
    from rstar_math.config import ProblemSource
    from rstar_math.problems.load import load_problems

    problems = load_problems(ProblemSource(source="pocket/test", num_problems=_NUM_EXAMPLES)).problems
    return random.Random(seed).choice(problems)
