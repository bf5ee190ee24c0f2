"""Which zygote a program needs, judged by its text alone."""

from __future__ import annotations

from collections.abc import Sequence

PROFILES = ("light", "numpy", "sympy", "all")
"""Zygotes by what they have loaded, each more than the one before."""

_MAX_KNOWN = 50_000
_known: dict[str, int] = {}


def profile_of(steps: Sequence[str], packages: Sequence[str] = ()) -> str:
    """Which zygote a program needs; `packages`: names beyond numpy, mpmath, sympy and scipy that only "all" has.

    A name anywhere in the text counts, so this can only err towards the zygote that has more loaded.
    """
    highest = 0
    for code in steps:
        number = _known.get(code)
        if number is None:
            number = _profile_number(code, packages)
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[code] = number
        if number > highest:
            highest = number
    return PROFILES[highest]


def _profile_number(code: str, packages: Sequence[str]) -> int:
    if "scipy" in code or any(name in code for name in packages):
        return 3
    if "sympy" in code:
        return 2
    return 1 if "numpy" in code or "mpmath" in code else 0
