"""Which process a program may run in, judged by its text alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

PROFILES = ("light", "numpy", "sympy", "all")
"""Zygotes by what they have loaded, each more than the one before."""

_WORD = re.compile(r"\w+")
_NUMPY = frozenset({"numpy", "mpmath"})
_OTHER = re.compile(r"^[ \t]*(?:import|from)[ \t]+(.+)", re.MULTILINE)


def profile_of(steps: Sequence[str]) -> str:
    """Which zygote a program needs."""
    return max((_profile_of_step(code) for code in steps), key=PROFILES.index, default="light")


@lru_cache(maxsize=8192)
def _profile_of_step(code: str) -> str:
    # words, not imports: this can only err towards the zygote that has more loaded
    words = set(_WORD.findall(code))
    if "scipy" in words:
        return "all"
    if "sympy" in words:
        return "sympy"
    return "numpy" if words & _NUMPY else "light"
