"""Whether two values are the same: at once where both are plain numbers, else by the project's grader."""

from __future__ import annotations

import math

from rstar_math.grading.base import Grader
from rstar_math.tutor.running import MAX_VALUE_CHARS

_CLEARLY_DIFFERENT = 0.01


async def same_value(grader: Grader, known: str, value: str) -> bool:
    """Whether a learner's value is that of a known step.

    Raises:
      GradingError: grading itself is broken.
    """
    if known == value:
        return True
    if not value or max(len(known), len(value)) >= MAX_VALUE_CHARS:
        return False
    a, b = _number(known), _number(value)
    if a is not None and b is not None:
        if math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12):
            return True
        if abs(a - b) > _CLEARLY_DIFFERENT:
            return False
    elif (a is None) != (b is None) and not any(c in (known if a is None else value) for c in "/\\%^(*"):
        return False  # a number, and words: no reason to begin a process that compares
    return (await grader.grade(known, value)).equal


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
