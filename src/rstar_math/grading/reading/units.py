"""Names of units: which words are units, and which of them mean the same."""

# ruff: noqa: SIM905  (word lists read better as text)
from __future__ import annotations

import re
from fractions import Fraction

from rstar_math.grading.reading.opposites import opposed

_SAME = {
    "m": "meter meters metre metres m",
    "cm": "centimeter centimeters centimetre centimetres cm cms",
    "mm": "millimeter millimeters millimetre millimetres mm",
    "km": "kilometer kilometers kilometre kilometres km kms",
    "inch": "inch inches in",
    "foot": "foot feet ft",
    "yard": "yard yards yd yds",
    "mile": "mile miles mi",
    "g": "gram grams gramme grammes g gm gms",
    "kg": "kilogram kilograms kg kgs kilo kilos",
    "mg": "milligram milligrams mg",
    "pound": "pound pounds",
    "lb": "lb lbs",
    "sterling": "gbp sterling quid",
    "ounce": "ounce ounces oz",
    "ton": "ton tons tonne tonnes",
    "s": "second seconds sec secs s",
    "min": "minute minutes min mins",
    "h": "hour hours hr hrs h",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs",
    "liter": "liter liters litre litres l",
    "ml": "milliliter milliliters millilitre millilitres ml",
    "gallon": "gallon gallons gal",
    "dollar": "dollar dollars usd bucks buck",
    "cent": "cent cents",
    "euro": "euro euros eur",
    "rupee": "rupee rupees rs",
    "yen": "yen jpy",
    "won": "won krw",
    "pence": "pence penny pennies",
    "yuan": "yuan renminbi rmb cny",
    "peso": "peso pesos",
    "franc": "franc francs chf",
    "ruble": "ruble rubles rouble roubles rub",
    "krona": "krona kronor krone kroner sek nok dkk",
    "lira": "lira liras lire",
    "dinar": "dinar dinars",
    "dirham": "dirham dirhams aed",
    "shekel": "shekel shekels",
    "forint": "forint forints",
    "zloty": "zloty zlotys",
    "celsius": "celsius centigrade",
    "fahrenheit": "fahrenheit",
    "kelvin": "kelvin kelvins k",
    "degree": "degree degrees deg",
    "radian": "radian radians rad",
    "n": "newton newtons n",
    "j": "joule joules j",
    "w": "watt watts w",
    "v": "volt volts v",
    "ohm": "ohm ohms",
    "pa": "pascal pascals pa",
    "hz": "hertz hz",
    "unit": "unit units",
    "point": "point points pt pts",
    "percent": "percent pct percentage",
}
_MONEY = frozenset(
    (
        "dollar cent euro rupee yen won pound sterling pence yuan peso franc ruble krona lira dinar dirham shekel "
        "forint zloty"
    ).split()
)
_COUNTED = frozenset(
    (
        "way person people man woman men women child children student boy girl kid apple orange book marble ball coin "
        "card ticket solution root point vertex edge face triangle square circle digit word letter number integer "
        "page egg cookie candy flower tree animal dog cat fish bird car toy pen pencil chair table box bag team game "
        "question problem choice arrangement permutation combination path outcome set subset pair triple member "
        "customer worker player friend family house room seat stamp block tile cube bead sticker"
    ).split()
)
"""Nouns of what is counted: an amount of these is no length, no angle, no money."""

_CANONICAL = {word: name for name, words in _SAME.items() for word in words.split()}
_SIZES = {
    "time": {"s": 1, "min": 60, "h": 3600, "day": 86400, "week": 604800},
    "metres": {"mm": 1, "cm": 10, "m": 1000, "km": 10**6},
    "feet": {"inch": 1, "foot": 12, "yard": 36, "mile": 63360},
    "grams": {"mg": 1, "g": 1000, "kg": 10**6},
    "pounds": {"ounce": 1, "pound": 16, "lb": 16},
    "money": {"cent": 1, "dollar": 100},
    "months": {"month": 1, "year": 12},
    "litres": {"ml": 1, "liter": 1000},
}
_SPEEDS = {"mph": "mile / h", "kph": "km / h", "kmph": "km / h", "kmh": "km / h"}
_SQUARE = frozenset({"square", "squared", "sq"})
_CUBIC = frozenset({"cubic", "cubed", "cu"})

_SAME_WORD = ({"pound", "lb"}, {"pound", "sterling"}, {"s", "second"})
"""Units that share a word: a pound is money or a weight."""

