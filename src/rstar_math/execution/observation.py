"""The released observation rules, as a pure function of what each statement printed."""

from __future__ import annotations

from dataclasses import dataclass

from rstar_math.types import Execution


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement of a step did.

    Attributes:
      printed: what it printed.
      value: the text of its value, where it is an expression with a value other than None.
    """

    printed: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedExecution(Execution):
    """An execution with what each of its statements did, as far as they ran."""

    statements: tuple[Statement, ...] = ()
