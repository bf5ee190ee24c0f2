"""Answers that are words, letters, times or dates: recognised as a whole, before anything is parsed."""

# ruff: noqa: SIM905  (word lists read better as text)
from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rstar_math.grading.reading.normalise import plain, unmarked

_CHOICE = re.compile(r"[(\[{]*\s*([A-Z])\s*[)\]}]*\s*[.:]?")
_CHOSEN = re.compile(
    r"(?:(?:option|choice|answer|the answer is)\s*:?\s*)?"
    r"(?:[(\[]\s*([A-Z])\s*[)\]]|([A-Z])\s*[).:](?=\s)|([A-Z])\s*[).:])(?:.*)",
    re.IGNORECASE,
)
_LABELLED_CHOICE = re.compile(r"\(([A-H])\)[.:]?\s*((?:-(?=\d))?[^\s+\-*/^=_(<>|&!].*)")
_CHOICE_WORD = re.compile(r"(?:option|choice|answer)\s*:?\s*\(?([A-Z])\)?\.?", re.IGNORECASE)
_CHOICE_LIST = re.compile(r"\(?[A-H]\)?(?:(?:\s*(?:,|;|and|&)\s*)+\(?[A-H]\)?)+")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?(?:([ap])m)?")

_MONTHS = ("jan feb mar apr may jun jul aug sep oct nov dec").split()
_DATE = re.compile(r"datetime\.date(?:time)?\((\d{4}), ?(\d{1,2}), ?(\d{1,2})[^)]*\)|(\d{4})-(\d{1,2})-(\d{1,2})")
_WRITTEN_DATE = re.compile(
    r"(?:(?P<month>[a-z]{3,9})\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?|(?P<day2>\d{1,2})(?:st|nd|rd|th)? (?:of )?"
    r"(?P<month2>[a-z]{3,9}))(?: ?,? ?(?P<year>\d{4}))?"
)

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = ("_ _ twenty thirty forty fifty sixty seventy eighty ninety").split()
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}