WORDS = frozenset(word for word in _CANONICAL if len(word) > 2 and word not in {"unit", "units", "point", "points"})
"""Names of units that are written out."""


def is_unit(word: str) -> bool:
    """Whether a bare word is a known unit of two letters or more (or a word of area and volume)."""
    word = word.lower().rstrip(".")
    return len(word) > 1 and (word in _CANONICAL or word in _SPEEDS or word in _SQUARE or word in _CUBIC)


def canonical(words: str) -> str:
    """One spelling for equal units: "cm^2", "sq cm", "square centimeters" give "cm^2"; unknown words stay, singular."""
    names: list[str] = []
    power = 1
    words = re.sub(r"(?i)\b(mph|kph|kmph|kmh)\b", lambda match: _SPEEDS[match.group().lower()], words)
    for word in re.findall(r"[a-z]+|\^\s*\{?\s*-?\s*\d+|/", words.lower().replace("\\circ", "degree")):
        if word in _SQUARE or word in _CUBIC:
            exponent = 2 if word in _SQUARE else 3
            if word in {"squared", "cubed"} and names:
                names[-1] += f"^{exponent}"
            else:
                power = exponent
        elif word.startswith("^"):
            exponent = int(re.sub(r"[^\d-]", "", word))
            if names and names[-1] != "/":
                names[-1] += f"^{exponent}"
        elif word in {"per", "/"}:
            names.append("/")
        elif word in {"of", "the", "a", "an"}:
            continue
        else:
            name = _CANONICAL.get(word) or (word[:-1] if re.search(r"..[^s]s$", word) else word)
            names.append(name + (f"^{power}" if power > 1 else ""))
            power = 1
    if len(names) == 2 and names[0] == "degree" and names[1] in {"celsius", "fahrenheit"}:
        names = names[1:]
    if power > 1:
        names.append(f"unit^{power}")
    if not any("^-" in name or name == "/" for name in names):
        return " ".join(names)
    return _as_quotient(names)


def _as_quotient(names: list[str]) -> str:
    """m s^-1 as m / s: what stands behind a bar, and negative powers, below one bar."""
    above: list[str] = []
    below: list[str] = []
    is_below = False
    for name in names:
        if name == "/":
            is_below = True
            continue
        unit, _, power = name.partition("^")
        exponent = int(power or 1) * (-1 if is_below else 1)
        if exponent:
            (above if exponent > 0 else below).append(unit if abs(exponent) == 1 else f"{unit}^{abs(exponent)}")
    return " ".join([*sorted(above), *(["/", *sorted(below)] if below else [])])


def size(unit: str) -> tuple[str, Fraction] | None:
    """(what a unit measures, its size in the smallest unit of that); None for units that are never added up."""
    for family, sizes in _SIZES.items():
        if unit in sizes:
            return family, Fraction(sizes[unit])
    return None


def is_known(unit: str) -> bool:
    """Whether all words of a canonical unit are known."""
    return all(re.sub(r"\^-?\d+", "", name) in _SAME or name == "/" for name in unit.split())


def is_measure(unit: str) -> bool:
    """Whether a canonical unit is a known one or a noun of what is counted."""
    return bool(unit) and (is_known(unit) or is_counted(unit))


def differ(left: str, right: str) -> bool:
    """Whether two canonical units say different things.

    Known units that are not the same do, a known unit and a noun of what is counted do, and opposite directions do.
    Other words that are no unit never differ.
    """
    if left == right or not left or not right or {left, right} in _SAME_WORD:
        return False
    if opposed(left, right):
        return True
    if ("/" in left) != ("/" in right) and all(unit.partition(" / ")[0] in _MONEY for unit in (left, right)):
        left, right = left.partition(" / ")[0], right.partition(" / ")[0]  # $12 per hour may be given as $12
        if left == right:
            return False
    generic = re.compile(r"unit(\^\d+)?|point|percent")
    if any(generic.fullmatch(unit) for unit in (left, right)):
        return False
    known = [is_known(unit) for unit in (left, right)]
    return all(known) or (any(known) and any(is_counted(unit) for unit in (left, right)))


def is_counted(unit: str) -> bool:
    """Whether a canonical unit is a noun of what is counted."""
    return unit in _COUNTED or unit.removesuffix("s") in _COUNTED or unit.split()[-1] in _COUNTED
