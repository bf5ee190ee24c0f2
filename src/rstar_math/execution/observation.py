"""What a policy is shown of a program: the observation rules of the released code, as a pure function.

By default a policy sees everything that its program printed (`steps.observation`). Data of the released models was made
under other rules, which this file holds, so that data made here can match it. They look at the statements of a whole
program, all steps together, each with what it printed or the value it has as an expression:

- With several statements that print, each of them is shown with a label, the source text of what it prints as far as
  the first closing bracket; what other statements print is not shown.
- Otherwise only the last statement is shown, without a label, whatever the others printed.
- The value of an expression takes the place of what it printed.
- A text that is one number is rounded to 4 decimals, unless that makes it longer; values that are no text are not.
- A text of more than 1,024 characters loses its middle.
- A program that raises is shown as the error alone; syntax errors name the line in the whole program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.types import Execution

MAX_CHARS = 1024
DECIMALS = 4

_LINE = re.compile(r"\(<(?:unknown|step)>, line (\d+)\)")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement of a step did.

    Attributes:
      printed: what it printed.
      value: the text of its value, where it is an expression with a value other than None.
      value_is_text: whether that value is a `str`.
      label: what the released rules put before what it prints; None where it is no statement that prints.
    """

    printed: str
    value: str | None = None
    value_is_text: bool = False
    label: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedExecution(Execution):
    """An execution with what each of its statements did, as far as they ran."""

    statements: tuple[Statement, ...] = ()


def official_observation(statements: Sequence[Statement], error: str | None = None, lines_before: int = 0) -> str:
    """What the released code shows of a program.

    Args:
      statements: of all its steps, in order.
      error: `Type: message` of the step that failed; None where none did.
      lines_before: lines of the whole program before the first line of that step.
    """
    if error is not None:
        numbered = _LINE.sub(lambda match: f"(<unknown>, line {int(match[1]) + lines_before})", error)
        return numbered.strip() if ":" in numbered else f"{numbered}:"
    printing = [statement for statement in statements if statement.label is not None]
    if len(printing) > 1:
        return "".join(f"{statement.label} {_shown(statement)}" for statement in printing).strip()
    return _shown(statements[-1]).strip() if statements else ""


def lines_before(history: str, text: str) -> int:
    """Lines of the program that the released code runs, before the code of the step `text`.

    Args:
      history: the text of the steps before it, markers included, from behind `<code>` on.
      text: the step's own text. The released program starts with a line of its own.
    """
    return history.count("\n") + len(text) - len(text.lstrip("\n"))


def _shown(statement: Statement) -> str:
    text = statement.printed if statement.value is None else statement.value
    if statement.value is None or statement.value_is_text:
        text = _rounded(text)
    if len(text) > MAX_CHARS:
        return f"{text[: MAX_CHARS // 2]}...{text[-MAX_CHARS // 2 :]}"
    return text


def _rounded(text: str) -> str:
    """`text`, rounded where it is one number and that does not make it longer."""
    try:
        rounded = f"{round(float(text), DECIMALS)}\n"
    except ValueError:  # it is no number
        return text
    return text if len(text) < len(rounded) else rounded
