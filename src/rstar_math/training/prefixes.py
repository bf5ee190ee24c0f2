"""The prefixes of a solution that a reward model is asked about, one for each step. Needs neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math import steps as step_format
from rstar_math.checkpoints.ppm_file import StepKind
from rstar_math.types import Step


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix of a solution: its text from the prompt on, what it ends with, and its number of steps."""

    text: str
    kind: StepKind
    depth: int


def prefixes(prompt: str, steps: Sequence[Step]) -> list[Prefix]:
    """The prefixes that end with a step, in order; the end of a program without its output, and with it.

    A step without a closing marker, which only a policy that was cut short writes, is left out.
    """
    found: list[Prefix] = []
    text = prompt
    for depth, step in enumerate(steps, start=1):
        text += step.text
        if step.text.endswith(step_format.END_OF_CODE):
            found.append(Prefix(text, "code", depth))
            if step.observation:
                found.append(Prefix(text + step.observation, "output", depth))
        elif step.text.endswith(step_format.END_OF_ANSWER):
            found.append(Prefix(text, "answer", depth))
        elif step.text.endswith(step_format.END_OF_STEP):
            found.append(Prefix(text, "step", depth))
        text += step.observation
    return found
