"""Looking along tokens before they are read: brackets and what closes them, the stretches between separators."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import accumulate

from rstar_math.grading.bounds import MAX_DEPTH, UnparsedError
from rstar_math.grading.reading.tokens import Token

Tokens = Sequence[Token]

_STEPS = {"open": 1, "begin": 1, "close": -1, "end": -1}


def depths(found: Tokens) -> list[int]:
    """How many brackets and environments are open behind each token."""
    return list(accumulate(_STEPS.get(token.kind, 0) for token in found))


def check_brackets(found: Tokens) -> None:
    """Refuses tokens whose brackets do not pair off, or are nested too deeply.

    Raises:
      UnparsedError: so are these.
    """
    for depth in depths(found):
        if depth < 0:
            raise UnparsedError("a bracket that was never opened")
        if depth > MAX_DEPTH:
            raise UnparsedError(f"brackets nested deeper than {MAX_DEPTH}")
    if not is_balanced(found):
        raise UnparsedError("a bracket that is never closed")


def is_balanced(found: Tokens) -> bool:
    """Whether every bracket is closed, and was opened before."""
    levels = depths(found)
    return not levels or (min(levels) >= 0 and levels[-1] == 0)


def closing(found: Tokens, start: int) -> int:
    """Index of the bracket that closes the one at `start`.

    Raises:
      UnparsedError: nothing closes it.
    """
    depth = 0
    for i in range(start, len(found)):
        step = _STEPS.get(found[i].kind, 0)
        depth += step
        if depth == 0 and step < 0:
            return i
    raise UnparsedError("a bracket that is never closed")


def is_enclosed(found: Tokens, start: int = 0) -> bool:
    """Whether the last token closes the bracket at `start`."""
    return closing(found, start) == len(found) - 1


def split(found: Tokens, values: Container[str]) -> tuple[list[Tokens], list[str]]:
    """The stretches between the operators with one of these values outside brackets, and the values found."""
    parts: list[Tokens] = []
    separators: list[str] = []
    depth = start = 0
    for i, token in enumerate(found):
        if token.kind == "operator":
            if depth == 0 and token.value in values:
                parts.append(found[start:i])
                separators.append(token.value)
                start = i + 1
        else:
            depth += _STEPS.get(token.kind, 0)
    parts.append(found[start:])
    return parts, separators


def stretches(found: Tokens, values: Container[str]) -> list[Tokens]:
    """The stretches between these operators that are not empty."""
    return [part for part in split(found, values)[0] if part]


def has(found: Tokens, value: str) -> bool:
    """Whether an operator stands outside brackets."""
    return bool(split(found, {value})[1])


def written(found: Tokens) -> str:
    """The tokens' values without anything between them, as the name of what cannot be read."""
    return "".join(token.value for token in found)


def with_constant_as_name(found: Tokens, letter: Token) -> Tokens:
    """Tokens in which one constant is a variable of the same letter."""
    return [
        Token("name", letter.written or letter.value, None, token.spaced)
        if token.kind == "constant" and token.value == letter.value and token.written == letter.written
        else token
        for token in found
    ]
