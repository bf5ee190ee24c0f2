"""Amounts with words behind them: scales (million, dozen), temperatures, units without a text command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading import units
from rstar_math.grading.reading.nodes import Call, Node, Number, Product, Quantity

_SCALES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "millions": 10**6, "billion": 10**9, "billions": 10**9,
    "trillion": 10**12, "lakh": 10**5, "crore": 10**7, "mln": 10**6, "bn": 10**9, "dozen": 12,
}  # fmt: skip
_VERBS = frozenset({"is", "are", "was", "were", "has", "have", "does", "do", "can", "will", "equals", "holds"})
_TEMPERATURES = {"c": "celsius", "f": "fahrenheit", "celsius": "celsius", "fahrenheit": "fahrenheit"}


def quantity(amount: Node, words: str, currency: str = "") -> Node:
    """An amount with the words behind it, and the currency before it.

    Raises:
      UnparsedError: the words go on as a sentence does.
    """
    rest = words.split()
    if rest[0].lower() in _VERBS:
        raise UnparsedError(f"a sentence: {words}")
    while rest and rest[0].lower().strip(".") in _SCALES:
        amount = _scaled(amount, _SCALES[rest[0].lower().strip(".")])
        rest = rest[1:]
    if isinstance(amount, Call) and amount.name == "degrees" and len(rest) == 1 and rest[0].lower() in _TEMPERATURES:
        return Quantity(amount.arguments[0], _TEMPERATURES[rest[0].lower()])
    left = " ".join(rest)
    if currency:
        rate = units.canonical(f"{currency} {left}") if rest and rest[0] in {"per", "/", "a", "an", "each"} else ""
        return Quantity(amount, rate if "/" in rate else currency)
    if not rest:
        return amount
    return Quantity(amount, units.canonical(left) or left)


def _scaled(amount: Node, scale: int) -> Node:
    if isinstance(amount, Number):
        return Number(amount.value * scale, amount.digits, amount.last_place * scale)
    return Product((amount, Number(Fraction(scale))))


_LETTERS = "m g s h N J W V A K C L l"
_PREFIXED = "m g s N J W V A Hz Pa L l mol eV rad F T"
_OTHER = (
    r"min|hrs?|sec|kn|mph|kph|rpm|ohms?|bar|atm|psi|cal|kcal|lbs?|oz|ft|in|yd|mi|rad|dB|amu|Hz|Pa|mol|eV|gal|deg"
    r"|kg|km|cm|mm"
)
_WORDS = "|".join(sorted(units.WORDS, key=len, reverse=True))
_WITH_PREFIX = rf"(?:k|M|c|m|n|G|d)(?:{'|'.join(_PREFIXED.split())})"
_UNIT = rf"(?:\\mu\s*[msgA]|\\Omega|{_WITH_PREFIX}|{_OTHER}|{_WORDS}|[{''.join(_LETTERS.split())}])"
_POWER = r"(?:\s*(?:\^|\*\*)\s*\{?\s*-?\d\s*\}?)?"
_TRAILING = re.compile(
    rf"(?P<amount>.*[\d}})!])(?P<gap>\s*)(?P<unit>{_UNIT}(?![A-Za-z_]){_POWER}"
    rf"(?:\s*(?:/|\\cdot|\*|\s)\s*\(?{_UNIT}(?![A-Za-z_]){_POWER}\)?)*)",
    re.DOTALL,
)
_MARKS = re.compile("[⟦⟧]")


@dataclass(frozen=True, slots=True)
class TrailingUnit:
    """A text split before a unit that stands there without a text command.

    Attributes:
      amount: the text before it.
      unit: canonical.
      attached: it is one letter without a blank before it, `2h`, which may as well be a variable.
    """

    amount: str
    unit: str
    attached: bool


def trailing_unit(text: str) -> TrailingUnit | None:
    """The unit at the end of a normalised text (`60 m/s`); None where there is none."""
    if len(text) > 200 or not _MAY_END_A_UNIT.search(text):
        return None
    match = _TRAILING.fullmatch(text)
    if not match:
        return None
    unit = match.group("unit")
    written = unit.replace("\\Omega", "ohm").replace("\\mu", "micro ").replace("\\cdot", " ")
    attached = not match.group("gap") and len(unit) == 1
    if attached and unit not in "hmsg":
        return None
    return TrailingUnit(match.group("amount"), units.canonical(written), attached)


_MAY_END_A_UNIT = re.compile(r"(?:[A-Za-z]|\^\s*\{?-?\d\}?|\))$")
_FEET = re.compile(r"(\d+)\s*'\s*(\d+(?:\.\d+)?)\s*(?:''|\")")
_PART = r"(?P<n{0}>\d+(?:\.\d+)?|\d+/\d+)\s*(?P<u{0}>[a-z]+)\.?"
_COMPOUND = re.compile(
    r"\s*(?:,|and|,\s*and)?\s*".join([_PART.format(1), _PART.format(2)])
    + r"(?:\s*(?:,|and|,\s*and)?\s*"
    + _PART.format(3)
    + ")?"
)


def compound(text: str) -> Quantity | None:
    """An amount in several units, as one in the smallest of them: 1 hour 30 minutes, 5 ft 3 in; None for any other."""
    feet = _FEET.fullmatch(text.strip())
    if feet:
        return Quantity(Number(12 * Fraction(feet.group(1)) + Fraction(feet.group(2))), "inch", compound=True)
    match = _COMPOUND.fullmatch(_MARKS.sub(" ", text).strip().lower())
    if not match:
        return None
    total = Fraction(0)
    previous: tuple[str, Fraction] | None = None
    smallest = ""
    for number, word in ((match.group(f"n{i}"), match.group(f"u{i}")) for i in (1, 2, 3)):
        if number is None:
            continue
        smallest = units.canonical(word)
        size = units.size(smallest)
        if size is None or (previous is not None and (size[0] != previous[0] or size[1] >= previous[1])):
            return None
        total += Fraction(number) * size[1]
        previous = size
    assert previous is not None
    return Quantity(Number(total / previous[1]), smallest, compound=True)
