"""`rstar solve`: one question, the verified steps, the answer, how sure, at what cost."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from typing import Any

from rstar_math.errors import ConfigError
from rstar_math.types import Problem, Solution

_NUM_EXAMPLES = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What the answer may cost in all; None: no limit."""

    rollouts: int | None = None
    tokens: int | None = None
    seconds: float | None = None


def solve_command(
    question: str | None,
    model_name: str,
    strategy: str | None,
    rollouts: int | None,
    trees: int | None,
    limits: Limits,
    seed: int | None,
    deterministic: bool,
    as_json: bool,
) -> None:
    """Answers and prints."""
    problem = _example(seed) if question is None else None
    if question is not None and not question.strip():
        raise ConfigError("the problem is empty; give the text of a question")
    from rstar_math.config import RuntimeSettings
    from rstar_math.model import RStarMathModel

    with RStarMathModel.from_pretrained(model_name, RuntimeSettings(deterministic=deterministic)) as model:
        settings = model.answering
        if trees is not None:
            settings = type(settings).model_validate(settings.model_dump() | {"num_trees": trees})
        solution = model.solve(
            problem or question or "",
            strategy,
            num_simulations=rollouts,
            max_rollouts=limits.rollouts,
            max_tokens=limits.tokens,
            max_seconds=limits.seconds,
            seed=seed or 0,
            settings=settings,
        )
    if as_json:
        print(json.dumps(solution_to_json(solution, problem or Problem("", question or "")), ensure_ascii=False))
    else:
        _print(solution, problem)


def _example(seed: int | None) -> Problem:
    from rstar_math.benchmarks.problems import load_problems
    from rstar_math.config import ProblemSource

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
        "steps": [
            {"text": s.text, "code": s.code, "output": s.execution.output if s.execution else None, "answer": s.answer}
            for s in solution.reasoning_trace
        ],
        "candidates": [{"answer": t.answer, "ppm_score": t.ppm_score} for t in solution.candidates],
        "cost": asdict(solution.cost),
    }


def _print(solution: Solution, example: Problem | None) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.syntax import Syntax
    from rich.text import Text

    console = Console(highlight=False)
    if example is not None:
        console.print("No problem given; here is one from the pocket test split:", style="dim")
        console.print(Text(example.question), style="bold")
    number = 0
    for step in solution.reasoning_trace:
        if step.execution is None:
            continue
        number += 1
        console.print(f"\nStep {number}", style="bold cyan")
        console.print(Padding(Syntax(step.code.strip(), "python", background_color="default"), (0, 2)))
        if step.execution.output.strip():
            console.print(Padding(Text("prints: " + step.execution.output.strip(), style="green"), (0, 2)))
    console.print()
    if solution.answer is None:
        console.print("No solution was finished.", style="bold red")
    else:
        sure = "" if solution.sure is not False else "not sure: "
        line = Text(f"{sure}{solution.answer}", style="bold green" if solution.sure is not False else "bold yellow")
        console.print(Text("Answer: ").append_text(line))
        if example is not None:
            console.print(f"Reference: {example.answer}", style="dim")
        others = {t.answer for t in solution.candidates} - {solution.answer}
        doubt = f"; other answers found: {', '.join(str(o) for o in sorted(map(str, others))[:5])}" if others else ""
        console.print(Text(f"Confidence: {100 * solution.confidence:.0f} % of the vote{doubt}"))
    cost = solution.cost
    console.print(
        f"Cost: {cost.tokens_generated:,} tokens generated, {cost.tokens_scored:,} scored, "
        f"{cost.model_calls} model calls, {cost.executions} executions, {cost.seconds:.1f} s",
        style="dim",
    )
