"""A normalised text as a node: a formula, or words that are as good as one."""

from __future__ import annotations

import re

from rstar_math.grading.bounds import MAX_SENTENCE_CHARS
from rstar_math.grading.reading import words
from rstar_math.grading.reading.nodes import Named, Node
from rstar_math.grading.reading.normalise import ROW_END, normalised
from rstar_math.grading.reading.parse import parsed
from rstar_math.grading.reading.worded_sets import congruence, worded_set

_EXCEPTED = re.compile(r"\b(?:except|excluding|other than|but not|besides)\b")
_INLINE_CASES = re.compile(
    r"([^,;]+?)[\s,]*⟦?if⟧?([^,;]+?)\s*(?:[,;]\s*⟦?and⟧?|[,;]|⟦?\band⟧?)\s*([^,;]+?)[\s,]*(?:⟦?(?:otherwise|else)⟧?|⟦?if⟧?([^,;]+))\.?"
)


def read(text: str) -> Node | None:
    """The node of a formula, or of words that are as good as one."""
    if not is_short(text):
        return parsed(text)
    if "mod" in text and (found := congruence(text)):
        return found
    if _EXCEPTED.search(text):
        return worded_set(text)
    if node := parsed(text):
        return node
    if words.meaning(text) == "all reals":
        return Named("reals")
    return worded_set(text) or _inline_cases(text)


def read_with_letters(text: str) -> Node | None:
    """The node of a formula in which upright letters are variables: `\\frac{\\mathrm{gb}}{f}`."""
    spaced = re.sub(r"\\mathrm\s*\{\s*([A-Za-z]{1,3})\s*\}", lambda match: " ".join(match.group(1)), text)
    return parsed(normalised(spaced)) if spaced != text else None


def is_short(text: str) -> bool:
    """Whether a text is searched for words."""
    return len(text) <= MAX_SENTENCE_CHARS


def _inline_cases(text: str) -> Node | None:
    """`2 if n is even and 1 otherwise`, as cases."""
    match = _INLINE_CASES.fullmatch(text)
    if not match:
        return None
    first, condition, second, other = match.groups()
    return parsed(f"\\begin{{cases}} {first} & {condition} {ROW_END} {second} & {other or 'otherwise'} \\end{{cases}}")
