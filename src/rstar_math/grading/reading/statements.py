"""What texts say that are no formulas: statements on a subject, values by the words before them, sizes, yes or no."""

from __future__ import annotations

import re

from rstar_math.grading.reading.nodes import EXPRESSIONS, Node, Quantity
from rstar_math.grading.reading.normalise import plain, unmarked
from rstar_math.grading.reading.read import read
from rstar_math.grading.reading.units import canonical, is_known

_SUBJECT = re.compile(
    r"(?:the|this|that|it|such a|our|given)?\s*(?:given |infinite |improper )?(?:(?:series|sequence|integral|function"
    r"|limit|sum|system|graph|curve|line|lines|matrix|relation|set|statement|equation|triangle|number|polynomial|product|answer"
    r"|conic|vectors?|game|player|it|f|conclusion|claim|assertion)\s+)(?:(?:is|are)\s+)?(?:(?:a|an|the)\s+)?"
)
_STEMS = {
    "divergent": "diverges", "diverge": "diverges", "convergent": "converges", "converge": "converges",
    "continuous function": "continuous", "linearly independent": "independent", "linearly dependent": "dependent",
    "perpendicular lines": "perpendicular", "parallel lines": "parallel", "concurrent lines": "concurrent",
}  # fmt: skip


def same_statement(left: str, right: str) -> bool:
    """Whether two texts say the same of their subject, which one of them may leave out."""
    first, second = plain(left), plain(right)
    for one, other in ((said(left), _stemmed(second)), (_stemmed(first), said(right))):
        if one == other and re.search("[a-z]{3}", one):
            return True
    lists = [sorted(re.split(r"\s*(?:,|;|\band\b|&)\s*", unmarked(text).lower().strip(" ."))) for text in (left, right)]
    if (
        lists[0] == lists[1]
        and len(lists[0]) > 1
        and all(re.fullmatch("[a-z]+(?: [a-z]+)?", word) for word in lists[0])
    ):
        return True
    winners = _WINS.fullmatch(first), _WINS.fullmatch(second)
    if winners[0] and winners[1] and winners[0].group(1) == winners[1].group(1):
        return True
    if _noun_phrase(first) == _noun_phrase(second) and re.search("[a-z]{3}", first):
        return True
    nouns = [_SUBJECT.match(words) for words in (first, second)]
    return all(nouns) and said(left) == said(right)


def _noun_phrase(words: str) -> str:
    """Plain words without "all", in the singular: "all primes" and "prime numbers" are the same."""
    words = re.sub(r"^[a-z] (?:is|are|must be|can be)(?: any)? (?=[a-z]{2})", "", words)
    words = re.sub(r"^(?:set of )?(?:all |any |every |each )+(?:of )?(?:the )?", "", words)
    words = re.sub(r"\b(prime|odd|even|integer|number)s?\b(?: (?:numbers?|integers?|[a-z])\b)?", r"\1", words)
    return " ".join(
        word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word for word in words.split()
    )


_WINS = re.compile(
    r"(.+?) (?:has (?:a )?winning strategy|(?:can |will )?(?:always )?wins?)(?: (?:the )?game)?(?: always)?"
)


def said(text: str) -> str:
    """What a short sentence says of its subject, in plain words: of "The series is divergent." "diverges"."""
    words = plain(text)
    winner = _WINS.fullmatch(words)
    if winner:
        return winner.group(1)
    match = _SUBJECT.match(words)
    if not match:
        match = re.match(r"[a-z] (?:is|are) (?:an? )?", words)
    return _stemmed(words[match.end() :] if match and words[match.end() :] else words)


def _stemmed(rest: str) -> str:
    """Plain words with one form for each of those that sentences bend."""
    stems = [_STEMS.get(word, word) for word in rest.split()]
    if "converges" in stems or "diverges" in stems:
        return " ".join(sorted(stems)) if len(stems) <= 3 else rest
    return _STEMS.get(rest, rest)


