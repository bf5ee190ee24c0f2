"""Bounds that are checked before anything is evaluated: no input may cost more than a little time and memory."""

from __future__ import annotations

import threading

MAX_CHARS = 6_000
"""Longer answers are compared as text only."""

MAX_DEPTH = 60
"""Brackets nested deeper than this are not parsed."""

MAX_TOKENS = 3_000
"""Answers of more tokens are not parsed."""

MAX_EXACT_BITS = 400_000
"""Integers and fractions are held exactly up to this size: 2024^4046 has 44,000 bits."""

MAX_BITS = 100_000
"""Most bits to which a number that is no fraction is computed."""

MAX_LOG2 = 2.0**31
"""Numbers whose binary logarithm is larger are not evaluated: power towers, nested factorials."""

MAX_ARGUMENT_LOG2 = 4_000.0
"""Sines, exponentials and the like of numbers larger than 2 to this power are not evaluated."""

MAX_TERMS = 2_000
"""Sums and products with bounds are written out up to this many terms."""

MAX_ITEMS = 400
"""Lists with more items than this are compared in order instead of as a matching."""

MAX_SENTENCE_CHARS = 400
"""Longer texts are not searched for the answer in a sentence."""

MAX_WORK = 100_000
"""Steps of evaluation that one comparison may take; a step at 256 bits costs about ten microseconds of CPU."""


class TooLargeError(Exception):
    """A value is too large to be evaluated; what it is compared with decides nothing."""


class UndefinedError(Exception):
    """A value does not exist: a division by zero, the logarithm of zero."""


class NotNumericError(Exception):
    """Something without a number as its value was to be evaluated."""


class UnparsedError(Exception):
    """A text is not in the grammar of `parse`; it may still be compared as text."""


class _Work(threading.local):
    """What the comparison at hand has left; each thread compares for itself."""

    left = MAX_WORK


_work = _Work()


def begin_work() -> None:
    """Starts a comparison's budget."""
    _work.left = MAX_WORK


def spend(steps: int) -> None:
    """Takes steps from the budget.

    Raises:
      TooLargeError: nothing is left.
    """
    _work.left -= steps
    if _work.left < 0:
        raise TooLargeError
