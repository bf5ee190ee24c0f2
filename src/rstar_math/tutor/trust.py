"""How far a tutor may be trusted on one question."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of the model on this question.

    Attributes:
      knows: whether it teaches at all: it found a solution, and the question is of a kind that it knows.
      sure: whether its solution counts as sure; None where nobody measured that for this model.
      text: for the learner.
      doubt: what stands behind each judgement where it is not sure.
    """

    knows: bool
    sure: bool | None
    text: str
    doubt: str = "I am not sure of my own solution here, so this may be mistaken."


def trust_of(
    has_solution: bool, outside: bool | None, sure: bool | None, confidence: float, by_reference: bool, why: str = ""
) -> Trust:
    """How far to trust.

    Args:
      has_solution: a solution was found, and ran once more with the same values.
      outside: whether the question is of another kind than the model was trained on; None where nobody measured.
      sure, confidence: of the answer.
      by_reference: the answer was given with the question, and the solution has it.
      why: why there is no solution.
    """
    if not has_solution:
        return Trust(False, False, f"I cannot help with this question: I found no solution that holds. {why}".strip())
    if by_reference:
        return Trust(True, True, "The answer was given with the question, and my solution arrives at it.")
    if outside:
        return Trust(
            False,
            False,
            "This model does not know this kind of problem, so I give no hints and do not say what is right or wrong.",
        )
    if sure:
        return Trust(
            True, True, f"I know this kind of problem, and am sure of my solution (confidence {confidence:.0%})."
        )
    if sure is None:
        return Trust(True, None, f"How far to trust this model was not measured (confidence {confidence:.0%}).")
    return Trust(True, False, f"I am not sure of my own solution here (confidence {confidence:.0%}): check what I say.")
