"""The message within the limits that the client set for it: its tokens, and texts before which it must end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Encode = Callable[[str], Sequence[int] | None]
"""Tokens of a text; None where nobody knows the tokenizer."""

_BYTES_PER_TOKEN = 4
"""Where nobody knows the tokenizer."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A message within its limits.

    Attributes:
      pieces: the message.
      finish_reason: "length" where it was cut by the number of its tokens.
      note: what was left out; "" where nothing was.
    """

    pieces: tuple[str, ...]
    finish_reason: Literal["stop", "length"]
    note: str = ""


def limited(pieces: Sequence[str], short: str, max_tokens: int | None, stops: Sequence[str], encode: Encode) -> Limited:
    """The whole message where it fits; else the answer alone; else what of the answer fits.

    A limit is for the message, and cutting the message at its end would take away the answer, which stands there.

    Args:
      pieces: the whole message.
      short: the answer alone.
      max_tokens: most tokens; None: any number.
      stops: texts that must not stand in it.
      encode: counts tokens.
    """
    whole = "".join(pieces)
    if _fits(whole, max_tokens, encode) and not any(stop in whole for stop in stops):
        return Limited(tuple(pieces), "stop")
    note = "the steps are left out: max_tokens or stop leave no room for them"
    at = min((found for stop in stops if (found := short.find(stop)) >= 0), default=len(short))
    cut = short[:at]
    if _fits(cut, max_tokens, encode):
        return Limited((cut,), "stop", note)
    assert max_tokens is not None
    return Limited((_cut(cut, max_tokens, encode),), "length", note)


def num_tokens(text: str, encode: Encode) -> int:
    """Tokens of a text, counted, or estimated by its bytes where nobody knows the tokenizer."""
    tokens = encode(text)
    return len(tokens) if tokens is not None else -(-len(text.encode()) // _BYTES_PER_TOKEN)


def _fits(text: str, max_tokens: int | None, encode: Encode) -> bool:
    return max_tokens is None or num_tokens(text, encode) <= max_tokens


def _cut(text: str, max_tokens: int, encode: Encode) -> str:
    """The longest beginning that fits."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if num_tokens(text[:middle], encode) <= max_tokens else (low, middle - 1)
    return text[:low]
