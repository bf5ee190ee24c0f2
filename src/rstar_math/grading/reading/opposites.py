"""Words that contradict one another: an increase and a decrease, a maximum and a minimum."""

from __future__ import annotations

import re

_DIRECTIONS = (
    ("increase", "decrease", "increased", "decreased", "rise", "drop", "growth", "decline"),
    ("profit", "loss", "gain"),
    ("more", "less", "fewer"),
    ("north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest"),
    ("left", "right", "up", "down"),
    ("above", "below"),
    ("clockwise", "counterclockwise", "anticlockwise"),
    ("older", "younger"),
    ("early", "late"),
    ("before", "after"),
)
_CONTRARIES = (
    ("maximum", "minimum"),
    ("max", "min"),
    ("increasing", "decreasing"),
    ("odd", "even"),
    ("converges", "diverges"),
    ("convergent", "divergent"),
    ("largest", "smallest"),
    ("acute", "obtuse"),
    ("first", "second", "third"),
    ("inside", "outside"),
    ("interior", "exterior"),
)
_SAME_DIRECTION = (
    {"increase", "increased", "rise", "growth"}, {"decrease", "decreased", "drop", "decline"}, {"profit", "gain"},
    {"less", "fewer"}, {"counterclockwise", "anticlockwise"},
)  # fmt: skip


def opposed(left: str, right: str) -> bool:
    """Whether two texts of lower-case words name different directions of one kind: a decrease and an increase."""
    return _differ(set(left.split()), set(right.split()), _DIRECTIONS)


def contrary(left: str, right: str) -> bool:
    """Whether two answers in words say contrary things: of a maximum and of a minimum.

    Words that sentences turn round (`x is less than 5`, `5 is more than x`) do not count here.
    """
    words = [set(re.findall(r"(?<![\\A-Za-z])[a-z]{3,}", text.lower())) for text in (left, right)]
    return _differ(words[0], words[1], _CONTRARIES)


def _differ(left: set[str], right: set[str], kinds: tuple[tuple[str, ...], ...]) -> bool:
    for kind in kinds:
        first, second = left & set(kind), right & set(kind)
        if first and second and first != second and not any(first | second <= same for same in _SAME_DIRECTION):
            return True
    return False
