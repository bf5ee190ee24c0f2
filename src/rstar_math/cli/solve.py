"""`rstar solve`: questions, the verified steps, the answer, how sure, at what cost."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, BinaryIO, TypedDict

import typer

from rstar_math.cli.options import Deterministic, Model, OneObject, Set

if TYPE_CHECKING:
    from rstar_math.api.model import RStarMathModel
    from rstar_math.config import AnsweringSettings
    from rstar_math.types import Problem, Solution

_NUM_EXAMPLES = 200

UNFINISHED = 3
"""Exit status where a question has no answer, because no solution was finished."""

REFUSED = 2
"""Exit status where a line could not be read or a question was refused; the others were answered."""


def solve(
    problem: Annotated[str | None, typer.Argument(help="The question; without one, a pocket test problem.")] = None,
    model: Model = "pocket",
    strategy: Annotated[
        str | None, typer.Option(help="A strategy by name, or my_file.py:function; default: the model's own.")
    ] = None,
    rollouts: Annotated[int | None, typer.Option(help="Rollouts of each tree; default: the model's own.")] = None,
    trees: Annotated[int | None, typer.Option(help="Fresh trees; default: the model's own.")] = None,
    total_rollouts: Annotated[
        int | None, typer.Option(help="Limit: rollouts in all trees together; fresh trees follow until it is reached.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Limit: tokens generated, likewise.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Limit: wall seconds, likewise.")] = None,
    max_depth: Annotated[int | None, typer.Option(help="Most steps of a solution; default: the model's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search, and of the choice of a test problem.")] = None,
    file: Annotated[
        str | None,
        typer.Option(help="Questions, one on each line, as text or JSON; - for standard input. One JSON line each."),
    ] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for question after question.")] = False,
    concurrency: Annotated[int, typer.Option(help="With --file: questions at the same time.")] = 16,
    hint: Annotated[
        int, typer.Option("--hint", count=True, help="A hint for the first step instead; repeated: further ones.")
    ] = 0,
    explain: Annotated[
        bool, typer.Option("--explain", help="Every step in words, code and value, and how far to trust it.")
    ] = False,
    deterministic: Deterministic = False,
    settings: Set = None,
    json: OneObject = False,
) -> None:
    """Think about a problem; show the verified steps, the answer, how sure the search is, and the cost."""
    from rstar_math.api.model import RStarMathModel
    from rstar_math.cli.conversation import conversation
    from rstar_math.cli.questions import open_questions
    from rstar_math.cli.settings import changed
    from rstar_math.cli.thinking import shown
    from rstar_math.config import RuntimeSettings
    from rstar_math.errors import ConfigError
    from rstar_math.types import Problem

    given = {"a question": problem is not None, "--file": file is not None, "--interactive": interactive}
    if sum(given.values()) > 1:
        raise ConfigError(f"give only one of {' and '.join(name for name, is_given in given.items() if is_given)}")
    if (hint or explain) and (file is not None or interactive or json or (hint and explain)):
        raise ConfigError("--hint or --explain goes with one question, not with --file, --interactive or --json")
    if concurrency < 1:
        raise ConfigError(f"--concurrency is {concurrency}; it must be at least 1")
    example = _example(seed) if not any(given.values()) else None
    if problem is not None and not problem.strip():
        raise ConfigError("the problem is empty; give the text of a question")
    with ExitStack() as opened:
        stream = opened.enter_context(open_questions(file)) if file is not None else None
        with shown(lambda: f"loading {model}"):
            loaded = RStarMathModel.from_pretrained(model, RuntimeSettings(deterministic=deterministic))
            opened.enter_context(loaded)
        how = _How(
            strategy=strategy,
            num_simulations=rollouts,
            max_depth=max_depth,
            max_rollouts=total_rollouts,
            max_tokens=tokens,
            max_seconds=seconds,
            seed=seed or 0,
            settings=changed(
                loaded.answering, [*([f"num_trees={trees}"] if trees is not None else []), *(settings or [])]
            ),
        )
        if stream is not None:
            status = _answer_file(loaded, stream, file or "-", how, concurrency)
        elif hint or explain:
            status = _teach(loaded, example or Problem("", problem or ""), how, hint)
        elif interactive:
            status = conversation(lambda text: _answer(loaded, Problem("", text), how, None, json))
        else:
            status = _answer(loaded, example or Problem("", problem or ""), how, example, json)
    if status:
        raise typer.Exit(status)


class _How(TypedDict):
    """What `RStarMathModel.solve` and `asolve` are asked besides the question; None: as the model's settings say."""

    strategy: str | None
    num_simulations: int | None
    max_depth: int | None
    max_rollouts: int | None
    max_tokens: int | None
    max_seconds: float | None
    seed: int
    settings: AnsweringSettings


def _answer(model: RStarMathModel, problem: Problem, how: _How, example: Problem | None, as_json: bool) -> int:
    """Answers one question and prints; returns the exit status."""
    from rstar_math.cli.solution import print_solution, solution_to_json
    from rstar_math.cli.thinking import thinking
    from rstar_math.search.course import Course
    from rstar_math.terminal.visible import visible_json

    course = Course()
    with thinking(course):
        solution = model.solve(example or problem.question, **how, course=course)
    if as_json:
        print(visible_json(solution_to_json(solution, problem)), flush=True)
    else:
        is_fitted = how["settings"].selector == "fitted"
        print_solution(solution, example, "probability" if is_fitted else "of the vote")
    return UNFINISHED if solution.answer is None else 0


def _teach(model: RStarMathModel, problem: Problem, how: _How, num_hints: int) -> int:
    """Hints for one question, or all of its steps explained; returns the exit status."""
    from rstar_math.api.asking import asked
    from rstar_math.cli.thinking import shown
    from rstar_math.cli.tutor import print_explanation, print_hints
    from rstar_math.terminal.console import Console

    question = asked(problem.question, model, **how)
    with shown(lambda: "solving the question first"):
        tutor = model.tutor(question.problem, seed=question.seed, settings=question.settings)
    console = Console()
    if problem.id:
        console.print("No problem given; here is one from the pocket test split:", style="dim")
        console.print(problem.question, style="bold")
    if num_hints:
        print_hints(tutor, num_hints, console)
    else:
        print_explanation(tutor, console)
    return 0 if tutor.state.knows else UNFINISHED


def _answer_file(model: RStarMathModel, stream: BinaryIO, file: str, how: _How, num_at_once: int) -> int:
    import asyncio

    from rstar_math.cli.questions import questions_command
    from rstar_math.errors import DataError
    from rstar_math.store.paths import shown

    async def solve(question: str) -> Solution:
        return await model.asolve(question, **how)

    outcome = asyncio.run(questions_command(stream, solve, num_at_once))
    if not outcome.num_answered + outcome.num_unfinished + outcome.num_bad:
        raise DataError(
            f"{'standard input' if file == '-' else shown(file)} holds no question; each line is one, text or JSON"
        )
    if outcome.num_bad or outcome.num_unfinished:
        print(
            f"rstar: {outcome.num_answered} answered, {outcome.num_unfinished} without an answer, {outcome.num_bad} "
            "refused",
            file=sys.stderr,
        )
    return REFUSED if outcome.num_bad else UNFINISHED if outcome.num_unfinished else 0


def _example(seed: int | None) -> Problem:
    """A problem of the pocket world's test split; the same seed gives the same one."""
    import random

    from rstar_math.config import ProblemSource
    from rstar_math.problems.load import load_problems

    problems = load_problems(ProblemSource(source="pocket/test", num_problems=_NUM_EXAMPLES)).problems
    return random.Random(seed).choice(problems)
