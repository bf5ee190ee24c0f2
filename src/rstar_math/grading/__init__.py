"""Answer grading: whether a prediction means the same as the reference, bounded and explainable.

Light to import: sympy and math-verify are loaded where symbolic comparison needs them, in worker processes.
"""

from rstar_math.grading.comparing.equivalence import equivalent
from rstar_math.grading.policy import DEFAULT, POLICIES, Policy
from rstar_math.grading.pool import GradingPool
from rstar_math.grading.reading.extract import extract_answer

__all__ = ["DEFAULT", "POLICIES", "GradingPool", "Policy", "equivalent", "extract_answer"]
