"""The outcome of a comparison, and the comparison of several parts, side by side or in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rstar_math.grading import bounds
from rstar_math.grading.policy import Policy
from rstar_math.grading.reading.nodes import Node


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome of one comparison.

    Attributes:
      equal: whether both mean the same.
      rule: what decided.
      contested: whether the policy had a say.
    """

    equal: bool
    rule: str
    contested: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the parts of two answers are compared.

    Attributes:
      policy: decides on contested matters.
      compare: the comparison of two nodes of any kind, the reference first.
    """

    policy: Policy
    compare: Callable[[Node, Node], Match]

    def contested(self, matter: str) -> Match:
        """What the policy says on a matter, named as its rule."""
        return Match(self.policy.allows(matter), matter, contested=True)

    def in_order(self, gold: Sequence[Node], prediction: Sequence[Node], rule: str) -> Match:
        """Whether the two sides are equal part by part."""
        if len(gold) != len(prediction):
            return Match(False, rule)
        found = Match(True, rule)
        for first, second in zip(gold, prediction, strict=True):
            current = self.compare(first, second)
            if not current.equal:
                if not current.contested:
                    return Match(False, rule)
                found = Match(False, rule, contested=True)
            elif current.contested and found.equal:
                found = Match(True, rule, contested=True)
        return found

    def matching(self, gold: Sequence[Node], prediction: Sequence[Node], rule: str) -> Match:
        """Whether the two sides pair off, whatever their order."""
        if len(gold) != len(prediction):
            return Match(False, "number_of_answers")
        if len(gold) > bounds.MAX_ITEMS:
            return self.in_order(gold, prediction, rule)
        known: dict[tuple[int, int], Match] = {}

        def outcome(i: int, j: int) -> Match:
            if (i, j) not in known:
                known[i, j] = self.compare(gold[i], prediction[j])
            return known[i, j]

        taken: dict[int, int] = {}  # index in the prediction -> index in the reference
        for i in range(len(gold)):
            if not _augmented(i, len(prediction), lambda a, b: outcome(a, b).equal, taken, set()):
                return Match(False, rule, any(outcome(i, j).contested for j in range(len(prediction))))
        return Match(True, rule, any(outcome(i, j).contested for j, i in taken.items()))


def _augmented(
    i: int, num_right: int, equal: Callable[[int, int], bool], taken: dict[int, int], seen: set[int]
) -> bool:
    """Kuhn's step of a bipartite matching: finds a place for i, moving others where needed."""
    for j in range(num_right):
        if j in seen or not equal(i, j):
            continue
        seen.add(j)
        if j not in taken or _augmented(taken[j], num_right, equal, taken, seen):
            taken[j] = i
            return True
    return False
