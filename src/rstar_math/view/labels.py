"""A few words for a step: what stands on a node. Pure."""

from __future__ import annotations

from rstar_math.terminal.visible import visible

MAX_CHARS = 72
"""Longest label."""

_LOOKED_AT = 400


def label(text: str, answer: str | None = None) -> str:
    """The step's first comment and its first line of code, as far as there are such; of an answer step the answer.

    Args:
      text: of the step, as the policy wrote it.
      answer: what is in its box, or None.

    Returns:
      One line without control characters, of at most `MAX_CHARS` characters.
    """
    if answer is not None:
        return _short(f"answer: {answer}")
    comment = ""
    for line in text[:_LOOKED_AT].split("\n"):
        line = line.strip()
        if not line or (line[0] == "<" and line[-1] == ">"):
            continue
        if line[0] != "#":
            return _short(f"{comment} · {line}" if comment else line)
        comment = comment or line.lstrip("# ")
    return _short(comment)


def _short(text: str) -> str:
    text = text[: 2 * MAX_CHARS]
    if not text.isprintable():
        text = visible(text).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
