"""`rstar tutor`: a question taught in the terminal; and what `rstar solve --hint` and `--explain` print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.options import Model

if TYPE_CHECKING:
    from rstar_math.api.tutoring import Tutor
    from rstar_math.terminal.console import Console
    from rstar_math.tutor.judging import Judgement
    from rstar_math.tutor.lesson import TaughtStep

_COMMANDS = "Write your next step, or: hint, step (it is done for you), answer, again, quit."
_STYLES = {True: "green", False: "yellow"}


def tutor(
    question: Annotated[str, typer.Argument(help="The question.")],
    model: Model = "pocket",
    answer: Annotated[
        str | None, typer.Option(help="The right answer, where you know it: then only solutions with it are taught.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
) -> None:
    """Learn to solve a question: hints, steps one at a time, your own steps judged by running them."""
    from rstar_math.api.asking import question_id
    from rstar_math.api.model import RStarMathModel
    from rstar_math.cli.thinking import shown
    from rstar_math.errors import ConfigError
    from rstar_math.terminal.console import Console
    from rstar_math.types import Problem

    if not question.strip():
        raise ConfigError("the question is empty; give its text")
    problem = Problem(question_id(question), question.strip(), answer)
    with shown(lambda: f"loading {model}"):
        loaded = RStarMathModel.from_pretrained(model)
    with loaded:
        with shown(lambda: "solving the question first"):
            lesson = loaded.tutor(problem, seed=seed)
        converse(lesson, Console())


def converse(tutor: Tutor, console: Console) -> None:
    """Takes the learner's lines until there is nothing left to do, or the input ends."""
    console.print(tutor.state.trust, style="dim")
    if sys.stdin.isatty():
        import readline  # noqa: F401  (input() then has a history and can be edited)

        console.print(_COMMANDS, style="dim")
    while not tutor.state.is_over:
        try:
            text = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            if sys.stdin.isatty():
                print()
            return
        except UnicodeDecodeError as error:
            print(f"rstar: the line is not UTF-8: {error.reason}", file=sys.stderr)
            continue
        if text in ("quit", "q"):
            return
        _obey(text, tutor, console)
    if tutor.state.knows:
        print_steps(tutor.state.steps, console)


def _obey(text: str, tutor: Tutor, console: Console) -> None:
    if text in ("hint", "h"):
        console.print(tutor.hint(), style="cyan")
    elif text in ("step", "s"):
        step = tutor.show()
        if step is None:
            console.print(tutor.state.trust if not tutor.state.knows else "There is no step left.")
        else:
            print_steps([step], console)
    elif text in ("answer", "a"):
        found = tutor.answer()
        doubt = "" if tutor.state.knows else " I do not know this kind of problem: do not trust it."
        told = "I have no answer to this question." if found is None else f"The answer is {found}.{doubt}"
        console.print(told, style="bold")
    elif text == "again":
        tutor.again()
        console.print("From the beginning.")
    else:
        print_judgement(tutor.judge(text), console)


def print_judgement(judgement: Judgement, console: Console) -> None:
    """What is said of the learner's text."""
    console.print(judgement.text, style=_STYLES[judgement.accepted])


def print_steps(steps: list[TaughtStep] | tuple[TaughtStep, ...], console: Console) -> None:
    """Steps in words, code and value."""
    from rich.padding import Padding
    from rich.syntax import Syntax

    from rstar_math.terminal.visible import visible

    for step in steps:
        if step.words:
            console.print(step.words, style="bold cyan")
        code = Syntax(visible(step.code), "python", background_color="default", word_wrap=True)
        console.print(Padding(code, (0, 2)))
        value = f"gives {step.value}" if step.value is not None else "what it gives is yours to find"
        console.print(f"  {value}", style="green")


def print_hints(tutor: Tutor, num: int, console: Console) -> None:
    """So many levels of hints for the first step."""
    console.print(tutor.state.trust, style="dim")
    if not tutor.state.knows:
        return
    for _ in range(num):
        tutor.hint()
    for hint in tutor.state.hints:
        console.print(hint, style="cyan")


def print_explanation(tutor: Tutor, console: Console) -> None:
    """Every step of the solution in words, code and value, and the answer."""
    state = tutor.state
    console.print(state.trust, style="dim")
    answer = tutor.answer()
    if answer is None:
        return
    print_steps(tutor.state.steps, console)
    console.print(f"Answer: {answer}", style="bold green" if state.sure else "bold yellow")
