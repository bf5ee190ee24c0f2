"""Bounds that are checked before anything is evaluated: no input may cost more than a little time and memory."""

from __future__ import annotations

import re

MAX_CHARS = 6_000
"""Longer answers are compared as text only."""

MAX_DEPTH = 60
"""Brackets nested deeper than this are not parsed."""

MAX_TOKENS = 3_000
"""Answers of more tokens are not parsed."""

MAX_EXACT_BITS = 400_000
"""Integers and fractions are held exactly up to this size: 2024^4046 has 44,000 bits."""

MAX_LOG2 = 2.0**31
"""Numbers whose binary logarithm is larger are not evaluated: power towers, nested factorials."""

MAX_ARGUMENT_LOG2 = 4_000.0
"""Sines, exponentials and the like of numbers larger than 2 to this power are not evaluated."""

MAX_TERMS = 2_000
"""Sums and products with bounds are written out up to this many terms."""

MAX_ITEMS = 400
"""Lists with more items than this are compared in order instead of as a matching."""

MAX_SYMBOLIC_CHARS = 400
"""Longer answers are not handed to math-verify."""

_LARGE_EXPONENT = re.compile(r"(?:\^|\*\*)\s*\{?\s*\(?\s*-?\s*\d{4,}")
_TOWER = re.compile(r"(?:\^|\*\*)[^+\-=<>,;]*(?:\^|\*\*)")
_FACTORIAL = re.compile(r"!|factorial|gamma|\\Gamma|binom|choose", re.IGNORECASE)
_LARGE_OPERATOR = re.compile(r"\\(?:sum|prod|int|iint|oint|lim)(?![a-zA-Z])|Sum\(|Product\(|Integral\(")


class TooLargeError(Exception):
    """A value is too large to be evaluated; what it is compared with decides nothing."""


class UndefinedError(Exception):
    """A value does not exist: a division by zero, the logarithm of zero."""


class NotNumericError(Exception):
    """Something without a number as its value was to be evaluated."""


class UnparsedError(Exception):
    """A text is not in the grammar of `parse`; it may still be compared as text."""


def fit_for_math_verify(answer: str) -> bool:
    """Whether math-verify may be asked about an answer: it evaluates while it parses, so powers must be harmless."""
    return (
        len(answer) <= MAX_SYMBOLIC_CHARS
        and not _LARGE_EXPONENT.search(answer)
        and not _TOWER.search(answer)
        and not _FACTORIAL.search(answer)
        and not _LARGE_OPERATOR.search(answer)
    )
