"""Quantities of whole numbers and what divides them."""

from __future__ import annotations

import math

from rstar_math.pocket.families import Family, Line, Numbers, Operation, first


def _common_divisor(a: int, b: int) -> int:
    return first(d for d in range(min(a, b), 0, -1) if a % d == 0 and b % d == 0)


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


DIVISIBILITY: tuple[Family, ...] = (
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
                (Line("product times the factor", "{v} = {a} * {b} * {t}"), Line("product of both", "{v} = {a} * {b}")),
            ),
        ),
        reference=lambda n: first(x for x in range(n["a"], n["a"] * n["b"] + 1, n["a"]) if x % n["b"] == 0),
    ),
    Family(
        name="common_divisor",
        draw={"g": range(10, 41), "i": range(2, 13), "j": range(2, 13)},
        derive={"a": lambda n: n["g"] * n["i"], "b": lambda n: n["g"] * n["j"]},
        valid=lambda n: n["a"] != n["b"],
        phrasings=("the highest common factor of {a} and {b}", "the biggest number that divides both {a} and {b}"),
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
        name="remainder",
        draw={"a": range(150, 1000), "m": range(23, 61)},
        phrasings=("the remainder of {a} divided by {m}", "the rest when {a} coins are put in bags of {m}"),
        operations=(
            Operation(
                "remainder/mod",
                Line("take the rest", "{v} = {a} % {m}"),
                (Line("take the quotient", "{v} = {a} // {m}"), Line("remove it once", "{v} = {a} - {m}")),
            ),
        ),
        reference=lambda n: first(r for r in range(n["m"]) if (n["a"] - r) in range(0, n["a"] + 1, n["m"])),
        argument="a",
        argument_values=range(60, 1_000_000),
    ),
    Family(
        name="power_mod",
        draw={"a": range(3, 21), "n": range(6, 41), "m": range(23, 61)},
        phrasings=("the remainder of {a}^{n} divided by {m}", "{a}^{n} modulo {m}"),
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
        name="factorial_zeros",
        draw={"n": range(126, 601)},
        phrasings=("the number of zeros that end {n}!", "the largest e for which 5^e divides {n}!"),
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
        phrasings=("the number of divisors of {p}^{i} * {q}^{j}", "the count of numbers that divide {p}^{i} * {q}^{j}"),
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
                (Line("remove those up to the start", "{v} = {t} - {m} // {k}"), Line("remove none", "{v} = {t}")),
            ),
        ),
        reference=lambda n: sum(1 for x in range(n["m"], n["n"] + 1) if x % n["k"] == 0),
    ),
)
