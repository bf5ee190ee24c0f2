"""The cheap decisions: identical texts and plain integers, in microseconds, without sympy and without a worker.

Everything here is a pure function whose time is linear in the length of its input, so it may run on the event loop.
"""

from __future__ import annotations

import re

from rstar_math.types import Verdict

MAX_SHORTCUT_CHARS = 4_000
"""Longer texts are left to the workers."""

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
    return None


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
