"""Answer grading: whether a prediction means the same as the reference, bounded and explainable.

The names below are loaded when they are first used: a search needs none of the rules, which its workers load. sympy and
math-verify are loaded where symbolic comparison needs them, in worker processes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rstar_math.grading.comparing.equivalence import equivalent
    from rstar_math.grading.policy import DEFAULT, POLICIES, Policy
    from rstar_math.grading.pool import GradingPool
    from rstar_math.grading.reading.extract import extract_answer

_EXPORTS = {
    "DEFAULT": "rstar_math.grading.policy",
    "POLICIES": "rstar_math.grading.policy",
    "GradingPool": "rstar_math.grading.pool",
    "Policy": "rstar_math.grading.policy",
    "equivalent": "rstar_math.grading.comparing.equivalence",
    "extract_answer": "rstar_math.grading.reading.extract",
}
__all__ = ["DEFAULT", "POLICIES", "GradingPool", "Policy", "equivalent", "extract_answer"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