_CLAUSE = re.compile(
    r"\s*(?P<label>[A-Za-z][A-Za-z -]{2,60}?)\s*\.?\s*(?:\b(?:when|on|for|if|in|at|over|is|are)\b|:|=|(?=[(\d\\-]))"
    r"\s*(?P<rest>.+)",
    re.DOTALL,
)
_SIZES = frozenset(
    {
        "radius", "diameter", "slope", "intercept", "area", "perimeter", "length", "width", "height", "depth", "mean",
        "median", "mode", "range", "amplitude", "period", "degree", "order", "rank", "dimension", "maximum", "minimum",
        "max", "min", "volume", "speed", "eccentricity",
    }
)  # fmt: skip
_SHORT_FORMS = {
    "min": "minimum", "max": "maximum", "pt": "point", "pts": "point", "abs": "absolute", "rel": "relative",
    "minima": "minimum", "maxima": "maximum", "minimums": "minimum", "maximums": "maximum",
}  # fmt: skip


def labelled(text: str) -> dict[str, Node] | None:
    """Values by the words before each: "concave up on (0, 1), concave down on (1, 2)"; None for anything else."""
    found: dict[str, Node] = {}
    bare = re.sub(r"\\(max|min)(?![a-z])", r"\1", unmarked(text).replace("$", " "))
    pieces = re.split(r"\s*(?:[,;.]|\band\b)\s*(?:and\s+)?(?=[a-z]{3,}[a-z ]* )", bare)
    for piece in pieces:
        subject = _SUBJECT.match(piece.lower())
        match = _CLAUSE.fullmatch(piece[subject.end() if subject else 0 :].strip(" .,;"))
        if not match:
            return None
        between = match.group()[match.end("label") - match.start() : match.start("rest") - match.start()].strip(" .")
        if not between and match.group("rest")[0] != "(" and match.group("label").split()[-1].lower() not in _SIZES:
            return None  # radius 3, but not "nearly 3"
        label = " ".join(_SHORT_FORMS.get(word, word.removesuffix("s")) for word in said(match.group("label")).split())
        node = read(match.group("rest").strip(" .,;"))
        if not between and isinstance(node, EXPRESSIONS) and match.group("rest")[0] == "(":
            return None  # rank (A) is no A
        if node is None or label in found or isinstance(node, Quantity) or not label:
            return None
        found[label] = node
    return found or None


_DIMENSION = r"(?P<n{0}>\d+(?:\.\d+)?)\s*(?P<u{0}>[a-z]+\.?)?"
_DIMENSIONS = re.compile(
    _DIMENSION.format(1)
    + r"\s*(?P<sign>x|\*|by|\\times|\\cdot)\s*"
    + _DIMENSION.format(2)
    + r"(?:\s*(?:x|\*|by|\\times)\s*"
    + _DIMENSION.format(3)
    + ")?"
)


def dimensions(text: str) -> tuple[tuple[str, ...], bool] | None:
    """The sizes of "10 ft by 18 ft", and whether they can be no product; None for anything else."""
    match = _DIMENSIONS.fullmatch(" ".join(unmarked(text).lower().split()))
    if not match:
        return None
    units_written = {unit for unit in match.group("u1", "u2", "u3") if unit}
    if any(not is_known(canonical(unit)) for unit in units_written) or len({canonical(u) for u in units_written}) > 1:
        return None
    sizes = tuple(number for number in match.group("n1", "n2", "n3") if number)
    return sizes, bool(units_written) or match.group("sign") in {"by", "x"}


def leading_truth(text: str) -> str | None:
    """ "yes" or "no" where a text answers so and gives its reason; None for anything else."""
    match = re.fullmatch(r"\s*(yes|no|true|false)\s*[,.;:!-]\s*(.*)", unmarked(text), re.IGNORECASE | re.DOTALL)
    return match.group(1).lower() if match else None


_SQUEEZED = ((r"\cdot", "*"), ("@", "at"), (";", ","))


def squeezed(text: str) -> str:
    """A normalised text without blanks, markup and case, for texts that only differ in these."""
    text = unmarked(text)
    for written, plain_form in _SQUEEZED:
        text = text.replace(written, plain_form)
    text = re.sub(r"\s(?:and|by|x)\s|\\times", ",", text)
    text = re.sub(
        r"(?<![\\A-Za-z])[A-Za-z]{1,12}(?![A-Za-z])", lambda word: canonical(word.group()) or word.group(), text
    )
    text = re.sub(r"(?<=\d)\s+(?=\d)", "\N{MIDDLE DOT}", text)  # 1 2 is not 12
    return re.sub(r"[\s${}\\]|(?<=,),|\.$", "", text).casefold()