_MEANINGS = {
    "no solution": (
        "no solution|no solutions|no real solution|no real solutions|none|no such|empty set|the empty set|emptyset|[]|"
        "set()|()|no answer|no values|no value|no integer solution|no integer solutions|there is no solution|"
        "there are no solutions|no real roots|no real root|no such number exists|impossible|not possible|"
        "does not exist|"
        "no root|no roots|frozenset()|no integer solutions exist|no solutions exist|no solution exists"
    ),
    "undefined": (
        "undefined|zoo|nan|does not exist|not defined|dne|is undefined|complexinfinity|no limit|limit does not exist|"
        "limit dne"
    ),
    "infinitely many": (
        "infinitely many|infinitely many solutions|infinite number of solutions|infinite solutions|infinite|"
        "infinite number|there are infinitely many solutions|infinitely many values|infinitely many integers"
    ),
    "true": "true|yes",
    "false": "false|no",
    "all reals": "all real numbers|all reals|reals|real numbers|any real number|all real|every real number",
}
_MEANING = {word: meaning for meaning, words in _MEANINGS.items() for word in words.split("|")}
_FAILURE = re.compile(
    r"\s*(?:Error\b|Traceback|Exception\b|[A-Z]\w*(?:Error|Exception)\b|TimeoutError|timed? ?out\b|None\s*$|null\s*$"
    r"|<\w[^<>]* object|SyntaxError|undefined variable)",
)


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day.

    Attributes:
      hour: 0 to 23 where `half` is known, otherwise as written.
      minute: 0 to 59.
      second: None where it is not written.
      half: "a" (am), "p" (pm) or "".
    """

    hour: int
    minute: int
    second: int | None
    half: str


def is_failure(text: str) -> bool:
    """Whether a prediction is the message of a program that failed, or its None."""
    return bool(_FAILURE.match(text))


def choices(text: str) -> str | None:
    """The letters of a reference that is a choice: "B" of "(B)", "ABD" of "ABD"; None for anything else."""
    bare = _tight(text)
    match = _CHOICE.fullmatch(bare)
    if match:
        return match.group(1)
    if _CHOICE_LIST.fullmatch(bare):
        return "".join(sorted(re.findall(r"[A-H]", bare)))
    return bare if re.fullmatch(r"[A-H]{2,6}", bare) and list(bare) == sorted(set(bare)) else None


def chosen(text: str) -> str | None:
    """The letters that a prediction chooses, in capitals and sorted: of "(B)", "B. 12", "option B", "A, C and D"."""
    bare = _tight(text)
    if re.fullmatch(r"\(?[A-Za-z]\)?[.:]?", bare):
        return re.sub(r"[^A-Za-z]", "", bare).upper()
    if _CHOICE_LIST.fullmatch(bare) or re.fullmatch(r"[A-H]{2,6}", bare):
        return "".join(sorted(re.findall(r"[A-H]", bare)))
    match = _CHOICE_WORD.fullmatch(bare) or _CHOSEN.fullmatch(bare)
    if match:
        return next(group for group in match.groups() if group).upper()
    return None


def labelled_choice(text: str) -> tuple[str, str] | None:
    """(letter, value) of a reference that names a choice and its value, `(B) 12`; None for anything else."""
    match = _LABELLED_CHOICE.fullmatch(_tight(text))
    return (match.group(1), match.group(2)) if match else None


def _tight(text: str) -> str:
    """A text without marks, and without blanks inside brackets."""
    return re.sub(r"(?<=[(\[])\s+|\s+(?=[)\]])", "", unmarked(text))


def clock(text: str) -> Clock | None:
    """The time of day that a text is; None for anything else."""
    match = _CLOCK.fullmatch(re.sub(r"[.\s]|o'?clock", "", unmarked(text).lower()))
    if not match or not (match.group(2) or match.group(4)):
        return None
    hour, minute, second = int(match.group(1)), int(match.group(2) or 0), match.group(3)
    half = match.group(4) or ""
    if hour > (12 if half else 24) or minute > 59:
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return Clock(hour, minute, int(second) if second else None, half)


def date(text: str) -> tuple[int | None, int, int] | None:
    """(year or None, month, day) of a date; None for anything else."""
    bare = unmarked(text)
    match = _DATE.fullmatch(bare)
    if match:
        year, month, day = (int(group) for group in match.groups() if group)
        return year, month, day
    written = _WRITTEN_DATE.fullmatch(" ".join(bare.lower().replace(",", " ").split()))
    if not written:
        return None
    name = (written.group("month") or written.group("month2"))[:3]
    if name not in _MONTHS:
        return None
    found_year = written.group("year")
    day = int(written.group("day") or written.group("day2"))
    return int(found_year) if found_year else None, _MONTHS.index(name) + 1, day


def number_in_words(text: str) -> int | None:
    """The integer that a text spells out ("twenty-one", "three hundred"); None for anything else."""
    words = plain(text).replace("-", " ").split()
    if not words or len(words) > 12:
        return None
    negative = words[0] in {"minus", "negative"}
    total = current = 0
    seen = False
    for word in words[1 if negative else 0 :]:
        if word in _ONES:
            current += _ONES.index(word)
        elif word in _TENS[2:]:
            current += 10 * _TENS.index(word)
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in _SCALES:
            total += max(current, 1) * _SCALES[word]
            current = 0
        elif word == "and" and seen:
            continue
        else:
            return None
        seen = True
    value = total + current
    return (-value if negative else value) if seen else None


_PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip


def fraction_in_words(text: str) -> Fraction | None:
    """The fraction that a text spells out ("two thirds", "one and a half", "three-quarters"); None for any other."""
    words = plain(text).replace("-", " ").split()
    if not words or len(words) > 8:
        return None
    part = _PARTS.get(words[-1]) or _PARTS.get(words[-1].removesuffix("s"))
    if part is None:
        return None
    whole, upper = 0, words[:-1]
    if "and" in upper:
        place = upper.index("and")
        found = number_in_words(" ".join(upper[:place]))
        if found is None:
            return None
        whole, upper = found, upper[place + 1 :]
    numerator = 1 if upper in ([], ["a"], ["an"]) else number_in_words(" ".join(upper))
    if numerator is None or (not upper and not words[:-1] and words[-1] not in {"half"}):
        return None
    return whole + Fraction(numerator, part)


_NOTHING_EXISTS = re.compile(
    r"no such (?:[a-z]+ ){0,4}[a-z]+|there (?:is|are) no (?:such )?[a-z]+(?: [a-z]+){0,3}"
    r"|no [a-z]+(?: [a-z]+){0,2} exists?"
    r"|there (?:do|does) not exist (?:any |such )*[a-z]+|(?:such )?[a-z]+ (?:do|does) not exist|none exist"
)


def meaning(text: str) -> str | None:
    """The common meaning of a set phrase ("no solution", "true" ...); None for anything else."""
    if _NOTHING_EXISTS.fullmatch(plain(text)) and plain(text) not in _MEANING:
        return "no solution"
    return _MEANING.get(plain(text)) or _MEANING.get(" ".join(unmarked(text).casefold().split()))


def same_words(left: str, right: str) -> bool:
    """Whether two texts are the same but for case, punctuation, articles and markup."""
    first, second = plain(left), plain(right)
    if first == second:
        return bool(first)
    if not re.search(r"[a-z]{2}", first) or re.search(r"[\d+*/=<>^_-]", first + second):
        return False
    return re.sub(r"[^a-z]", "", first) == re.sub(r"[^a-z]", "", second)
