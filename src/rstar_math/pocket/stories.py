"""Story problems of two or three steps: the families of the tier "gsm".

References count one by one what the steps compute at once.
"""

from __future__ import annotations

import random

from rstar_math.pocket.families import Exercise, Family, Line, Operation

PEOPLE = ("Ada", "Bo", "Cleo", "Dan", "Ella", "Finn", "Gus", "Hana", "Ivy", "Jon")
THINGS = ("pencils", "stickers", "oranges", "cards", "beads", "buttons", "cookies", "tickets")


def draw_story(rng: random.Random) -> Exercise:
    """One exercise of the tier "gsm"."""
    family = rng.choice(STORIES)
    phrasing = rng.randrange(len(family.phrasings))
    numbers = family.numbers(rng)
    person, friend = rng.sample(PEOPLE, 2)
    thing, other = rng.sample(THINGS, 2)
    words = {"person": person, "friend": friend, "thing": thing, "other": other}
    return Exercise(
        question=family.phrasings[phrasing].format_map({**numbers, **words}),
        tier="gsm",
        moves=tuple(operation.filled(numbers, phrasing) for operation in family.operations),
        result="answer",
        reference=family.reference(numbers),
    )


STORIES: tuple[Family, ...] = (
    Family(
        name="shopping",
        draw={"a": range(3, 25), "b": range(3, 25), "p": range(2, 20), "q": range(2, 20)},
        phrasings=(
            "{person} orders {a} {thing} for {p} dollars each and {b} {other} for {q} dollars each. What is the bill?",
            "At the market {thing} cost {p} dollars apiece and {other} cost {q}. "
            "How many dollars do {a} {thing} and {b} {other} cost?",
            "{person} sold {a} {thing} at {p} dollars and {b} {other} at {q} dollars. How many dollars came in?",
        ),
        operations=(
            Operation(
                "shopping/first",
                Line("price of the first kind", "first = {a} * {p}"),
                (
                    Line("count plus price of the first kind", "first = {a} + {p}"),
                    Line("one of the first kind", "first = {p}"),
                ),
            ),
            Operation(
                "shopping/second",
                Line("price of the second kind", "second = {b} * {q}"),
                (
                    Line("count plus price of the second kind", "second = {b} + {q}"),
                    Line("one of the second kind", "second = {q}"),
                ),
            ),
            Operation(
                "shopping/total",
                Line("both prices together", "answer = first + second"),
                (
                    Line("difference of the prices", "answer = first - second"),
                    Line("the first price only", "answer = first"),
                ),
            ),
        ),
        reference=lambda n: sum([n["p"]] * n["a"] + [n["q"]] * n["b"]),
    ),
    Family(
        name="packing",
        draw={"a": range(4, 25), "b": range(4, 25), "c": range(3, 60)},
        phrasings=(
            "{person} fills {a} trays with {b} {thing} each, and {c} {thing} get broken. How many are whole?",
            "There are {a} packs of {b} {thing}. After {person} uses {c} of them, how many {thing} remain?",
            "{friend} borrows {c} {thing} from {person}, who had {a} jars with {b} in each. "
            "How many does {person} keep?",
        ),
        operations=(
            Operation(
                "packing/all",
                Line("everything in the packs", "total = {a} * {b}"),
                (Line("packs plus contents", "total = {a} + {b}"), Line("contents of one pack", "total = {b}")),
            ),
            Operation(
                "packing/left",
                Line("remove the missing ones", "answer = total - {c}"),
                (Line("add the missing ones", "answer = total + {c}"), Line("nothing is missing", "answer = total")),
            ),
        ),
        reference=lambda n: sum(1 for _ in range(n["a"]) for _ in range(n["b"])) - n["c"],
    ),
    Family(
        name="sharing",
        draw={"k": range(2, 10), "each": range(10, 30), "b": range(5, 60)},
        derive={"a": lambda n: n["k"] * n["each"] - n["b"]},
        valid=lambda n: n["a"] > 3,
        phrasings=(
            "{person} collects {a} {thing}, then {b} more, and deals them out evenly to {k} friends. "
            "What does each friend get?",
            "{k} teams split {a} green and {b} yellow {thing} evenly. How many go to one team?",
            "{person} and {friend} put their {a} and {b} {thing} together into {k} equal piles. How large is a pile?",
        ),
        operations=(
            Operation(
                "sharing/join",
                Line("put both together", "total = {a} + {b}"),
                (Line("difference of both", "total = {a} - {b}"), Line("take the first only", "total = {a}")),
            ),
            Operation(
                "sharing/split",
                Line("split evenly", "answer = total // {k}"),
                (
                    Line("remove one for each", "answer = total - {k}"),
                    Line("multiply by the groups", "answer = total * {k}"),
                ),
            ),
        ),
        reference=lambda n: next(e for e in range(n["a"] + n["b"] + 1) if e * n["k"] == n["a"] + n["b"]),
    ),
    Family(
        name="journey",
        draw={"v": range(12, 90), "g": range(2, 9), "w": range(12, 90), "h": range(2, 9)},
        phrasings=(
            "{person} drives at {v} km per hour for {g} hours and at {w} km per hour for {h} hours. "
            "How many km is that?",
            "For {g} hours {person} cycles {v} km an hour, then for {h} hours {w} km an hour. How long is the tour?",
            "A truck with {thing} rolls {g} hours at speed {v} and {h} hours at speed {w}. How far does it get?",
        ),
        operations=(
            Operation(
                "journey/first",
                Line("first leg", "first = {v} * {g}"),
                (Line("first leg by division", "first = {v} // {g}"), Line("first leg by adding", "first = {v} + {g}")),
            ),
            Operation(
                "journey/second",
                Line("second leg", "second = {w} * {h}"),
                (
                    Line("second leg by division", "second = {w} // {h}"),
                    Line("second leg by adding", "second = {w} + {h}"),
                ),
            ),
            Operation(
                "journey/total",
                Line("both legs together", "answer = first + second"),
                (
                    Line("difference of the legs", "answer = first - second"),
                    Line("the second leg only", "answer = second"),
                ),
            ),
        ),
        reference=lambda n: sum(n["v"] for _ in range(n["g"])) + sum(n["w"] for _ in range(n["h"])),
    ),
    Family(
        name="discount",
        draw={"d": (5, 10, 15, 20, 25, 30, 40, 45, 60), "u": range(2, 45)},
        derive={"p": lambda n: 20 * n["u"]},
        phrasings=(
            "A box of {thing} costs {p} dollars. With {d} percent off, what must {person} pay?",
            "{person} has a coupon for {d} percent off a bill of {p} dollars. How many dollars are due?",
            "The price of {thing} was {p} dollars and fell by {d} percent. What is it now?",
        ),
        operations=(
            Operation(
                "discount/part",
                Line("percent of the price", "part = {p} * {d} // 100"),
                (Line("the percent as dollars", "part = {d}"), Line("price divided by percent", "part = {p} // {d}")),
            ),
            Operation(
                "discount/off",
                Line("take it off", "answer = {p} - part"),
                (Line("put it on top", "answer = {p} + part"), Line("that is the price", "answer = part")),
            ),
        ),
        reference=lambda n: next(x for x in range(n["p"] + 1) if 100 * x == n["p"] * (100 - n["d"])),
    ),
    Family(
        name="ages",
        draw={"a": range(2, 30), "b": range(5, 40), "c": range(2, 25)},
        phrasings=(
            "{person} is {b} and {friend} is {a} years older. What age will {friend} reach {c} years from now?",
            "{friend} was born {a} years before {person}, who is {b}. How old is {friend} in {c} years?",
            "In {c} years, what is the age of {friend}, now {a} years above the age {b} of {person}?",
        ),
        operations=(
            Operation(
                "ages/now",
                Line("age now", "age = {b} + {a}"),
                (Line("younger by that much", "age = {b} - {a}"), Line("the same age", "age = {b}")),
            ),
            Operation(
                "ages/later",
                Line("years that pass", "answer = age + {c}"),
                (Line("years ago", "answer = age - {c}"), Line("multiply by the years", "answer = age * {c}")),
            ),
        ),
        reference=lambda n: len(range(n["a"])) + len(range(n["b"])) + len(range(n["c"])),
    ),
    Family(
        name="ratio",
        draw={"a": range(2, 9), "b": range(2, 9), "u": range(5, 20)},
        derive={"s": lambda n: n["u"] * n["a"] + n["u"] * n["b"]},
        valid=lambda n: n["a"] != n["b"],
        phrasings=(
            "{person} and {friend} divide {s} {thing} in the ratio {a} to {b}. How many does {friend} get?",
            "{person} mixes {a} parts of water with {b} parts of syrup to fill {s} cups. How many are syrup?",
            "Among {s} {thing} the ratio of old to new is {a} to {b}. How many are new?",
        ),
        operations=(
            Operation(
                "ratio/parts",
                Line("number of parts", "parts = {a} + {b}"),
                (Line("product of the parts", "parts = {a} * {b}"), Line("parts of the first", "parts = {a}")),
            ),
            Operation(
                "ratio/unit",
                Line("size of a part", "unit = {s} // parts"),
                (
                    Line("size by the second part", "unit = {s} // {b}"),
                    Line("everything but the parts", "unit = {s} - parts"),
                ),
            ),
            Operation(
                "ratio/share",
                Line("share of the second", "answer = unit * {b}"),
                (Line("share of the first", "answer = unit * {a}"), Line("add the second part", "answer = unit + {b}")),
            ),
        ),
        reference=lambda n: next(y for y in range(n["s"] + 1) if n["a"] * y == n["b"] * (n["s"] - y)),
    ),
    Family(
        name="border",
        draw={"a": range(3, 30), "b": range(3, 30), "c": range(2, 15)},
        phrasings=(
            "{person} fences a {a} by {b} meter yard at {c} dollars per meter. What does the fence cost?",
            "Ribbon around a {a} by {b} cm poster of {thing} costs {c} cents per cm. How many cents is that?",
            "{person} runs {c} laps around a court of length {a} and width {b}. How far is that?",
        ),
        operations=(
            Operation(
                "border/length",
                Line("length of the border", "border = 2 * ({a} + {b})"),
                (Line("area inside", "border = {a} * {b}"), Line("two of the sides", "border = {a} + {b}")),
            ),
            Operation(
                "border/rate",
                Line("times the rate", "answer = border * {c}"),
                (Line("plus the rate", "answer = border + {c}"), Line("divided by the rate", "answer = border // {c}")),
            ),
        ),
        reference=lambda n: sum(side for _ in range(n["c"]) for side in (n["a"], n["b"], n["a"], n["b"])),
    ),
    Family(
        name="weeks",
        draw={"a": range(2, 25), "b": range(2, 25), "w": range(2, 9)},
        phrasings=(
            "{person} bakes {a} {thing} by day and {b} by night. How many {thing} is that in {w} weeks?",
            "Every day {person} makes {a} dollars and {friend} makes {b}. What do both make in {w} weeks?",
            "A stall sells {a} {thing} and {b} {other} a day. How many things does it sell in {w} weeks?",
        ),
        operations=(
            Operation(
                "weeks/day",
                Line("one day", "day = {a} + {b}"),
                (Line("one day by product", "day = {a} * {b}"), Line("the first of the day", "day = {a}")),
            ),
            Operation(
                "weeks/days",
                Line("number of days", "days = 7 * {w}"),
                (Line("weeks as days", "days = {w}"), Line("working days", "days = 5 * {w}")),
            ),
            Operation(
                "weeks/total",
                Line("all days", "answer = day * days"),
                (
                    Line("a day and the days", "answer = day + days"),
                    Line("spread over the days", "answer = days // day"),
                ),
            ),
        ),
        reference=lambda n: sum(n["a"] + n["b"] for _ in range(n["w"]) for _ in range(7)),
    ),
    Family(
        name="times",
        draw={"k": range(2, 10), "small": range(5, 25)},
        derive={"c": lambda n: sum([n["small"]] * n["k"])},
        phrasings=(
            "{person} owns {c} {thing}, {k} times what {friend} owns. How many do they own together?",
            "Shelf one holds {c} {thing}, which is {k} times as much as shelf two. What do both hold?",
            "{person} scored {c} points, {k} times the points of {friend}. What is the sum of their points?",
        ),
        operations=(
            Operation(
                "times/smaller",
                Line("the smaller amount", "small = {c} // {k}"),
                (
                    Line("multiply for the other", "small = {c} * {k}"),
                    Line("subtract for the other", "small = {c} - {k}"),
                ),
            ),
            Operation(
                "times/total",
                Line("both amounts", "answer = small + {c}"),
                (Line("difference of the amounts", "answer = {c} - small"), Line("the smaller one", "answer = small")),
            ),
        ),
        reference=lambda n: next(s for s in range(n["c"]) if s * n["k"] == n["c"]) + n["c"],
    ),
    Family(
        name="savings",
        draw={"s": range(10, 90), "p": range(5, 30), "w": range(3, 15), "c": range(5, 60)},
        phrasings=(
            "{person} has {s} dollars, earns {p} a week for {w} weeks and spends {c}. What is left?",
            "A jar of {s} {thing} gets {p} more on each of {w} days, then {person} takes {c}. What is in it?",
            "{person} starts with {s} points, wins {p} in each of {w} rounds and loses {c}. What is the score?",
        ),
        operations=(
            Operation(
                "savings/gain",
                Line("all that is gained", "gain = {p} * {w}"),
                (Line("gain once", "gain = {p}"), Line("gain by adding", "gain = {p} + {w}")),
            ),
            Operation(
                "savings/sum",
                Line("add it to the start", "total = {s} + gain"),
                (Line("compare with the start", "total = gain - {s}"), Line("forget the start", "total = gain")),
            ),
            Operation(
                "savings/rest",
                Line("what goes away", "answer = total - {c}"),
                (Line("what comes on top", "answer = total + {c}"), Line("nothing goes away", "answer = total")),
            ),
        ),
        reference=lambda n: n["s"] + sum(n["p"] for _ in range(n["w"])) - n["c"],
    ),
    Family(
        name="tank",
        draw={"a": range(15, 60), "b": range(3, 14), "m": range(4, 30)},
        phrasings=(
            "A tank gains {a} liters a minute and loses {b}. {person} waits {m} minutes. How many liters is that?",
            "{person} prints {a} {thing} an hour, of which {b} are spoiled. How many good ones are made in {m} hours?",
            "Each month {person} earns {a} coins and spends {b}. How many coins is that after {m} months?",
        ),
        operations=(
            Operation(
                "tank/net",
                Line("net change", "net = {a} - {b}"),
                (Line("both changes", "net = {a} + {b}"), Line("gain only", "net = {a}")),
            ),
            Operation(
                "tank/total",
                Line("over the whole time", "answer = net * {m}"),
                (Line("add the time", "answer = net + {m}"), Line("divide by the time", "answer = net // {m}")),
            ),
        ),
        reference=lambda n: sum(n["a"] for _ in range(n["m"])) - sum(n["b"] for _ in range(n["m"])),
    ),
)
