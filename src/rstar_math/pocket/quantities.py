"""Quantities of elementary mathematics: the families of the tiers "math" (one quantity) and "olympiad" (several).

A phrasing is a noun phrase, so that "Find ..." and "Let A be ..." both take it. References enumerate, search or repeat
what the operations do by formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from itertools import combinations

from rstar_math.pocket.families import Family, Line, Numbers, Operation

_LEGS = ((3, 4), (5, 12), (8, 15), (7, 24), (20, 21))


def _first(candidates: Iterable[int]) -> int:
    return next(iter(candidates))


def _common_divisor(a: int, b: int) -> int:
    return _first(d for d in range(min(a, b), 0, -1) if a % d == 0 and b % d == 0)


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


def _num_divisors(n: int) -> int:
    pairs = sum(2 for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    return pairs - (math.isqrt(n) ** 2 == n)


def _times_divisible(n: int, p: int) -> int:
    """How often the prime p divides n!, factor by factor."""
    count = 0
    for factor in range(p, n + 1, p):
        while factor % p == 0:
            factor //= p
            count += 1
    return count


def _power_by_steps(n: Numbers) -> int:
    value = 1
    for _ in range(n["n"]):
        value = value * n["a"] % n["m"]
    return value


def _larger_of_two(n: Numbers) -> int:
    return _first(x for x in range(n["s"] + 1) if x - (n["s"] - x) == n["d"])


def _root_squares(n: Numbers) -> int:
    return _first(u * u + (n["s"] - u) ** 2 for u in range(n["s"] + 1) if u * (n["s"] - u) == n["m"])


QUANTITIES: tuple[Family, ...] = (
    Family(
        name="linear",
        draw={"a": range(3, 13), "x": range(10, 41), "b": range(5, 61)},
        derive={"c": lambda n: n["a"] * n["x"] + n["b"]},
        phrasings=(
            "the solution of {a}x + {b} = {c}",
            "the number whose {a} fold plus {b} makes {c}",
        ),
        operations=(
            Operation(
                "linear/shift",
                Line("subtract the constant", "{t} = {c} - {b}"),
                (Line("add the constant", "{t} = {c} + {b}"), Line("ignore the constant", "{t} = {c}")),
            ),
            Operation(
                "linear/divide",
                Line("divide by the coefficient", "{v} = {t} // {a}"),
                (
                    Line("subtract the coefficient", "{v} = {t} - {a}"),
                    Line("multiply by the coefficient", "{v} = {t} * {a}"),
                ),
            ),
        ),
        reference=lambda n: _first(x for x in range(n["c"]) if n["a"] * x + n["b"] == n["c"]),
    ),
    Family(
        name="pair",
        draw={"y": range(5, 41), "d": range(4, 31)},
        derive={"s": lambda n: 2 * n["y"] + n["d"]},
        phrasings=(
            "the larger of two numbers that add up to {s} and differ by {d}",
            "x, given x + y = {s} and x - y = {d}",
        ),
        operations=(
            Operation(
                "pair/add",
                Line("add the equations", "{t} = {s} + {d}"),
                (Line("subtract the equations", "{t} = {s} - {d}"), Line("use the sum", "{t} = {s}")),
            ),
            Operation(
                "pair/halve",
                Line("halve it", "{v} = {t} // 2"),
                (Line("keep it", "{v} = {t}"), Line("double it", "{v} = {t} * 2")),
            ),
        ),
        reference=_larger_of_two,
    ),
    Family(
        name="arithmetic",
        draw={"a": range(2, 21), "d": range(3, 13), "n": range(8, 41)},
        phrasings=(
            "term {n} of the arithmetic sequence with first term {a} and difference {d}",
            "number {n} in the list that begins with {a} and goes up in steps of {d}",
        ),
        operations=(
            Operation(
                "arithmetic/steps",
                Line("one step less than terms", "{t} = {n} - 1"),
                (Line("as many steps as terms", "{t} = {n}"), Line("one step more than terms", "{t} = {n} + 1")),
            ),
            Operation(
                "arithmetic/climb",
                Line("climb from the first term", "{v} = {a} + {t} * {d}"),
                (Line("climb from zero", "{v} = {t} * {d}"), Line("swap start and step", "{v} = {d} + {t} * {a}")),
            ),
        ),
        reference=lambda n: list(range(n["a"], n["a"] + n["n"] * n["d"], n["d"]))[-1],
        argument="n",
        argument_values=range(5, 301),
    ),
    Family(
        name="multiples_sum",
        draw={"n": range(6, 41), "k": range(3, 10)},
        phrasings=(
            "the sum of the {n} smallest positive multiples of {k}",
            "the sum of {k} times j over j from 1 to {n}",
        ),
        operations=(
            Operation(
                "multiples_sum/triangular",
                Line("sum up to n", "{t} = {n} * ({n} + 1) // 2"),
                (
                    Line("half of the square", "{t} = {n} * {n} // 2"),
                    Line("sum below n", "{t} = {n} * ({n} - 1) // 2"),
                ),
            ),
            Operation(
                "multiples_sum/scale",
                Line("scale the sum", "{v} = {k} * {t}"),
                (Line("shift the sum", "{v} = {k} + {t}"), Line("keep the sum", "{v} = {t}")),
            ),
        ),
        reference=lambda n: sum(range(n["k"], n["k"] * n["n"] + 1, n["k"])),
        argument="n",
        argument_values=range(5, 101),
    ),
    Family(
        name="common_multiple",
        draw={"g": range(2, 10), "i": range(2, 12), "j": range(2, 12)},
        derive={"a": lambda n: n["g"] * n["i"], "b": lambda n: n["g"] * n["j"]},
        valid=lambda n: n["i"] != n["j"],
        phrasings=(
            "the lowest common multiple of {a} and {b}",
            "the first positive number that both {a} and {b} divide",
        ),
        operations=(
            Operation(
                "common_multiple/gcd",
                Line("their common factor", "from math import gcd\n{t} = gcd({a}, {b})"),
                (Line("no common factor", "{t} = 1"), Line("the smaller one", "{t} = min({a}, {b})")),
            ),
            Operation(
                "common_multiple/reduce",
                Line("product over the factor", "{v} = {a} * {b} // {t}"),
                (
                    Line("product times the factor", "{v} = {a} * {b} * {t}"),
                    Line("product of both", "{v} = {a} * {b}"),
                ),
            ),
        ),
        reference=lambda n: _first(x for x in range(n["a"], n["a"] * n["b"] + 1, n["a"]) if x % n["b"] == 0),
    ),
    Family(
        name="common_divisor",
        draw={"g": range(10, 41), "i": range(2, 13), "j": range(2, 13)},
        derive={"a": lambda n: n["g"] * n["i"], "b": lambda n: n["g"] * n["j"]},
        valid=lambda n: n["a"] != n["b"],
        phrasings=(
            "the highest common factor of {a} and {b}",
            "the biggest number that divides both {a} and {b}",
        ),
        operations=(
            Operation(
                "common_divisor/gcd",
                Line("common factor", "from math import gcd\n{v} = gcd({a}, {b})"),
                (Line("the smaller number", "{v} = min({a}, {b})"), Line("their distance", "{v} = abs({a} - {b})")),
            ),
        ),
        reference=lambda n: _common_divisor(n["a"], n["b"]),
        argument="a",
        argument_values=range(20, 100_000),
    ),
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
        name="remainder",
        draw={"a": range(150, 1000), "m": range(23, 61)},
        phrasings=(
            "the remainder of {a} divided by {m}",
            "the rest when {a} coins are put in bags of {m}",
        ),
        operations=(
            Operation(
                "remainder/mod",
                Line("take the rest", "{v} = {a} % {m}"),
                (Line("take the quotient", "{v} = {a} // {m}"), Line("remove it once", "{v} = {a} - {m}")),
            ),
        ),
        reference=lambda n: _first(r for r in range(n["m"]) if (n["a"] - r) in range(0, n["a"] + 1, n["m"])),
        argument="a",
        argument_values=range(60, 1_000_000),
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
        reference=lambda n: _first(c for c in range(n["a"] + n["b"]) if c * c - n["a"] * n["a"] == n["b"] * n["b"]),
    ),
    Family(
        name="triangle",
        draw={"a": range(6, 41), "u": range(3, 21)},
        derive={"h": lambda n: 2 * n["u"]},
        phrasings=(
            "the area of a triangle with base {a} and altitude {h}",
            "half the area of a {a} by {h} rectangle",
        ),
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
        name="root_squares",
        draw={"u": range(2, 16), "w": range(2, 16)},
        derive={"s": lambda n: n["u"] + n["w"], "m": lambda n: n["u"] * n["w"]},
        phrasings=(
            "the sum of squares of both roots of x^2 - {s}x + {m}",
            "x^2 + y^2, given x + y = {s} and xy = {m}",
        ),
        operations=(
            Operation(
                "root_squares/square",
                Line("square the sum", "{t} = {s} ** 2"),
                (Line("double the sum", "{t} = {s} * 2"), Line("keep the sum", "{t} = {s}")),
            ),
            Operation(
                "root_squares/mixed",
                Line("subtract twice the product", "{v} = {t} - 2 * {m}"),
                (Line("subtract the product", "{v} = {t} - {m}"), Line("nothing to subtract", "{v} = {t}")),
            ),
        ),
        reference=_root_squares,
    ),
    Family(
        name="power_mod",
        draw={"a": range(3, 21), "n": range(6, 41), "m": range(23, 61)},
        phrasings=(
            "the remainder of {a}^{n} divided by {m}",
            "{a}^{n} modulo {m}",
        ),
        operations=(
            Operation(
                "power_mod/power",
                Line("power with modulus", "{v} = pow({a}, {n}, {m})"),
                (Line("base times exponent", "{v} = {a} * {n} % {m}"), Line("exponent only", "{v} = {n} % {m}")),
            ),
        ),
        reference=_power_by_steps,
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
        name="factorial_zeros",
        draw={"n": range(126, 601)},
        phrasings=(
            "the number of zeros that end {n}!",
            "the largest e for which 5^e divides {n}!",
        ),
        operations=(
            Operation(
                "factorial_zeros/fives",
                Line("multiples of 5 and of 25", "{t} = {n} // 5 + {n} // 25"),
                (Line("multiples of 5", "{t} = {n} // 5"), Line("multiples of 10", "{t} = {n} // 10")),
            ),
            Operation(
                "factorial_zeros/higher",
                Line("add multiples of 125", "{v} = {t} + {n} // 125"),
                (Line("that is all", "{v} = {t}"), Line("remove multiples of 125", "{v} = {t} - {n} // 125")),
            ),
        ),
        reference=lambda n: _times_divisible(n["n"], 5),
        argument="n",
        argument_values=range(126, 625),
    ),
    Family(
        name="either_divides",
        draw={"n": range(60, 901), "a": range(2, 11), "b": range(2, 11)},
        valid=lambda n: n["a"] != n["b"],
        phrasings=(
            "the number of integers from 1 to {n} that are multiples of {a} or {b}",
            "the count of positive integers up to {n} which {a} or {b} divides",
        ),
        operations=(
            Operation(
                "either_divides/both",
                Line("count both kinds", "{t} = {n} // {a} + {n} // {b}"),
                (
                    Line("count by the sum", "{t} = {n} // ({a} + {b})"),
                    Line("count by the product", "{t} = {n} // ({a} * {b})"),
                ),
            ),
            Operation(
                "either_divides/overlap",
                Line("remove the overlap", "from math import lcm\n{v} = {t} - {n} // lcm({a}, {b})"),
                (
                    Line("no overlap", "{v} = {t}"),
                    Line("add the overlap", "from math import lcm\n{v} = {t} + {n} // lcm({a}, {b})"),
                ),
            ),
        ),
        reference=lambda n: sum(1 for x in range(1, n["n"] + 1) if x % n["a"] == 0 or x % n["b"] == 0),
        argument="n",
        argument_values=range(40, 2001),
    ),
    Family(
        name="divisors",
        draw={"p": (2, 3, 5), "q": (2, 3, 5, 7), "i": range(2, 8), "j": range(2, 6)},
        valid=lambda n: n["p"] != n["q"],
        phrasings=(
            "the number of divisors of {p}^{i} * {q}^{j}",
            "the count of numbers that divide {p}^{i} * {q}^{j}",
        ),
        operations=(
            Operation(
                "divisors/first",
                Line("choices of the first exponent", "{t} = {i} + 1"),
                (Line("use the first exponent", "{t} = {i}"), Line("first prime and exponent", "{t} = {p} + {i}")),
            ),
            Operation(
                "divisors/second",
                Line("times choices of the second", "{v} = {t} * ({j} + 1)"),
                (
                    Line("times the second exponent", "{v} = {t} * {j}"),
                    Line("plus choices of the second", "{v} = {t} + {j} + 1"),
                ),
            ),
        ),
        reference=lambda n: _num_divisors(n["p"] ** n["i"] * n["q"] ** n["j"]),
    ),
    Family(
        name="mean_total",
        draw={"k": range(4, 13), "m": range(12, 61), "l": range(10, 61)},
        phrasings=(
            "the sum of {k} numbers with mean {m} and one extra number {l}",
            "the total score of {k} games with mean {m} and a last game of {l}",
        ),
        operations=(
            Operation(
                "mean_total/total",
                Line("total from the mean", "{t} = {k} * {m}"),
                (Line("the mean is the total", "{t} = {m}"), Line("mean plus count", "{t} = {k} + {m}")),
            ),
            Operation(
                "mean_total/extra",
                Line("add the extra one", "{v} = {t} + {l}"),
                (Line("remove the extra one", "{v} = {t} - {l}"), Line("skip the extra one", "{v} = {t}")),
            ),
        ),
        reference=lambda n: sum([n["m"]] * n["k"] + [n["l"]]),
    ),
    Family(
        name="square_plus",
        draw={"n": range(4, 41), "k": range(3, 60)},
        phrasings=(
            "{n} squared plus {k}",
            "the square of {n}, increased by {k}",
        ),
        operations=(
            Operation(
                "square_plus/square",
                Line("square it", "{t} = {n} ** 2"),
                (Line("times two", "{t} = {n} * 2"), Line("keep the base", "{t} = {n}")),
            ),
            Operation(
                "square_plus/plus",
                Line("increase it", "{v} = {t} + {k}"),
                (Line("decrease it", "{v} = {t} - {k}"), Line("no increase", "{v} = {t}")),
            ),
        ),
        reference=lambda n: sum(n["n"] for _ in range(n["n"])) + n["k"],
        argument="n",
        argument_values=range(4, 301),
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
    Family(
        name="multiples_between",
        draw={"k": range(3, 13), "i": range(4, 21), "n": range(200, 900)},
        derive={"m": lambda n: n["k"] * n["i"]},
        phrasings=(
            "the number of multiples of {k} from {m} to {n}",
            "the count of integers between {m} and {n}, ends included, that {k} divides",
        ),
        operations=(
            Operation(
                "multiples_between/upper",
                Line("multiples up to the end", "{t} = {n} // {k}"),
                (Line("length of the range", "{t} = {n} - {m}"), Line("product with the end", "{t} = {n} * {k}")),
            ),
            Operation(
                "multiples_between/lower",
                Line("remove those before the start", "{v} = {t} - ({m} - 1) // {k}"),
                (
                    Line("remove those up to the start", "{v} = {t} - {m} // {k}"),
                    Line("remove none", "{v} = {t}"),
                ),
            ),
        ),
        reference=lambda n: sum(1 for x in range(n["m"], n["n"] + 1) if x % n["k"] == 0),
    ),
)
