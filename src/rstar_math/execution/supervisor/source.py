"""What the supervisor tells about a program from its text alone, without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

PROFILES = ("light", "numpy", "sympy", "all")
"""Zygotes by what they have loaded, each more than the one before."""

_MAX_CHARS = 16_384
"""Steps longer than this are not worth a place in a table."""

_COMMENT_LINE = re.compile(r"^[ \t]*#[^\r\n\0\ud800-\udfff]*$", re.MULTILINE)
_LINES_MAY_BE_TEXT = re.compile(r"'''|\"\"\"|\\[\r\n]|=\s*[}!:]")
"""Where a line that looks like a comment may be part of text: triple quotes, continued lines, f-strings that show their
own source."""


def profile_of(steps: Iterable[str], packages: tuple[str, ...] = ()) -> str:
    """Which zygote a program needs; `packages`: names beyond numpy, mpmath, sympy and scipy that only "all" has.

    A name anywhere in the text counts, so this can only err towards the zygote that has more loaded.
    """
    highest = 0
    for code in steps:
        if "scipy" in code or (packages and any(name in code for name in packages)):
            return "all"
        if "sympy" in code:
            highest = 2
        elif highest == 0 and ("numpy" in code or "mpmath" in code):
            highest = 1
    return PROFILES[highest]


def without_comments(code: str) -> str:
    """`code` with the lines that are comments emptied, so that steps which differ in their reasoning alone are one.

    Whatever the code does stays the same: line numbers are kept, and no program can see the text of its comments.
    """
    return _without_comments(code) if len(code) <= _MAX_CHARS else code


@lru_cache(4096)
def _without_comments(code: str) -> str:
    if "#" not in code or _LINES_MAY_BE_TEXT.search(code):
        return code
    return _COMMENT_LINE.sub("", code)


@lru_cache(1024)
def steps_without_comments(steps: tuple[str, ...]) -> tuple[str, ...]:
    """`steps` as programs are known; the same object every time, which makes comparing cheap."""
    return tuple([without_comments(code) for code in steps])
