"""Digits with their base, as a subscript or in words: 1011_2, "132 base 4"."""

from __future__ import annotations

import re

from rstar_math.grading.reading.nodes import Based

_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_SUBSCRIPT = re.compile(r"\(?([0-9A-F]+(?:\.[0-9A-F]+)?)\)?\s*_\s*\{?\s*(-?\d{1,2}|[a-z]+)\s*\}?")
_NAMED = re.compile(r"\(?([0-9A-F]+)\)?\s*,?\s*\(?\s*(?:in )?base[ -]?\s*(\d{1,2}|[a-z]+)\)?", re.IGNORECASE)


def based(text: str) -> Based | None:
    """The digits and the base that a normalised text consists of; None where it is anything else."""
    bare = text.replace("⟦", " ").replace("⟧", " ").strip()
    match = _SUBSCRIPT.fullmatch(bare) or _NAMED.fullmatch(" ".join(bare.split()))
    if not match:
        return None
    base = int(match.group(2)) if match.group(2).lstrip("-").isdigit() else _WORDS.get(match.group(2).lower(), 0)
    digits = match.group(1).upper()
    if not 2 <= abs(base) <= 36 or any(int(digit, 36) >= abs(base) for digit in digits if digit != "."):
        return None
    return Based(digits.lstrip("0") or "0", base)
