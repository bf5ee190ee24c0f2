"""The cheap decisions, in microseconds, without sympy and without a worker.

Identical texts, plain integers, short decimals and fractions.

Everything here is a pure function whose time is linear in the length of its input, so it may run on the event loop.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rstar_math.types import Verdict

MAX_SHORTCUT_CHARS = 4_000
"""Longer texts are left to the workers."""

_SHORT_NUMBER = re.compile(r"([+-]?\d{1,9})(?:\.(\d{0,8})|/(\d{1,9}))?", re.ASCII)
_MAX_SHORT_DIGITS = 9
_CLEARLY_DIFFERENT = Fraction(1, 100)
"""Far above what any policy takes for a rounding of three decimals or more."""

_PLAIN_INTEGER = re.compile(r"([+-]?)(\d+)(?:\.0*)?", re.ASCII)


def shortcut(gold: str, prediction: str | None) -> Verdict | None:
    """Decides the pairs that need no parsing; None where a full comparison is needed."""
    if prediction is None or not prediction.strip():
        return Verdict(equal=False, rule="no_answer")
    if len(gold) > MAX_SHORTCUT_CHARS or len(prediction) > MAX_SHORTCUT_CHARS:
        return None
    left, right = _undressed(gold), _undressed(prediction)
    if left == right and left:
        return Verdict(equal=True, rule="identical")
    left_integer, right_integer = _PLAIN_INTEGER.fullmatch(left), _PLAIN_INTEGER.fullmatch(right)
    if left_integer and right_integer:
        return Verdict(equal=_signed_digits(left_integer) == _signed_digits(right_integer), rule="integer")
    first, second = _short_number(left), _short_number(right)
    if first is not None and second is not None:
        if first == second:
            return Verdict(equal=True, rule="exact")
        if abs(first - second) > _CLEARLY_DIFFERENT:
            return Verdict(equal=False, rule="number")
    return None


def _short_number(text: str) -> Fraction | None:
    """The value of a decimal or fraction with too few digits to stand for a float; None for anything else."""
    match = _SHORT_NUMBER.fullmatch(text)
    if not match or len(text) > 2 * _MAX_SHORT_DIGITS + 2:
        return None
    whole, decimals, denominator = match.groups()
    if decimals is not None:
        if len(whole) + len(decimals) > _MAX_SHORT_DIGITS:
            return None
        return Fraction(int(whole + decimals), 10 ** len(decimals))
    if denominator is not None:
        return Fraction(int(whole), int(denominator)) if int(denominator) else None
    return Fraction(int(whole))


def _undressed(text: str) -> str:
    """`text` without what never carries meaning at the ends of an answer: blanks, `$`, a final full stop."""
    text = text.strip().strip("$").strip()
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    return text


def _signed_digits(match: re.Match[str]) -> str:
    """The integer as text, so that its length does not matter: Python limits int() to 4,300 digits."""
    digits = match.group(2).lstrip("0")
    return ("-" if match.group(1) == "-" and digits else "") + digits
