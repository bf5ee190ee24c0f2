"""The last resort: math-verify on both answers. Imported in worker processes only (it brings sympy)."""

from __future__ import annotations

import logging
import re


def math_verify_equal(gold: str, prediction: str) -> bool:
    """math-verify's own decision on two answers, with its time-outs off: the worker's limits stand in for them."""
    from math_verify import parse, verify
    from math_verify.parser import LatexExtractionConfig

    # math-verify warns about time-outs being off, and logs every text that it cannot read
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    targets = [LatexExtractionConfig()]
    gold_values = parse(_as_latex(gold), targets, parsing_timeout=None)
    prediction_values = parse(_as_latex(prediction), targets, parsing_timeout=None)
    return bool(verify(gold_values, prediction_values, timeout_seconds=None))


def _as_latex(answer: str) -> str:
    """An answer as a boxed formula, with Python's operators written as LaTeX has them."""
    answer = answer.strip().strip("$")
    answer = re.sub(r"\bsqrt\(([^()]*)\)", r"\\sqrt{\1}", answer)
    answer = re.sub(r"(?:Fraction|Rational)\(\s*(-?\d+)\s*,\s*(\d+)\s*\)", r"\\frac{\1}{\2}", answer)
    answer = re.sub(r"(?<![\\a-zA-Z])pi\b", r"\\pi", answer)
    answer = answer.replace("**", "^").replace("*", r"\cdot ")
    return f"\\boxed{{{answer}}}"
