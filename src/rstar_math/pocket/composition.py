"""Problems made from quantities: one, perhaps changed once more ("math"), or two to three combined ("olympiad")."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from rstar_math.pocket.families import Exercise, Line, Move, Numbers, Operation
from rstar_math.pocket.quantities import QUANTITIES

SHARE_WITH_CHANGE = 0.5
"""Share of "math" problems that change the quantity once more."""

SHARE_OF_THREE = 0.5
"""Share of "olympiad" problems with three quantities."""

SHARE_CHAINED = 0.6
"""Share of later quantities that are built on the one before, where its value allows it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a problem ends: what is asked about its quantities, and the step that answers it.

    Attributes:
      text: template of the whole problem (`{q}`: the quantity) or of what is to be found; `{m}` is a drawn number.
      operation: the step; its code uses the quantities' variables a, b, c.
      reference: the answer from the values of the quantities and m.
      moduli: the values that m may take.
    """

    text: str
    operation: Operation
    reference: Callable[[Numbers], int]
    moduli: range = range(12, 60)


OPENINGS = ("Find {q}.", "What is {q}?", "Work out {q}.")

CHANGES = (
    Ending(
        "Find {q}, then add {m}.",
        Operation(
            "change/add",
            Line("add the number", "answer = a + {m}"),
            (Line("take the number away", "answer = a - {m}"), Line("leave it", "answer = a")),
        ),
        lambda n: sum((n["a"], n["m"])),
    ),
    Ending(
        "Multiply {q} by {m}.",
        Operation(
            "change/multiply",
            Line("multiply by the number", "answer = a * {m}"),
            (Line("divide by the number", "answer = a // {m}"), Line("add the number", "answer = a + {m}")),
        ),
        lambda n: sum(n["a"] for _ in range(n["m"])),
    ),
    Ending(
        "Take {m} away from three times {q}.",
        Operation(
            "change/triple",
            Line("three times less the number", "answer = 3 * a - {m}"),
            (Line("once less the number", "answer = a - {m}"), Line("three times the rest", "answer = 3 * (a - {m})")),
        ),
        lambda n: n["a"] + n["a"] + n["a"] - n["m"],
    ),
)

PAIR_ENDINGS = (
    Ending(
        "A + B",
        Operation(
            "pair_end/sum",
            Line("add both values", "answer = a + b"),
            (Line("subtract the second", "answer = a - b"), Line("multiply both", "answer = a * b")),
        ),
        lambda n: sum((n["a"], n["b"])),
    ),
    Ending(
        "the remainder of A * B divided by {m}",
        Operation(
            "pair_end/product",
            Line("product and rest", "answer = a * b % {m}"),
            (Line("product without rest", "answer = a * b"), Line("sum and rest", "answer = (a + b) % {m}")),
        ),
        lambda n: (n["a"] % n["m"]) * (n["b"] % n["m"]) % n["m"],
        range(37, 98),
    ),
    Ending(
        "3A - B",
        Operation(
            "pair_end/weighted",
            Line("triple the first less the second", "answer = 3 * a - b"),
            (Line("first less the second", "answer = a - b"), Line("triple the difference", "answer = 3 * (a - b)")),
        ),
        lambda n: n["a"] - n["b"] + n["a"] + n["a"],
    ),
)

TRIPLE_ENDINGS = (
    Ending(
        "A + B + C",
        Operation(
            "triple_end/sum",
            Line("add all values", "answer = a + b + c"),
            (Line("add two, less the third", "answer = a + b - c"), Line("add the last two", "answer = b + c")),
        ),
        lambda n: sum((n["a"], n["b"], n["c"])),
    ),
    Ending(
        "the remainder of A * B + C divided by {m}",
        Operation(
            "triple_end/product",
            Line("product, sum and rest", "answer = (a * b + c) % {m}"),
            (
                Line("product and sum without rest", "answer = a * b + c"),
                Line("sums and rest", "answer = (a + b + c) % {m}"),
            ),
        ),
        lambda n: ((n["a"] % n["m"]) * (n["b"] % n["m"]) + n["c"] % n["m"]) % n["m"],
        range(37, 98),
    ),
    Ending(
        "2A + B - C",
        Operation(
            "triple_end/weighted",
            Line("double the first, add, subtract", "answer = 2 * a + b - c"),
            (Line("add, subtract", "answer = a + b - c"), Line("double all", "answer = 2 * (a + b - c)")),
        ),
        lambda n: n["b"] + n["a"] - n["c"] + n["a"],
    ),
)

_TEMPORARIES = {"a": "p", "b": "q", "c": "r", "answer": "p"}


def draw_math(rng: random.Random) -> Exercise:
    """One exercise of the tier "math"."""
    if rng.random() >= SHARE_WITH_CHANGE:
        quantity = _draw_quantity(rng, "answer", None)
        question = rng.choice(OPENINGS).format(q=quantity.text)
        return Exercise(question, "math", quantity.moves, "answer", quantity.value)
    quantity = _draw_quantity(rng, "a", None)
    phrasing = rng.randrange(len(CHANGES))
    ending = CHANGES[phrasing]
    m = rng.choice(ending.moduli)
    return Exercise(
        question=ending.text.format(q=quantity.text, m=m),
        tier="math",
        moves=(*quantity.moves, ending.operation.filled({"m": m}, 0)),
        result="answer",
        reference=ending.reference({"a": quantity.value, "m": m}),
    )


def draw_olympiad(rng: random.Random) -> Exercise:
    """One exercise of the tier "olympiad"."""
    three = rng.random() < SHARE_OF_THREE
    values: Numbers = {}
    moves: list[Move] = []
    sentences: list[str] = []
    earlier: _Quantity | None = None
    for variable in ("a", "b", "c") if three else ("a", "b"):
        earlier = _draw_quantity(rng, variable, earlier)
        values[variable] = earlier.value
        moves.extend(earlier.moves)
        sentences.append(f"Let {variable.upper()} be {earlier.text}.")
    ending = rng.choice(TRIPLE_ENDINGS if three else PAIR_ENDINGS)
    values["m"] = rng.choice(ending.moduli)
    sentences.append(f"Find {ending.text.format(m=values['m'])}.")
    moves.append(ending.operation.filled({"m": values["m"]}, 0))
    return Exercise(" ".join(sentences), "olympiad", tuple(moves), "answer", ending.reference(values))


@dataclass(frozen=True, slots=True)
class _Quantity:
    variable: str
    text: str
    moves: tuple[Move, ...]
    value: int


def _draw_quantity(rng: random.Random, variable: str, earlier: _Quantity | None) -> _Quantity:
    """A quantity that its moves assign to `variable`, now and then built on the one before."""
    family, argument = rng.choice(QUANTITIES), None
    if earlier is not None and rng.random() < SHARE_CHAINED:
        fitting = [f for f in QUANTITIES if f.argument and earlier.value in f.argument_values]
        if fitting:
            family, argument = rng.choice(fitting), earlier
    phrasing = rng.randrange(len(family.phrasings))
    numbers = family.numbers(rng, argument.value if argument else None)
    in_text: dict[str, object] = {**numbers}
    in_code: dict[str, object] = {**numbers, "v": variable, "t": _TEMPORARIES[variable]}
    if argument is not None:
        in_text[family.argument] = argument.variable.upper()
        in_code[family.argument] = argument.variable
    return _Quantity(
        variable=variable,
        text=family.phrasings[phrasing].format_map(in_text),
        moves=tuple(operation.filled(in_code, phrasing) for operation in family.operations),
        value=family.reference(numbers),
    )
