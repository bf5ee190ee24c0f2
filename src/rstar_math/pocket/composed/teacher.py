"""Demonstrations of composed problems: every step right, and what was printed from the references."""

from __future__ import annotations

from rstar_math import steps
from rstar_math.pocket.composed.composition import Composition
from rstar_math.types import Execution, Step


def demonstration(found: Composition) -> list[Step]:
    """A right solution, to stand behind `steps.prompt(found.question)`.

    Nothing is run: what the program prints is the reference, which a test compares with a real interpreter.
    """
    done: list[Step] = []
    for i, line in enumerate(found.lines):
        gap = "\n\n" if i else "\n"
        text = f"{gap}# {line.comment}\n{line.code}\n{steps.END_OF_STEP}"
        done.append(Step(text=text, code=steps.code_of(text), execution=Execution(status="ok", output="")))
    answer = str(found.answer)
    text = f"\n\n# Now print the final answer\nprint({found.names[-1]})\n{steps.END_OF_CODE}"
    execution = Execution(status="ok", output=f"{answer}\n")
    done.append(Step(text=text, code=steps.code_of(text), observation=steps.observation(answer), execution=execution))
    done.append(Step(text=f"\n{steps.ANSWER}The answer is \\boxed{{{answer}}}.{steps.END_OF_ANSWER}", answer=answer))
    return done
