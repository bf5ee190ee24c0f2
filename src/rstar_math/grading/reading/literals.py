"""Numbers as they are written: separators between thousands, exponents, other bases, repeating decimals."""

from __future__ import annotations

import re
from fractions import Fraction

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.nodes import Number

_NUMBER = re.compile(
    r"(?P<base>0[bxo][0-9a-fA-F]+(?![\w.]))"
    r"|(?P<grouped>\d{1,3}(?:\{,_?\}\d{3})+(?!\d)(?:\.\d*)?)"
    r"|(?P<commas>(?!0,)\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?)"
    r"|(?P<spaces>(?!0 )\d{1,3}(?: \d{3})+(?![\d/])(?:\.\d+)?)"
    r"|(?P<underscores>\d{1,3}(?:_\d{3})+(?!\d)(?:\.\d+)?)"
    r"|(?P<scientific>(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+(?![\w.]))"
    r"|(?P<plain>\d+\.\d+|\d+\.(?!\.)|\d+|\.\d+)",
    re.ASCII,
)
_REPETEND = re.compile(
    r"\\(?:overline|bar)\s*\{?\s*(?P<line>\d+)\s*\}?"
    r"|\\dot\s*\{?\s*(?P<first>\d)\s*\}?(?P<middle>\d*)(?:\\dot\s*\{?\s*(?P<last>\d)\s*\}?)?"
    r"|\((?P<parentheses>\d+)\)",
    re.ASCII,
)
_DOTS = re.compile(r"\s*(?:\.\.\.+|\\ldots)(?![a-zA-Z])")
_MAX_EXPONENT = 20_000


def literal(text: str, start: int, *, separable: bool) -> tuple[Number, str, int]:
    """The number at `start`: its value, how it is written up to what repeats, and the index behind it.

    Args:
      text: normalised.
      start: index of a digit, or of the point before one.
      separable: read "1,234" and "1 234" as one number.

    Raises:
      UnparsedError: its exponent is too large.
    """
    match = _NUMBER.match(text, start)
    assert match is not None
    form, written = str(match.lastgroup), match.group()
    is_index = form == "spaces" and start > 0 and text[start - 1] in "^_."
    if form in {"commas", "spaces"} and (not separable or is_index):
        match = re.compile(r"\d+\.\d+|\d+\.(?!\.)|\d+").match(text, start)
        assert match is not None
        form, written = "plain", match.group()
    end = start + len(written)
    if form == "base":
        return Number(Fraction(int(written, 0))), written, end
    digits = re.sub(r"\{,_?\}|[, _]", "", written)
    mantissa, _, exponent = re.sub("[eE]", "e", digits).partition("e") if form == "scientific" else (digits, "", "")
    if "." not in mantissa and form != "scientific":
        return Number(Fraction(_integer(mantissa))), written, end
    number, end = _decimal(text, end, mantissa, int(exponent or 0))
    return number, written, end


def _decimal(text: str, end: int, mantissa: str, exponent: int) -> tuple[Number, int]:
    """A decimal with what follows it, a repetend or dots, and the index behind that."""
    if abs(exponent) > _MAX_EXPONENT:
        raise UnparsedError(f"an exponent of {exponent}")
    whole, _, decimals = mantissa.partition(".")
    repetend = None if exponent else _REPETEND.match(text, end)
    value = Fraction(_integer(whole + decimals or "0"), 10 ** len(decimals))
    if repetend and not (repetend.group("parentheses") and not decimals and whole != "0"):
        return Number(value + _repeating(_repetend_digits(repetend)) / 10 ** len(decimals)), repetend.end()
    dots = _DOTS.match(text, end)
    if dots and len(decimals) >= 3:
        end = dots.end()
        repeated = _shortest_period(decimals)
        if repeated:
            return Number(value + _repeating(repeated) / 10 ** len(decimals)), end
    digits = len((whole + decimals).lstrip("0"))
    return Number(value * Fraction(10) ** exponent, max(digits, 1), Fraction(10) ** (exponent - len(decimals))), end


def _integer(digits: str) -> int:
    """int(digits) without Python's limit on their number (MAX_CHARS bounds it)."""
    if len(digits) <= 4_000:
        return int(digits)
    half = len(digits) // 2
    shift: int = 10**half
    return _integer(digits[:-half]) * shift + _integer(digits[-half:])


def _repeating(digits: str) -> Fraction:
    """The value of 0.digits digits digits ..."""
    return Fraction(_integer(digits), 10 ** len(digits) - 1)


def _repetend_digits(match: re.Match[str]) -> str:
    if match.group("line") or match.group("parentheses"):
        return str(match.group("line") or match.group("parentheses"))
    return match.group("first") + (match.group("middle") + match.group("last") if match.group("last") else "")


def _shortest_period(decimals: str) -> str | None:
    """The block that the decimals end by repeating: at least three times, or twice where it is longer than one."""
    for length in range(1, len(decimals) // 2 + 1):
        times = 3 if length == 1 else 2
        if len(decimals) >= length * times and decimals.endswith(decimals[-length:] * times):
            return decimals[-length:]
    return None
