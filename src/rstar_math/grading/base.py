"""What the search asks of grading. Implementation: `rstar_math.grading.pool`."""

from __future__ import annotations

from typing import Protocol

from rstar_math.types import Verdict


class Grader(Protocol):
    """Decides whether an answer means the same as the reference, off the event loop and bounded in time."""

    async def grade(self, gold: str, prediction: str | None) -> Verdict:
        """Compares a prediction with the reference.

        Raises:
          GradingError: grading itself is broken (a wrong or hanging answer is a verdict).
        """
        ...

    async def aclose(self) -> None:
        """Ends every process that this grader started."""
        ...
