"""Public test double of grading: two answers are equal when their texts are."""

from __future__ import annotations

from rstar_math.types import Verdict


class FakeGrader:
    """Compares texts, white space around them aside.

    Attributes:
      num_grades: comparisons made so far.
    """

    def __init__(self) -> None:
        self.num_grades = 0

    async def grade(self, gold: str, prediction: str | None) -> Verdict:
        """Whether both texts are the same; nothing equals a missing prediction."""
        self.num_grades += 1
        return Verdict(equal=prediction is not None and gold.strip() == prediction.strip(), rule="same text")

    async def aclose(self) -> None:
        """Does nothing: the fake holds nothing."""
