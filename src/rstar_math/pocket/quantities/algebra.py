"""Quantities of equations, sequences and means."""

from __future__ import annotations

from rstar_math.pocket.families import Family, Line, Numbers, Operation, first


def _larger_of_two(n: Numbers) -> int:
    return first(x for x in range(n["s"] + 1) if x - (n["s"] - x) == n["d"])


def _root_squares(n: Numbers) -> int:
    return first(u * u + (n["s"] - u) ** 2 for u in range(n["s"] + 1) if u * (n["s"] - u) == n["m"])


ALGEBRA: tuple[Family, ...] = (
    Family(
        name="linear",
        draw={"a": range(3, 13), "x": range(10, 41), "b": range(5, 61)},
        derive={"c": lambda n: n["a"] * n["x"] + n["b"]},
        phrasings=("the solution of {a}x + {b} = {c}", "the number whose {a} fold plus {b} makes {c}"),
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
        reference=lambda n: first(x for x in range(n["c"]) if n["a"] * x + n["b"] == n["c"]),
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
                (Line("half of the square", "{t} = {n} * {n} // 2"), Line("sum below n", "{t} = {n} * ({n} - 1) // 2")),
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
        name="root_squares",
        draw={"u": range(2, 16), "w": range(2, 16)},
        derive={"s": lambda n: n["u"] + n["w"], "m": lambda n: n["u"] * n["w"]},
        phrasings=("the sum of squares of both roots of x^2 - {s}x + {m}", "x^2 + y^2, given x + y = {s} and xy = {m}"),
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
        phrasings=("{n} squared plus {k}", "the square of {n}, increased by {k}"),
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
)
