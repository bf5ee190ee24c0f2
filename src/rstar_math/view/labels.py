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
    lines = [line.strip() for line in text[:_LOOKED_AT].splitlines()]
    lines = [line for line in lines if line and not (line.startswith("<") and line.endswith(">"))]
    comment = next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
    code = next((line for line in lines if not line.startswith("#")), "")
    return _short(" · ".join(part for part in (comment, code) if part))


def _short(text: str) -> str:
    text = visible(text[: 2 * MAX_CHARS]).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
