"""The words that fill the templates of word problems: names, things, places. They stand in `words.txt`."""

from __future__ import annotations

from functools import cache
from importlib import resources

# fmt: off
SMALL_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)
# fmt: on
"""Numbers that texts may write as words."""


@cache
def words(kind: str) -> tuple[str, ...]:
    """The words of a kind: he, she, things, containers, people, colors, places, days."""
    text = resources.files(__package__).joinpath("words.txt").read_text(encoding="utf-8")
    lines = [line.partition(": ") for line in text.splitlines()]
    return tuple(word for name, _, listed in lines if name == kind for word in listed.split(", "))


def singular(word: str) -> str:
    """One of what an entry names."""
    return word.partition(":")[0]


def plural(word: str) -> str:
    """Several of it: the entry with an s, or what stands behind its colon."""
    one, _, several = word.partition(":")
    return several or f"{one}s"
