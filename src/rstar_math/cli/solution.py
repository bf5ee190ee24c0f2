"""A solution as `rstar solve` shows it: on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rstar_math.terminal.visible import visible
from rstar_math.types import Problem, Solution


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


def print_solution(solution: Solution, example: Problem | None, of: str = "of the vote") -> None:
    """The verified steps with their output, the answer, how sure it is, and the cost.

    Args:
      solution: what was found.
      example: the problem, where it was chosen for the user.
      of: what the confidence is a share of.
    """
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
        console.print(Text(f"Confidence: {100 * solution.confidence:.0f} % {of}{doubt}"))
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


def _outside(unknown_words: Sequence[str]) -> str:
    """Why the confidence is worth nothing here."""
    words = [word for word in unknown_words if word[0].isalnum()][:5]
    never_seen = f" (words that it never saw: {', '.join(words)})" if words else ""
    return f"The question is outside of what this model was trained on{never_seen}. Equal answers mean nothing here."
