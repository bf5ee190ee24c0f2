"""Where words stand around an expression: "the mode is" before it, a unit with its powers and brackets behind it."""

from __future__ import annotations

from rstar_math.grading.reading.scan import Tokens, is_balanced, is_enclosed

_VERBS = frozenset({"is", "are", "equals", "about", "approximately", "be"})


def without_prose(found: Tokens) -> Tokens:
    """`found` without leading words that end in a verb: "the mode is 3"."""
    end = next((i for i, token in enumerate(found) if token.kind != "text"), len(found))
    return found[end:] if 0 < end < len(found) and found[end - 1].value.lower() in _VERBS else found


def unit_start(found: Tokens) -> int:
    """Index at which trailing words begin (the length where there are none)."""
    start = len(found)
    i = start - 1
    while i >= 0:
        token = found[i]
        power = _before_power(found, i)
        if token.kind == "text":
            start = i
        elif power is not None:
            i = power
            continue
        elif not (token.value in _JOINING or (token.kind in {"open", "close"} and token.value in _BRACKETS)):
            break
        i -= 1
    if 1 < start < len(found) and found[start - 1].value == "/" and found[start - 2].kind in {"number", "close"}:
        start -= 1  # 3/hour
    if start < len(found):
        # a bracket opened just before the first word belongs to it: 5 (cm)
        while start > 0 and found[start - 1].kind == "open" and is_enclosed(found, start - 1):
            start -= 1
        if not is_balanced(found[start:]):
            return len(found)
    return start


_JOINING = frozenset("/-*")
_BRACKETS = frozenset("(){}")


def _before_power(found: Tokens, i: int) -> int | None:
    """Index before an exponent that ends at i; None where there is no such exponent."""
    if found[i].kind == "number" and i > 1 and found[i - 1].value == "^":
        return i - 2
    if found[i].kind != "close" or found[i].value != "}" or i < 1:
        return None
    i -= 1
    if found[i].kind == "number":
        i -= 1
        if i >= 0 and found[i].value == "-":
            i -= 1
        if i > 0 and found[i].value == "{" and found[i - 1].value == "^":
            return i - 2
    return None
