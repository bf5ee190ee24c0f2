"""math-verify, for formulas that this package cannot read: whether it may be asked, and what it says."""

from __future__ import annotations

import logging
import re

from rstar_math.grading.comparing.match import Match
from rstar_math.grading.reading.normalise import OPEN_TEXT

_MAX_CHARS = 200
"""Longer answers are not handed to math-verify: its parser takes seconds for a few hundred characters."""

_POWER = re.compile(r"\^|\*\*")
_EXPONENT = re.compile(r"\s*(\{[^{}^*]*\}|\([^()^*]*\)|-?\w+|\\\w+)")
_COSTLY = re.compile(
    r"!|factorial|gamma|binom|choose|\\(?:sum|prod|int|iint|oint|lim)(?![a-z])|Sum\(|Product\(|Integral\(",
    re.IGNORECASE,
)
_MAX_EXPONENT_DIGITS = 3


def is_formula(text: str) -> bool:
    """Whether a text that cannot be parsed is a whole formula rather than prose or a fragment.

    math-verify reads what it can and leaves out the rest: of anything but a formula that would be a guess.
    """
    if OPEN_TEXT in text or re.search(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}", text):
        return False
    return "\\" in text and all(text.count(a) == text.count(b) for a, b in ("{}", "()", "[]"))


def compare_by_math_verify(gold: str, prediction: str) -> Match:
    """What math-verify decides, where it may be asked."""
    if not (_is_harmless(gold) and _is_harmless(prediction)):
        return Match(False, "unreadable")
    return Match(math_verify_equal(gold, prediction), "math_verify")


def math_verify_equal(gold: str, prediction: str) -> bool:
    """math-verify's own decision on two answers, its time-outs off: the worker's limits stand in for them."""
    from math_verify import parse, verify
    from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

    # math-verify warns about time-outs being off, and logs every text that it cannot read
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    targets = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    gold_values = parse(f"\\boxed{{{gold}}}", targets, parsing_timeout=None)
    prediction_values = parse(f"\\boxed{{{prediction}}}", targets, parsing_timeout=None)
    return bool(verify(gold_values, prediction_values, timeout_seconds=None))


def _is_harmless(answer: str) -> bool:
    """Whether math-verify may be asked about an answer: it evaluates while it parses, so powers must be harmless."""
    if len(answer) > _MAX_CHARS or _COSTLY.search(answer):
        return False
    end = -1
    for power in _POWER.finditer(answer):
        exponent = _EXPONENT.match(answer, power.end())
        if not exponent or sum(map(str.isdigit, exponent.group())) > _MAX_EXPONENT_DIGITS:
            return False
        if power.start() == end:  # a power right behind an exponent: a tower
            return False
        end = exponent.end()
    return True
