"""Reads `templates.txt`: word problems with their wordings, numbers and steps. Nothing is drawn here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rstar_math.errors import DataError

FILE_NAME = "templates.txt"

_NUMBER = re.compile(r"(\w+) (?:([\d.]+)\.\.([\d.]+)(?: step ([\d.]+))?|= (.+))")
_CODE = re.compile(r"[a-z]\w* = .+")


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a problem: one of `values`, or computed from the numbers before it.

    Attributes:
      values: what is drawn from; empty where it is computed.
      computed: an expression of earlier numbers; "" where it is drawn.
    """

    name: str
    values: tuple[float, ...] = ()
    computed: str = ""


@dataclass(frozen=True, slots=True)
class TemplateStep:
    """A step: what it computes, in ways of which the first is taken whose words the question has, and its code."""

    comments: tuple[str, ...]
    code: str

    @property
    def variable(self) -> str:
        """What the code assigns."""
        return self.code.partition(" = ")[0]


@dataclass(frozen=True, slots=True)
class Template:
    """One problem with all its wordings.

    Attributes:
      line: of the file, for messages.
      conditions: comparisons that the numbers must fulfil.
    """

    line: int
    numbers: tuple[Number, ...]
    conditions: tuple[str, ...]
    wordings: tuple[str, ...]
    steps: tuple[TemplateStep, ...]


@dataclass(frozen=True, slots=True)
class Templates:
    """All problems, and sentences that no answer needs."""

    problems: tuple[Template, ...]
    asides: tuple[str, ...]


@cache
def own_templates() -> Templates:
    """The templates of the package."""
    text = resources.files(__package__).joinpath(FILE_NAME).read_text(encoding="utf-8")
    return read_templates(text.splitlines())


def read_templates(lines: Iterable[str]) -> Templates:
    """The templates of a file in the format that the first lines of `templates.txt` tell.

    Raises:
      DataError: a line that cannot be read (says which), a problem without numbers, wordings or steps, or none.
    """
    problems: list[Template] = []
    asides: list[str] = []
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ""], start=1):
        if line.startswith("//"):
            continue
        if line.startswith("+ "):
            asides.append(line.removeprefix("+ "))
        elif line.strip():
            block.append((number, line.strip()))
        elif block:
            problems.append(_template(block))
            block = []
    if not problems:
        raise DataError("templates: there is no problem; one begins with `= ` and its numbers")
    return Templates(tuple(problems), tuple(asides))


def _template(block: list[tuple[int, str]]) -> Template:
    (first, head), *rest = block
    if not head.startswith("= "):
        raise DataError(f"templates, line {first}: a problem begins with `= ` and its numbers, and not with {head!r}")
    numbers: list[Number] = []
    conditions: list[str] = []
    for part in head.removeprefix("= ").split(", "):
        if part.startswith("? "):
            conditions.append(part.removeprefix("? "))
        else:
            numbers.append(_number(first, part))
    wordings: list[str] = []
    steps: list[TemplateStep] = []
    comments: tuple[str, ...] = ()
    for number, line in rest:
        if line.startswith("# "):
            comments = tuple(line.removeprefix("# ").split(" | "))
        elif comments:
            if not _CODE.fullmatch(line):
                raise DataError(f"templates, line {number}: below `#` stands `variable = ...`, and not {line!r}")
            steps.append(TemplateStep(comments, line))
            comments = ()
        elif steps:
            raise DataError(f"templates, line {number}: wordings stand above all steps, not below: {line!r}")
        else:
            wordings.append(line)
    if not wordings or not steps or comments:
        raise DataError(f"templates, line {first}: a problem has numbers, wordings and steps with code; one is missing")
    return Template(first, tuple(numbers), tuple(conditions), tuple(wordings), tuple(steps))


def _number(line: int, text: str) -> Number:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise DataError(f"templates, line {line}: {text!r} is neither `a 2..9`, `a 2..9 step 0.5` nor `a = b * c`")
    name, low, high, step, computed = match.groups()
    if computed:
        return Number(name, computed=computed)
    start, end, by = float(low), float(high), float(step or 1)
    values = tuple(start + i * by for i in range(int((end - start) / by) + 1))
    if not values:
        raise DataError(f"templates, line {line}: {text!r} holds no number")
    return Number(name, values)
