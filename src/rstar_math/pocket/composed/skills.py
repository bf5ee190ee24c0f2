"""What the composed world is made of: skills, each one step from one or two values to the next.

A plain skill has one way to be done. A skill that is judged by running has several, and the text does not say which
one holds: that depends on a value that nobody has seen. Each way commits itself and asserts; a wrong one fails.

References never use the code of a way: they count, search and take digits apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rstar_math.pocket.families import Line


def _only(_x: int, _y: int) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Skill:
    """One step, from the values `{x}` and perhaps `{y}` to the quantity `{v}`.

    Attributes:
      name: unique among all skills.
      phrasings: templates of the text of the quantity.
      ways: how the step is done; one, or several of which only running tells the right one.
      reference: the quantity from x and y, by another computation than the ways'.
      numbers: what y may be as a number; empty where there is no y.
      joins: whether y may be another quantity of the problem.
      holds: index of the way that holds for x and y.
      most: largest x.
    """

    name: str
    phrasings: tuple[str, ...]
    ways: tuple[Line, ...]
    reference: Callable[[int, int], int]
    numbers: Sequence[int] = ()
    joins: bool = False
    holds: Callable[[int, int], int] = _only
    most: int = 999

    @property
    def is_judged_by_running(self) -> bool:
        """Whether several ways are open, and only running one tells whether it holds."""
        return len(self.ways) > 1


def _digits(x: int) -> list[int]:
    """The decimal digits of x, the last one first."""
    return [ord(digit) - ord("0") for digit in reversed(f"{x:d}")]


def _fits(x: int, y: int) -> int:
    """How often y is taken away from x before less than y is left."""
    if x < 0 or y < 1:
        raise ValueError(f"{y} is not taken away from {x}")
    count = 0
    while x >= y:
        x, count = x - y, count + 1
    return count


def _left_over(x: int, y: int) -> int:
    """What is left of x when y is taken away as often as it goes."""
    return x - sum(y for _ in range(_fits(x, y)))


def _times(x: int, y: int) -> int:
    return sum(x for _ in range(y))


def _backwards(x: int) -> int:
    return sum(digit * 10**place for place, digit in enumerate(reversed(_digits(x))))


def _common(x: int, y: int) -> int:
    return next(d for d in range(min(x, y), 0, -1) if _left_over(x, d) == 0 and _left_over(y, d) == 0)


def _root(x: int) -> int:
    """How many odd numbers, from 1 on, can be taken away from x."""
    odd = 1
    while x >= odd:
        x, odd = x - odd, odd + 2
    return odd // 2


def _next_multiple(x: int, y: int) -> int:
    return next(v for v in range(x + 1, x + y + 1) if _left_over(v, y) == 0)


def _last_multiple(x: int, y: int) -> int:
    return next(v for v in range(x - 1, -1, -1) if _left_over(v, y) == 0)


PLAIN = (
    Skill("plus", ("{x} plus {y}", "the sum of {x} and {y}"), (Line("add", "{v} = {x} + {y}"),),
          lambda x, y: sum((x, y)), range(11, 100), joins=True),
    Skill("minus", ("{x} minus {y}", "what remains of {x} without {y}"), (Line("subtract", "{v} = {x} - {y}"),),
          lambda x, y: len(range(y, x)), range(5, 60), joins=True),
    Skill("distance", ("the distance from {x} to {y}", "how far {x} is from {y}"),
          (Line("distance", "{v} = abs({x} - {y})"),),
          lambda x, y: len(range(min(x, y), max(x, y))), range(20, 200), joins=True),
    Skill("times", ("{x} times {y}", "the product of {x} and {y}"), (Line("multiply", "{v} = {x} * {y}"),),
          _times, range(3, 10)),
    Skill("remainder", ("the remainder of {x} divided by {y}", "what is left when {x} is divided by {y}"),
          (Line("remainder", "{v} = {x} % {y}"),), _left_over, range(11, 50), joins=True),
    Skill("quotient", ("{x} divided by {y} and rounded down", "how often {y} fits into {x}"),
          (Line("divide", "{v} = {x} // {y}"),),
          _fits, range(3, 10)),
    Skill("digit sum", ("the digit sum of {x}", "the sum of the digits of {x}"),
          (Line("sum of digits", "{v} = sum(map(int, str({x})))"),), lambda x, _: sum(_digits(x))),
    Skill("backwards", ("{x} written backwards", "the digits of {x} in reverse order"),
          (Line("reverse", "{v} = int(str({x})[::-1])"),), lambda x, _: _backwards(x)),
    Skill("square", ("the remainder of {x} squared divided by {y}", "the square of {x} modulo {y}"),
          (Line("square and remainder", "{v} = {x} ** 2 % {y}"),),
          lambda x, y: _left_over(_times(_left_over(x, y), _left_over(x, y)), y), range(37, 98)),
    Skill("common divisor",
          ("the greatest common divisor of {x} and {y}", "the largest number that divides {x} and {y}"),
          (Line("common divisor", "from math import gcd\n{v} = gcd({x}, {y})"),), _common,
          (24, 36, 48, 60, 72, 84, 90, 120), joins=True),
    Skill("larger", ("the larger of {x} and {y}", "{x} or {y}, whichever is larger"),
          (Line("larger", "{v} = max({x}, {y})"),), lambda x, y: sorted((x, y))[1], range(40, 200), joins=True),
    Skill("smaller", ("the smaller of {x} and {y}", "{x} or {y}, whichever is smaller"),
          (Line("smaller", "{v} = min({x}, {y})"),), lambda x, y: sorted((x, y))[0], range(15, 80), joins=True),
    Skill("root", ("the square root of {x} rounded down", "the largest number whose square is at most {x}"),
          (Line("root", "{v} = int({x} ** 0.5)"),), lambda x, _: _root(x)),
    Skill("append", ("{x} followed by the digit {y}", "{x} with a {y} put behind"),
          (Line("put behind", "{v} = {x} * 10 + {y}"),), lambda x, y: int(f"{x}{y}"), range(1, 10), most=99),
    Skill("twice", ("twice {x} plus {y}", "{y} more than twice {x}"), (Line("double and add", "{v} = 2 * {x} + {y}"),),
          lambda x, y: sum((x, x, y)), range(11, 60), joins=True),
    Skill("triangle", ("the sum of the numbers from 1 to {x}", "the triangular number of {x}"),
          (Line("sum up", "{v} = {x} * ({x} + 1) // 2"),), lambda x, _: sum(range(1, x + 1)), most=43),
    Skill("middle", ("the middle of {x} and {y} rounded down", "half the sum of {x} and {y} without the rest"),
          (Line("middle", "{v} = ({x} + {y}) // 2"),), lambda x, y: _fits(sum((x, y)), 2), range(20, 200), joins=True),
)  # fmt: skip
"""Skills with one way to do them."""

JUDGED = (
    Skill("parity",
          ("half of {x} if it is even and {x} plus {y} if not", "{x} plus {y} if it is odd and half of {x} if not"),
          (Line("even", "assert {x} % 2 == 0\n{v} = {x} // 2"), Line("odd", "assert {x} % 2 == 1\n{v} = {x} + {y}")),
          lambda x, y: _fits(x, 2) if _left_over(x, 2) == 0 else sum((x, y)),
          range(11, 60), holds=lambda x, _: _left_over(x, 2)),
    Skill("thirds",
          ("{x} plus {y} if 3 divides {x} and twice {x} if not", "twice {x} unless 3 divides it and then {x} plus {y}"),
          (Line("divisible", "assert {x} % 3 == 0\n{v} = {x} + {y}"),
           Line("not divisible", "assert {x} % 3 > 0\n{v} = 2 * {x}")),
          lambda x, y: sum((x, y)) if _left_over(x, 3) == 0 else sum((x, x)),
          range(11, 60), holds=lambda x, _: min(1, _left_over(x, 3))),
    Skill("next multiple", ("the smallest multiple of {y} above {x}", "the next number after {x} that {y} divides"),
          tuple(Line(f"try {t} more", f"{{v}} = {{x}} + {t}\nassert {{v}} % {{y}} == 0") for t in range(1, 6)),
          _next_multiple, range(3, 6), holds=lambda x, y: _next_multiple(x, y) - x - 1),
    Skill("last multiple", ("the largest multiple of {y} below {x}", "the last number before {x} that {y} divides"),
          tuple(Line(f"try {t} less", f"{{v}} = {{x}} - {t}\nassert {{v}} % {{y}} == 0") for t in range(1, 6)),
          _last_multiple, range(3, 6), holds=lambda x, y: x - _last_multiple(x, y) - 1),
    Skill("ones", ("{x} plus {y} if it ends in 5 or more and {x} minus 1 if not",
                   "{x} minus 1 if it ends in less than 5 and {x} plus {y} if not"),
          (Line("small digit", "assert {x} % 10 < 5\n{v} = {x} - 1"),
           Line("large digit", "assert {x} % 10 >= 5\n{v} = {x} + {y}")),
          lambda x, y: sum((x, y)) if _digits(x)[0] >= 5 else x - 1,
          range(11, 60), holds=lambda x, _: int(_digits(x)[0] >= 5)),
)  # fmt: skip
"""Skills of which only running tells which way holds: a case of a value, or a candidate that is tried."""

SKILLS = (*PLAIN, *JUDGED)
