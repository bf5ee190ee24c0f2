"""Sets of real numbers as sorted lists of pieces that do not touch, and how these are joined, cut and turned round."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rstar_math.grading.comparing.evaluate import approximately
from rstar_math.grading.reading.nodes import Constant, Node, negated

INFINITY: Node = Constant("oo")
MINUS_INFINITY: Node = negated(INFINITY)


@dataclass(frozen=True, slots=True)
class Piece:
    """One interval, or one point where both ends are the same.

    Attributes:
      low, high: its ends as expressions.
      low_at, high_at: their values, for sorting.
      low_closed, high_closed: whether the ends belong to it.
    """

    low: Node
    high: Node
    low_at: float
    high_at: float
    low_closed: bool
    high_closed: bool


def interval(low: Node, high: Node, low_closed: bool, high_closed: bool) -> list[Piece]:
    """The numbers between two ends, none where these are the wrong way round; an infinite end is open."""
    low_at, high_at = approximately(low), approximately(high)
    if math.isinf(low_at):
        low_closed = False
    if math.isinf(high_at):
        high_closed = False
    if low_at > high_at or (low_at == high_at and not (low_closed and high_closed)):
        return []
    return [Piece(low, high, low_at, high_at, low_closed, high_closed)]


def same_place(left: float, right: float) -> bool:
    """Whether two ends are the same number, their values being floats."""
    if math.isinf(left) or math.isinf(right):
        return left == right
    return abs(left - right) <= 1e-12 * max(abs(left), abs(right))


def merged(found: list[Piece]) -> list[Piece]:
    """The pieces sorted, those that touch joined."""
    result: list[Piece] = []
    for piece in sorted(found, key=lambda piece: (piece.low_at, not piece.low_closed)):
        if result:
            last = result[-1]
            touches = same_place(last.high_at, piece.low_at) and (last.high_closed or piece.low_closed)
            if (piece.low_at < last.high_at and not same_place(last.high_at, piece.low_at)) or touches:
                longer = piece if piece.high_at > last.high_at and not same_place(piece.high_at, last.high_at) else last
                closed = longer.high_closed
                if same_place(piece.high_at, last.high_at):
                    closed = piece.high_closed or last.high_closed
                result[-1] = Piece(last.low, longer.high, last.low_at, longer.high_at, last.low_closed, closed)
                continue
        result.append(piece)
    return result


def intersection(left: list[Piece], right: list[Piece]) -> list[Piece]:
    """The numbers in both sets."""
    found: list[Piece] = []
    for a in left:
        for b in right:
            if same_place(a.low_at, b.low_at):
                low, low_at, low_closed = a.low, a.low_at, a.low_closed and b.low_closed
            else:
                start = a if a.low_at > b.low_at else b
                low, low_at, low_closed = start.low, start.low_at, start.low_closed
            if same_place(a.high_at, b.high_at):
                high, high_at, high_closed = a.high, a.high_at, a.high_closed and b.high_closed
            else:
                end = a if a.high_at < b.high_at else b
                high, high_at, high_closed = end.high, end.high_at, end.high_closed
            if (low_at < high_at and not same_place(low_at, high_at)) or (
                same_place(low_at, high_at) and low_closed and high_closed
            ):
                found.append(Piece(low, high, low_at, high_at, low_closed, high_closed))
    return merged(found)


def complement(found: list[Piece]) -> list[Piece]:
    """The real numbers that are not in a set."""
    result: list[Piece] = []
    low, low_at, low_closed = MINUS_INFINITY, -math.inf, False
    for piece in found:
        if piece.low_at > low_at or (same_place(piece.low_at, low_at) and low_closed and not piece.low_closed):
            result.append(Piece(low, piece.low, low_at, piece.low_at, low_closed, not piece.low_closed))
        low, low_at, low_closed = piece.high, piece.high_at, not piece.high_closed
    if low_at < math.inf:
        result.append(Piece(low, INFINITY, low_at, math.inf, low_closed, False))
    return result
