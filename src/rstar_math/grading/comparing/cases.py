"""Values that are given case by case, and their conditions."""

from __future__ import annotations

from rstar_math.grading.comparing.match import Comparison, Match
from rstar_math.grading.reading.nodes import Group, Named, Node, Opaque, Piecewise, Relation, SetOperation

_OTHERWISE = Named("true")
_OPPOSITES = {"odd": "even", "even": "odd", "rational": "irrational", "irrational": "rational"}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}


def compare_cases(gold: Node, prediction: Node, by: Comparison) -> Match:
    """The same values under the same conditions; what stands for all other cases may be written out."""
    if not isinstance(gold, Piecewise) or not isinstance(prediction, Piecewise):
        return Match(False, "piecewise")
    if len(gold.pieces) != len(prediction.pieces):
        return Match(False, "piecewise")
    left = [Group(piece, "(") for piece in gold.pieces]
    right = [Group(piece, "(") for piece in prediction.pieces]
    found = by.matching(left, right, "piecewise")
    if found.equal:
        return found
    left = [Group(piece, "(") for piece in _conditions_written_out(gold, prediction).pieces]
    right = [Group(piece, "(") for piece in _conditions_written_out(prediction, gold).pieces]
    return by.matching(left, right, "piecewise")


def _conditions_written_out(node: Piecewise, other: Piecewise) -> Piecewise:
    """Two cases of which one holds "otherwise", that condition written out.

    Other cases are left as they are, and so are these where `other` says "otherwise" too.
    """
    if len(node.pieces) != 2 or all(_OTHERWISE not in piece for piece in node.pieces):
        return node
    if any(_OTHERWISE in piece for piece in other.pieces):
        return node
    (value, condition), (rest, _) = sorted(node.pieces, key=lambda piece: piece[1] == _OTHERWISE)
    opposite = _opposite(condition)
    return node if opposite is None else Piecewise(((value, condition), (rest, opposite)))


def _opposite(condition: Node) -> Node | None:
    match condition:
        case Relation(sides=(left, right), operators=(operator,)) if operator in _NEGATED:
            return Relation((left, right), (_NEGATED[operator],))
        case SetOperation(operator="intersection" | "union" as operator, parts=parts):
            opposites = [_opposite(part) for part in parts]
            known = tuple(part for part in opposites if part is not None)
            if len(known) != len(parts):
                return None
            return SetOperation("union" if operator == "intersection" else "intersection", known)
        case Opaque(text=text):
            words = text.split()
            changed = [_OPPOSITES.get(word, word) for word in words]
            return Opaque(" ".join(changed)) if changed != words else None
        case _:
            return None
