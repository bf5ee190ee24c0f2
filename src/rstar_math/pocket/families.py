"""What a family of pocket problems is made of, and an exercise: one problem with all the ways to do each of its steps.

The families themselves are tables: `stories.py` (tier "gsm"), `quantities/` (tiers "math" and "olympiad").

Templates are filled with the numbers of a problem. In code, `{v}` is the variable that an operation of a quantity
assigns last, and `{t}` its temporary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TIERS = ("gsm", "math", "olympiad")

Numbers = dict[str, int]
"""The numbers of one problem by the names that its templates use."""

Reference = Callable[[Numbers], int]
"""Computes the answer from the numbers, by another way than the operations do: enumeration, search, counting."""


@dataclass(frozen=True, slots=True)
class Line:
    """One way to do a step: a short comment and the code that goes with it."""

    comment: str
    code: str

    def filled(self, values: Mapping[str, object]) -> Line:
        """The line with the numbers and variables of one problem in place."""
        return Line(self.comment.format_map(values), self.code.format_map(values))


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a solution: the right way, and wrong ones, the first of which is the systematic mistake."""

    skill: str
    right: Line
    wrong: tuple[Line, ...]

    def filled(self, values: Mapping[str, object], phrasing: int) -> Move:
        """The operation for one problem whose text uses the given phrasing."""
        wrong = tuple(line.filled(values) for line in self.wrong)
        return Move(self.skill, phrasing, self.right.filled(values), wrong)


@dataclass(frozen=True, slots=True)
class Move:
    """An operation with numbers. Its skill, phrasing and tier are the cell that decides how well the base does it."""

    skill: str
    phrasing: int
    right: Line
    wrong: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Exercise:
    """One problem of the pocket world, with everything that demonstrations of it need.

    Attributes:
      question: the text of the problem.
      tier: one of `TIERS`.
      moves: the steps of its solution in order; the last assigns `result`.
      result: the variable that holds the answer.
      reference: the answer, computed without the moves.
    """

    question: str
    tier: str
    moves: tuple[Move, ...]
    result: str
    reference: int


def always(_: Numbers) -> bool:
    """The condition of a family that takes any numbers."""
    return True


@dataclass(frozen=True, slots=True)
class Family:
    """Problems, or quantities within problems, that differ in their numbers and in nothing else but the phrasing.

    Attributes:
      name: unique among all families.
      draw: the values that each drawn number may take.
      derive: numbers computed from the drawn ones, in order.
      phrasings: templates of the text.
      operations: the steps of the solution.
      reference: the answer by another computation.
      valid: numbers for which it does not hold are drawn again.
      argument: the number that may be an earlier quantity of the problem ("A"); "" where none may.
      argument_values: the values of an earlier quantity that may stand there.
    """

    name: str
    draw: Mapping[str, Sequence[int]]
    phrasings: tuple[str, ...]
    operations: tuple[Operation, ...]
    reference: Reference
    derive: Mapping[str, Callable[[Numbers], int]] = field(default_factory=dict)
    valid: Callable[[Numbers], bool] = always
    argument: str = ""
    argument_values: range = range(0)

    def numbers(self, rng: random.Random, argument_value: int | None = None) -> Numbers:
        """Draws the numbers of a problem, with the argument fixed where a value is given."""
        while True:
            numbers: Numbers = {name: rng.choice(values) for name, values in self.draw.items()}
            for name, compute in self.derive.items():
                numbers[name] = compute(numbers)
            if argument_value is not None:
                numbers[self.argument] = argument_value
            if self.valid(numbers):
                return numbers


def first(candidates: Iterable[int]) -> int:
    """The first of the candidates: references search by it."""
    return next(iter(candidates))
