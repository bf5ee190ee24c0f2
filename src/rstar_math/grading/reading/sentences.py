"""The answer inside a sentence.

Only sentences of known forms are read. What they hedge or deny ("at most 5", "not convergent") is no answer of its own.
"""

from __future__ import annotations

import re
from itertools import permutations

from rstar_math.grading.reading.nodes import Group, Named, Node, Quantity
from rstar_math.grading.reading.normalise import ROW_END, unmarked
from rstar_math.grading.reading.parse import parsed
from rstar_math.grading.reading.units import is_known

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


def answers_in(text: str, *, is_reference: bool) -> Node | None:
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
        if node := _answer(bare):
            return node
    if ROW_END not in bare and len(re.findall(_QUANTIFIER, bare)) > 1:
        parts = [part for part in _QUANTIFIER.split(bare) if part.strip(" .,;")]
        if node := _answer(f" {ROW_END} ".join(part.strip(" .,;") for part in parts)):
            return node
    opening = _OPENING.match(bare)
    if opening:
        bare = bare[opening.end() :].strip()
        if node := _answer(bare):
            return node
    subject = _IS_THE_ANSWER.fullmatch(bare)
    if subject and not _HEDGES.search(subject.group("value")):
        return _answer(subject.group("value"))
    count = _THERE_ARE.fullmatch(bare)
    if count and not _HEDGES.search(count.group("rest").lower()):
        return parsed(count.group("number"))
    head = _HEAD.match(bare)
    if head and head.group().strip() and (node := _answer(bare[head.end() :])):
        return node
    if len(bare.split()) >= 3 and _is_prose(bare):
        for verb in reversed(list(_STATES.finditer(bare))):
            if not _is_prose(bare[: verb.start()]):
                continue
            if node := _answer(_ATTAINED.sub("", bare[verb.end() :])):
                return node
        if is_reference and _SENTENCE_START.match(bare) and len(bare.split()) >= 4:
            return _only_number(bare)
    return _permuted(bare)


def _without_prose(match: re.Match[str]) -> str:
    """Nothing for words in brackets; other brackets as they are."""
    words = re.findall("[A-Za-z]{3,}", match.group(1))
    return " " if words and len(match.group(1).split()) > 1 else match.group()


def _is_prose(text: str) -> bool:
    """Whether a text is words in the main: at least two of three letters or more."""
    return len(re.findall(r"(?<![\\a-zA-Z])[A-Za-z]{3,}", text)) >= 2 or bool(
        re.fullmatch(r"\s*(?:it|the \w+)\s*", text, re.I)
    )


def _answer(text: str) -> Node | None:
    """The node of what a sentence states, where that is a value, values or an equation, and no further words."""
    text = text.strip().strip(".").strip()
    permuted = _permuted(text)
    if permuted is not None:
        return permuted
    if re.search(r"(?<![\\a-zA-Z])(?:not|at|least|most|than|any|all|such|if|of)\b", text):
        return None
    node = parsed(text)
    if node is None or isinstance(node, Named) or (isinstance(node, Quantity) and not is_known(node.unit)):
        return None
    if isinstance(node, Group) and not node.items:
        return None
    return node


def _permuted(text: str) -> Node | None:
    match = _PERMUTED.fullmatch(text.strip().strip(".")) or _PERMUTED_FIRST.fullmatch(text.strip().strip("."))
    if not match or not match.group("tuple").strip():
        return None
    node = parsed(match.group("tuple").strip(" ,"))
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


def _only_number(text: str) -> Node | None:
    if _HEDGES.search(text.lower()) or re.search(r"[=<>^\\]", text.replace("\\$", "")):
        return None
    numbers = _NUMBER.findall(text)
    if len(numbers) != 1 or len(re.findall(r"\d+", text)) != len(re.findall(r"\d+", numbers[0])):
        return None
    return parsed(numbers[0])
