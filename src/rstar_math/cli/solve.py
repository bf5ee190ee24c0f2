"""`rstar solve`: questions, the verified steps, the answer, how sure, at what cost."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from rstar_math.cli.questions import open_questions, questions_command
from rstar_math.cli.thinking import shown, thinking
from rstar_math.config import AnsweringSettings
from rstar_math.errors import ConfigError, DataError
from rstar_math.search.answer import Course
from rstar_math.store.paths import shown as shown_path
from rstar_math.terminal.visible import visible, visible_json
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
        _print(solution, example)
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


def solution_to_json(solution: Solution, problem: Problem) -> dict[str, Any]:
    """The solution for programs; `candidates` are the finished trajectories, best first."""
    return {
        "question": problem.question,
        "reference": problem.answer,
        "answer": solution.answer,
        "confidence": solution.confidence,
        "sure": solution.sure,
        "outside": solution.outside,
        "unknown_words": list(solution.unknown_words),
        "unfinished": solution.unfinished,
        "why": solution.why or None,
        "steps": [
            {"text": s.text, "code": s.code, "output": s.execution.output if s.execution else None, "answer": s.answer}
            for s in solution.reasoning_trace
        ],
        "candidates": [{"answer": t.answer, "ppm_score": t.ppm_score} for t in solution.candidates],
        "num_not_reproduced": solution.num_not_reproduced,
        "cost": asdict(solution.cost),
    }


def _outside(unknown_words: Sequence[str]) -> str:
    """Why the confidence is worth nothing here."""
    words = [word for word in unknown_words if word[0].isalnum()][:5]
    never_seen = f" (words that it never saw: {', '.join(words)})" if words else ""
    return f"The question is outside of what this model was trained on{never_seen}. Equal answers mean nothing here."


def _print(solution: Solution, example: Problem | None) -> None:
    from rich.padding import Padding
    from rich.syntax import Syntax

    from rstar_math.terminal.console import Console, Text

    console = Console()
    if example is not None:
        console.print("No problem given; here is one from the pocket test split:", style="dim")
        console.print(Text(example.question), style="bold")
    number = 0
    for step in solution.reasoning_trace:
        if step.execution is None:
            continue
        number += 1
        console.print(f"\nStep {number}", style="bold cyan")
        console.print(
            Padding(Syntax(visible(step.code.strip()), "python", background_color="default", word_wrap=True), (0, 2))
        )
        if step.execution.output.strip():
            console.print(Padding(Text("prints: " + step.execution.output.strip(), style="green"), (0, 2)))
    console.print()
    if solution.answer is None:
        console.print("No solution was finished.", style="bold red")
        console.print(Text(f"Why: {solution.why}"))
    else:
        console.print(_answer_line(solution))
        if example is not None:
            console.print(Text(f"Reference: {example.answer}"), style="dim")
        others = {t.answer for t in solution.candidates} - {solution.answer}
        doubt = f"; other answers found: {', '.join(str(o) for o in sorted(map(str, others))[:5])}" if others else ""
        console.print(Text(f"Confidence: {100 * solution.confidence:.0f} % of the vote{doubt}"))
        if solution.outside:
            console.print(Text(_outside(solution.unknown_words), style="yellow"))
        elif solution.sure is None:
            console.print("Whether that is sure was not measured for this model and these settings.", style="dim")
    if solution.num_not_reproduced:
        console.print(
            f"{solution.num_not_reproduced} solutions were dropped: run once more, they did not come out the same",
            style="yellow",
        )
    cost = solution.cost
    console.print(
        f"Cost: {cost.tokens_generated:,} tokens generated, {cost.tokens_scored:,} scored, "
        f"{cost.model_calls} model calls, {cost.executions} executions, {cost.seconds:.1f} s",
        style="dim",
    )


def _answer_line(solution: Solution) -> Any:
    """Green only where the answer counts as sure."""
    from rstar_math.terminal.console import Text

    style, doubt = {True: ("bold green", ""), False: ("bold yellow", "not sure: "), None: ("bold", "")}[solution.sure]
    return Text("Answer: ").append_text(Text(f"{doubt}{solution.answer}", style=style))
