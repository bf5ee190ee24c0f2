"""Sets of numbers and residues as words name them: "all positive integers", "all reals except 3", "3 (mod 7)"."""

from __future__ import annotations

import re
from fractions import Fraction

from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    Congruence,
    Constant,
    Group,
    Named,
    Node,
    Number,
    Range,
    Relation,
    SetOperation,
    negated,
    symbols,
)
from rstar_math.grading.reading.normalise import CLOSE_TEXT, OPEN_TEXT, plain, unmarked
from rstar_math.grading.reading.parse import parsed

_SET = re.compile(
    r"(?:set of )?(?:all |any |every |each )*(?:(?P<sign>positive|negative|non-?negative|non-?positive|non-?zero) )?"
    r"(?P<kind>real|rational|complex|natural|whole|integer|integers|reals)?(?: ?(?P<noun>numbers?|integers?|values?))?"
    r"(?: (?:of )?[a-z])?"
)
_EXCEPT = re.compile(
    r"(?P<set>.*?)[,\s]*(?:except|excluding|other than|besides|but not|not equal to|without)\s*(?:for\s*|when\s*)?"
    r"(?P<points>.+)"
)
_KINDS = {
    "real": "reals", "reals": "reals", "rational": "rationals", "complex": "complexes", "natural": "naturals",
    "whole": "whole numbers", "integer": "integers", "integers": "integers",
}  # fmt: skip
_SIGNED_SETS = {
    ("integers", "positive"): "naturals", ("integers", "negative"): "negative integers",
    ("integers", "nonnegative"): "whole numbers", ("naturals", "positive"): "naturals",
    ("rationals", "positive"): "positive rationals",
}  # fmt: skip
_CONGRUENCE = re.compile(
    rf"(?:(?P<name>[A-Za-z])\s*=)?(?P<residues>[^=]*?)[\s,{OPEN_TEXT}]*(?P<open>\(?)\s*"
    rf"(?P<word>\\[pb]?mod|{OPEN_TEXT}?mod(?:ulo)?{CLOSE_TEXT}?)\s*\{{?\s*(?P<modulus>\d{{1,9}})\s*\}}?\s*\)?"
)


def worded_set(text: str) -> Node | None:
    """The set of numbers that words name ("all positive integers", "all reals except 3"); None for anything else."""
    words = re.sub(r"^x\s*(?:\\in|can be|is)\s*", "", plain(text))
    node = _set(words)
    if node is not None:
        return node
    bare = unmarked(text)
    match = _EXCEPT.fullmatch(bare.strip())
    if not match:
        return None
    whole = _set(plain(match.group("set")))
    points = parsed(re.sub(r"^\s*[a-z]\s*(?:=|is)\s*", "", match.group("points")))
    if whole is None or points is None or symbols(points):
        return None
    if isinstance(points, Relation):
        return None
    items = points.items if isinstance(points, Group) and points.bracket in {"", "{"} else (points,)
    if not all(isinstance(item, EXPRESSIONS) for item in items):
        return None
    return SetOperation("difference", (whole, Group(items, "{")))


def _set(words: str) -> Node | None:
    match = _SET.fullmatch(words.strip().removeprefix("the "))
    if not match:
        return None
    kind, noun, sign = match.group("kind"), match.group("noun") or "", (match.group("sign") or "").replace("-", "")
    if kind is None and not noun.startswith("integer"):
        return None
    if kind in {"rational", "complex", "natural", "whole"} and not noun and words.split()[-1] == kind:
        return None
    name = _KINDS[kind or "integer"]
    if kind == "natural" or not sign:
        return Named(name) if not sign or sign == "positive" else None
    if (name, sign) in _SIGNED_SETS:
        return Named(_SIGNED_SETS[name, sign])
    return _SIGNED_REALS[sign] if name == "reals" else None


_ZERO, _HIGH = Number(Fraction(0)), Constant("oo")
_LOW = negated(_HIGH)
_SIGNED_REALS: dict[str, Node] = {
    "positive": Range(_ZERO, _HIGH, False, False),
    "nonnegative": Range(_ZERO, _HIGH, True, False),
    "negative": Range(_LOW, _ZERO, False, False),
    "nonpositive": Range(_LOW, _ZERO, False, True),
    "nonzero": SetOperation("union", (Range(_LOW, _ZERO, False, False), Range(_ZERO, _HIGH, False, False))),
}


def congruence(text: str) -> Node | None:
    """Residues with their modulus, as of `n \\equiv 0, 2 \\pmod 6`; None for anything else, remainders included."""
    match = _CONGRUENCE.fullmatch(text)
    if not match or int(match.group("modulus")) < 2:
        return None
    if not match.group("name") and not match.group("open") and match.group("word") != "\\pmod":
        return None
    found = parsed(match.group("residues"))
    return None if found is None else Congruence(found, int(match.group("modulus")))
