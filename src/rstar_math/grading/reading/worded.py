"""Answers that stand in words: sets of numbers by their names, the answer inside a sentence, and what a sentence says.

Only sentences of known forms are read. What they hedge or deny ("at most 5", "not convergent") is no answer of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import permutations

from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    Congruence,
    Constant,
    Group,
    Named,
    Node,
    Number,
    Quantity,
    Range,
    Relation,
    SetOperation,
    negated,
    symbols,
)
from rstar_math.grading.reading.normalise import CLOSE_TEXT, OPEN_TEXT, ROW_END, plain, unmarked
from rstar_math.grading.reading.units import canonical, is_known

Parse = Callable[[str], Node | None]
"""Reads a normalised text; None where it is no formula."""

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

_BRACKET = re.compile(r"[(\[]([^()\[\]\d=<>\\]*)[)\]]")
_OPENING = re.compile(
    r"(?:yes|no|therefore|thus|hence|so|answer|final answer|solution|the answer|ans|result|we have|we get|i\.e\.)"
    r"\s*(?:[,.:;]|(?<=have)\s|(?<=get)\s)\s*",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"\b(?:is|are|equals|was|were)\b(?:\s+(?:equal to|given by|exactly|precisely|about|approximately|therefore|simply"
    r"|just|also|then|thus))*\s*[:=]?\s*"
)
_HEAD = re.compile(
    r"(?:the |all |only |both |such |any |following )*(?:functions?|solutions?|answers?|values?|pairs?|triples?"
    r"|polynomials?|integers?|(?:positive |real )*numbers?|equation|result)(?: are| is| of the form)?\s*:?\s*"
    r"|(?:for )?(?:all|every|any)\s+(?:real |integers? )?(?=[a-z]\s*(?:\\(?:ne|ge|le|in)(?![a-z])|[<>]|!=))"
    r"|(?:only|just|exactly)\s+(?=[-\d]|[a-z]\s*=)",
    re.IGNORECASE,
)
_IS_THE_ANSWER = re.compile(
    r"(?:only )?(?P<value>.*[\d)}\]\w])\s+(?:is|are) (?:the|our|an?) "
    r"(?:only |required |final |correct |desired |unique )*"
    r"(?:answers?|solutions?|values?|results?|possibilit(?:y|ies)|roots?)(?: of the equation)?\.?",
    re.IGNORECASE,
)
_ATTAINED = re.compile(
    r"\s*,?\s*(?:and (?:it |this )?(?:is|are) )?\b(?:attained|achieved|reached|obtained|occurring|which occurs)\s+"
    r"(?:at|when|for|if|only)\b.*$"
)
_THERE_ARE = re.compile(
    r"there (?:are|is|were|exist|exists) (?:exactly |precisely |only |a total of |in total )?"
    r"(?P<number>\d[\d,]*)(?P<rest>(?: [^\d=<>+*/^]*)?)",
    re.IGNORECASE,
)
_SENTENCE_START = re.compile(
    r"(?:the|there|it|this|that|these|those|so|thus|hence|its|his|her|their|he|she|they|we|each)\b", re.IGNORECASE
)
_PERMUTED = re.compile(
    r"(?P<tuple>.*?)[,\s]*(?:and|with|up to|or)?\s*(?:all |any |every )?(?:of )?(?:its|their|the|all|any)?\s*"
    r"(?P<cyclic>cyclic )?(?:permutations?|rearrangements?|reorderings?)(?: of (?:it|this|them|these)| thereof)?"
)
_PERMUTED_FIRST = re.compile(
    r"(?:all |any |every |the )*(?P<cyclic>cyclic )?(?:permutations?|rearrangements?) of (?P<tuple>.*)", re.IGNORECASE
)
_QUANTIFIER = re.compile(
    r"[\s,]*(?:(?:for|where|with)\s+(?:all|any|every|each|some)?|\\forall)\s*(?:real|integers?|positive|numbers?|natural|\s)*"
    r"[a-zA-Z](?:\s*,\s*[a-zA-Z])*\s*(?:\\in\s*\\mathbb\s*\{?\s*[A-Z]\s*\}?(?:\s*[_^]\s*(?:\{[^{}]*\}|[+*0-9]))?"
    r"|>=?\s*0|(?<=\w))"
)
_HEDGES = re.compile(
    r"\b(?:not|no|never|nor|at least|at most|less|more|greater|fewer|over|under|between|below|above|except|than|or)\b"
    r"|n't\b"
)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w^])")
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
_CONGRUENCE = re.compile(
    rf"(?:(?P<name>[A-Za-z])\s*=)?(?P<residues>[^=]*?)[\s,{OPEN_TEXT}]*(?P<open>\(?)\s*"
    rf"(?P<word>\\[pb]?mod|{OPEN_TEXT}?mod(?:ulo)?{CLOSE_TEXT}?)\s*\{{?\s*(?P<modulus>\d{{1,9}})\s*\}}?\s*\)?"
)


def worded_set(text: str, parse: Parse) -> Node | None:
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
    points = parse(re.sub(r"^\s*[a-z]\s*(?:=|is)\s*", "", match.group("points")))
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


def congruence(text: str, parse: Parse) -> Node | None:
    """Residues with their modulus, as of `n \\equiv 0, 2 \\pmod 6`; None for anything else, remainders included."""
    match = _CONGRUENCE.fullmatch(text)
    if not match or int(match.group("modulus")) < 2:
        return None
    if not match.group("name") and not match.group("open") and match.group("word") != "\\pmod":
        return None
    found = parse(match.group("residues"))
    return None if found is None else Congruence(found, int(match.group("modulus")))


def answers_in(text: str, parse: Parse, *, is_reference: bool) -> Node | None:
    """What a sentence gives as its answer; None where it is of no known form.

    Args:
      text: normalised.
      is_reference: a reference's sentence with one number in it means that number; a prediction's may not.
    """
    whole = unmarked(text).strip()
    bare = _BRACKET.sub(_without_prose, whole).strip()
    if bare != whole:
        if re.search(r"\b(?:both|order|all|two|three|four)\b", whole[len(bare) :]):
            bare = re.sub(r"(?<=\d),(?=\d)", ", ", bare)
        node = _answer(bare, parse)
        if node is not None:
            return node
    if ROW_END not in bare and len(re.findall(_QUANTIFIER, bare)) > 1:
        parts = [part for part in _QUANTIFIER.split(bare) if part.strip(" .,;")]
        node = _answer(f" {ROW_END} ".join(part.strip(" .,;") for part in parts), parse)
        if node is not None:
            return node
    opening = _OPENING.match(bare)
    if opening:
        bare = bare[opening.end() :].strip()
        node = _answer(bare, parse)
        if node is not None:
            return node
    subject = _IS_THE_ANSWER.fullmatch(bare)
    if subject and not _HEDGES.search(subject.group("value")):
        return _answer(subject.group("value"), parse)
    count = _THERE_ARE.fullmatch(bare)
    if count and not _HEDGES.search(count.group("rest").lower()):
        return parse(count.group("number"))
    head = _HEAD.match(bare)
    if head and head.group().strip():
        node = _answer(bare[head.end() :], parse)
        if node is not None:
            return node
    if len(bare.split()) >= 3 and _is_prose(bare):
        for verb in reversed(list(_STATES.finditer(bare))):
            if not _is_prose(bare[: verb.start()]):
                continue
            node = _answer(_ATTAINED.sub("", bare[verb.end() :]), parse)
            if node is not None:
                return node
        if is_reference and _SENTENCE_START.match(bare) and len(bare.split()) >= 4:
            return _only_number(bare, parse)
    permuted = _permuted(bare, parse)
    return permuted


def _without_prose(match: re.Match[str]) -> str:
    """Nothing for words in brackets; other brackets as they are."""
    words = re.findall("[A-Za-z]{3,}", match.group(1))
    return " " if words and len(match.group(1).split()) > 1 else match.group()


def _is_prose(text: str) -> bool:
    """Whether a text is words in the main: at least two of three letters or more."""
    return len(re.findall(r"(?<![\\a-zA-Z])[A-Za-z]{3,}", text)) >= 2 or bool(
        re.fullmatch(r"\s*(?:it|the \w+)\s*", text, re.I)
    )


def _answer(text: str, parse: Parse) -> Node | None:
    """The node of what a sentence states, where that is a value, values or an equation, and no further words."""
    text = text.strip().strip(".").strip()
    permuted = _permuted(text, parse)
    if permuted is not None:
        return permuted
    if re.search(r"(?<![\\a-zA-Z])(?:not|at|least|most|than|any|all|such|if|of)\b", text):
        return None
    node = parse(text)
    if node is None or isinstance(node, Named) or (isinstance(node, Quantity) and not is_known(node.unit)):
        return None
    if isinstance(node, Group) and not node.items:
        return None
    return node


def _permuted(text: str, parse: Parse) -> Node | None:
    match = _PERMUTED.fullmatch(text.strip().strip(".")) or _PERMUTED_FIRST.fullmatch(text.strip().strip("."))
    if not match or not match.group("tuple").strip():
        return None
    node = parse(match.group("tuple").strip(" ,"))
    if not isinstance(node, Group) or node.bracket not in {"(", "", "<"} or len(node.items) > 6:
        return None
    tuples = (node,) if node.bracket in {"(", "<"} else node.items
    found: dict[tuple[Node, ...], None] = {}
    for part in tuples:
        if not isinstance(part, Group) or len(part.items) > 5:
            return None
        size = len(part.items)
        orders = (
            [tuple(part.items[(i + shift) % size] for i in range(size)) for shift in range(size)]
            if match.group("cyclic")
            else list(permutations(part.items))
        )
        found.update(dict.fromkeys(orders))
    return Group(tuple(Group(items, "(") for items in found), "{")


def _only_number(text: str, parse: Parse) -> Node | None:
    if _HEDGES.search(text.lower()) or re.search(r"[=<>^\\]", text.replace("\\$", "")):
        return None
    numbers = _NUMBER.findall(text)
    if len(numbers) != 1 or len(re.findall(r"\d+", text)) != len(re.findall(r"\d+", numbers[0])):
        return None
    return parse(numbers[0])


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


def labelled(text: str, parse: Parse) -> dict[str, Node] | None:
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
        node = parse(match.group("rest").strip(" .,;"))
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
