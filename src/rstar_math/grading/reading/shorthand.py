"""Short forms in normalised text, written out: `$2.5M`, `45^o`, `3 x 10^8`, `C_6^2`, `x \\mapsto 2x`, "x equals 7"."""

from __future__ import annotations

import re

from rstar_math.grading.reading import units
from rstar_math.grading.reading.normalise import CLOSE_TEXT, OPEN_TEXT, balanced_end
from rstar_math.grading.reading.words import number_in_words

_HAS_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_MONEY = re.compile(r"\\(?:\$|euro|pounds|yen|rupee|won)")
_SCALED_MONEY = re.compile(
    rf"(?P<money>\\(?:\$|euro|pounds|yen|rupee|won)\s*[\d.,]*\d)\s*{OPEN_TEXT}?(?P<scale>[kKmMbB]|bn|mn|mln)"
    rf"{CLOSE_TEXT}?(?![A-Za-z])"
)
_SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "mn": "million", "mln": "million"}
_SMALL_O = re.compile(rf"(?<=[\d}})])\s*\^\s*\{{?\s*{OPEN_TEXT}?o{CLOSE_TEXT}?\s*\}}?(?![\w])")
_TIMES_TEN = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))")
_MAPPING = re.compile(r"^(?:(?P<name>[a-zA-Z])\s*:\s*)?(?P<letter>[a-zA-Z])\s*\\mapsto(?![a-zA-Z])")
_DERIVATIVE = re.compile(r"(?<![\\\w])d\s*([a-zA-Z])\s*/\s*d\s*([a-zA-Z])(?!\w)")
_SELECTIONS = re.compile(
    r"(?<![\w}\\])(?P<kind>[CPA])\s*(?:_\s*\{?(?P<lower>\d+)\}?\s*\^\s*\{?(?P<upper>\d+)\}?"
    r"|\^\s*\{?(?P<upper2>\d+)\}?\s*_\s*\{?(?P<lower2>\d+)\}?)"
)
_PER_CENT = re.compile(r"\bper(?:\s|⟧\s*⟦)+cent\b")
_COMPARED = re.compile(
    r"^(?:the (?:value|number) (?:of )?)?(?P<name>[a-zA-Z])\s+(?:(?:is|must be|can be)\s+)?(?P<words>equals?|equal to"
    r"|(?:strictly )?greater than or equal to|(?:strictly )?less than or equal to|greater than|less than|more than"
    r"|larger than|smaller than|at least|at most|no less than|no more than|bigger than|not equal to)\s+"
    r"(?P<value>[^a-zA-Z]*[\d}][^a-zA-Z]*|\\(?:frac|sqrt|pi)[^ ]*)$"
)
_SIGNS = {
    "equals": "=", "equal": "=", "equal to": "=", "greater than or equal to": r"\ge", "less than or equal to": r"\le",
    "greater than": ">", "less than": "<", "more than": ">", "larger than": ">", "bigger than": ">",
    "smaller than": "<", "at least": r"\ge", "no less than": r"\ge", "at most": r"\le", "no more than": r"\le",
    "not equal to": r"\ne",
}  # fmt: skip


_CHANGE = re.compile(
    r"^(?:an?\s+|the\s+)?(increase|decrease|rise|drop|gain|loss|decline)\s+(?:of|by)\s+(?=[\d\\$.])(.*)$", re.IGNORECASE
)
_SPELLED = re.compile(r"^([a-z]+(?:[ -][a-z]+){0,5})\s+([a-z]+)$")


def written_out(text: str) -> str:
    """A normalised text with the short forms that have one meaning only written out."""
    if "\\" in text and _MONEY.search(text):
        text = _SCALED_MONEY.sub(
            lambda match: f"{match.group('money')} {OPEN_TEXT}{_SCALES[match.group('scale').lower()]}{CLOSE_TEXT}", text
        )
    if "o" in text and "^" in text:
        text = _SMALL_O.sub(r"^\\circ ", text)
    if "10" in text and "x" in text.lower():
        text = _TIMES_TEN.sub(r" \\times ", text)
    if "\\mapsto" in text:
        text = _MAPPING.sub(lambda match: f"{match.group('name') or 'f'}({match.group('letter')}) = ", text)
    if "/" in text and "d" in text:
        text = _DERIVATIVE.sub(r"\\frac{d\1}{d\2}", text)
    if "per" in text:
        text = _PER_CENT.sub("percent", text)
    if "_" in text and "^" in text:
        text = _with_selections(text)
    if "\\int" in text and "d" in text:
        text = _with_differential_behind(text)
    if " " in text and len(text) <= 80 and _HAS_WORD.search(text):
        words = " ".join(text.replace(OPEN_TEXT, " ").replace(CLOSE_TEXT, " ").split())
        text = _compared(words, text)
        text = _CHANGE.sub(r"\2 \1", text)
        spelled = _SPELLED.match(words.lower())
        if spelled and units.is_unit(spelled.group(2)):
            number = number_in_words(spelled.group(1))
            text = text if number is None else f"{number} {spelled.group(2)}"
    return text


def _with_differential_behind(text: str) -> str:
    r"""`\int_1^e \frac{dx}{x}` as `\int_1^e \frac{1}{x} dx`."""
    match = re.search(r"\\frac\s*\{([^{}]*?)\s*(d\s*(?:[a-zA-Z]|\\[a-z]+))\s*\}\s*(?=\{)", text)
    if not match or text.count("\\int") != 1 or match.start() < text.index("\\int"):
        return text
    end = balanced_end(text, match.end())
    if end < 0:
        return text
    numerator = match.group(1).strip() or "1"
    return f"{text[: match.start()]}\\frac{{{numerator}}}{text[match.end() : end]} {match.group(2)}{text[end:]}"


def _with_selections(text: str) -> str:
    """`C_6^2` as a binomial coefficient and `A_6^2` as a number of arrangements, where no C is an ordinary constant."""
    found = list(_SELECTIONS.finditer(text))
    if not found or len(found) != len(re.findall(r"(?<![\w}\\])[CPA]\s*[_^]", text)):
        return text
    sizes = [(int(m.group("lower") or m.group("lower2")), int(m.group("upper") or m.group("upper2"))) for m in found]
    if any(not n >= k >= 0 or not 3 <= n <= 1000 for n, k in sizes):
        return text

    def selection(match: re.Match[str]) -> str:
        n, k = (match.group(name) or match.group(f"{name}2") for name in ("lower", "upper"))
        return rf"\binom{{{n}}}{{{k}}}" if match.group("kind") == "C" else rf"\frac{{{n}!}}{{({n}-{k})!}}"

    return _SELECTIONS.sub(selection, text)


def _compared(words: str, text: str) -> str:
    """ "x is greater than 2" with a sign; `text` for anything else."""
    match = _COMPARED.match(words)
    if not match:
        return text
    return f"{match.group('name')} {_SIGNS[match.group('words').removeprefix('strictly ')]} {match.group('value')}"
