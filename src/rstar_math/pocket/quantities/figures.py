"""Quantities of things that are counted or drawn: teams, shares, triangles, polygons."""

from __future__ import annotations

from functools import cache
from itertools import combinations

from rstar_math.pocket.families import Family, Line, Operation, first

_LEGS = ((3, 4), (5, 12), (8, 15), (7, 24), (20, 21))


@cache
def _num_subsets(n: int, k: int) -> int:
    """Subsets of size k of n things, by whether the last thing is in."""
    if k == 0:
        return 1
    return 0 if n < k else sum(_num_subsets(last, k - 1) for last in range(n))


@cache
def _num_sums(total: int, parts: int) -> int:
    """Ordered sums of `parts` positive integers that give `total`, by the first of them."""
    if parts == 1:
        return int(total > 0)
    return sum(_num_sums(total - head, parts - 1) for head in range(1, total))


FIGURES: tuple[Family, ...] = (
    Family(
        name="choose",
        draw={"n": range(6, 21), "k": (2, 3)},
        phrasings=(
            "the number of teams of {k} that {n} players can form",
            "the number of ways to pick {k} out of {n} books",
        ),
        operations=(
            Operation(
                "choose/ordered",
                Line("pick in order", "from math import perm\n{t} = perm({n}, {k})"),
                (Line("pick with repeats", "{t} = {n} ** {k}"), Line("multiply by the size", "{t} = {n} * {k}")),
            ),
            Operation(
                "choose/unordered",
                Line("order does not count", "from math import factorial\n{v} = {t} // factorial({k})"),
                (Line("order counts", "{v} = {t}"), Line("divide by the size plus one", "{v} = {t} // ({k} + 1)")),
            ),
        ),
        reference=lambda n: _num_subsets(n["n"], n["k"]),
        argument="n",
        argument_values=range(5, 61),
    ),
    Family(
        name="hypotenuse",
        draw={"i": range(len(_LEGS)), "k": range(2, 9)},
        derive={"a": lambda n: n["k"] * _LEGS[n["i"]][0], "b": lambda n: n["k"] * _LEGS[n["i"]][1]},
        phrasings=(
            "the hypotenuse of a right triangle whose legs are {a} and {b}",
            "the diagonal of a {a} by {b} rectangle",
        ),
        operations=(
            Operation(
                "hypotenuse/squares",
                Line("sum of the squares", "{t} = {a} ** 2 + {b} ** 2"),
                (
                    Line("square of the sum", "{t} = ({a} + {b}) ** 2"),
                    Line("difference of the squares", "{t} = {b} ** 2 - {a} ** 2"),
                ),
            ),
            Operation(
                "hypotenuse/root",
                Line("square root", "from math import isqrt\n{v} = isqrt({t})"),
                (Line("half of it", "{v} = {t} // 2"), Line("keep the square", "{v} = {t}")),
            ),
        ),
        reference=lambda n: first(c for c in range(n["a"] + n["b"]) if c * c - n["a"] * n["a"] == n["b"] * n["b"]),
    ),
    Family(
        name="triangle",
        draw={"a": range(6, 41), "u": range(3, 21)},
        derive={"h": lambda n: 2 * n["u"]},
        phrasings=("the area of a triangle with base {a} and altitude {h}", "half the area of a {a} by {h} rectangle"),
        operations=(
            Operation(
                "triangle/product",
                Line("base times height", "{t} = {a} * {h}"),
                (Line("base plus height", "{t} = {a} + {h}"), Line("both sides twice", "{t} = 2 * ({a} + {h})")),
            ),
            Operation(
                "triangle/half",
                Line("take half of the area", "{v} = {t} // 2"),
                (Line("that is the area", "{v} = {t}"), Line("a third of it", "{v} = {t} // 3")),
            ),
        ),
        reference=lambda n: sum(n["a"] for _ in range(n["u"])),
        argument="a",
        argument_values=range(5, 401),
    ),
    Family(
        name="coin_sharing",
        draw={"n": range(8, 21), "k": (3, 4)},
        phrasings=(
            "the number of ways to share {n} equal coins among {k} people, at least one each",
            "the number of ordered sums of {k} positive integers that give {n}",
        ),
        operations=(
            Operation(
                "coin_sharing/gaps",
                Line("gaps between them", "{t} = {n} - 1"),
                (Line("as many gaps as things", "{t} = {n}"), Line("one gap more", "{t} = {n} + 1")),
            ),
            Operation(
                "coin_sharing/bars",
                Line("place the bars", "from math import comb\n{v} = comb({t}, {k} - 1)"),
                (
                    Line("place one bar each", "from math import comb\n{v} = comb({t}, {k})"),
                    Line("bars in order", "from math import perm\n{v} = perm({t}, {k} - 1)"),
                ),
            ),
        ),
        reference=lambda n: _num_sums(n["n"], n["k"]),
    ),
    Family(
        name="diagonals",
        draw={"n": range(7, 41)},
        phrasings=(
            "the number of diagonals of a polygon with {n} sides",
            "the number of pairs of corners without a common side in a polygon of {n} corners",
        ),
        operations=(
            Operation(
                "diagonals/ends",
                Line("ends of diagonals", "{t} = {n} * ({n} - 3)"),
                (Line("ends of all lines", "{t} = {n} * ({n} - 1)"), Line("all but one", "{t} = {n} * ({n} - 2)")),
            ),
            Operation(
                "diagonals/halve",
                Line("two ends each", "{v} = {t} // 2"),
                (Line("one end each", "{v} = {t}"), Line("three ends each", "{v} = {t} // 3")),
            ),
        ),
        reference=lambda n: sum(1 for i, j in combinations(range(n["n"]), 2) if j - i not in (1, n["n"] - 1)),
        argument="n",
        argument_values=range(6, 101),
    ),
)
