"""References that are probably wrong: problems whose verified trajectories agree with one another against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rstar_math.types import Problem

MIN_TRAJECTORIES = 4
"""Fewer answers to a problem say nothing about its reference."""

MIN_AGREEMENT = 0.75
"""Share of a problem's answers that must be the same one."""

MAX_SUPPORT = 0.1
"""Share of a problem's answers that may still agree with the reference."""


@dataclass(frozen=True, slots=True)
class SuspectReference:
    """A problem whose reference its solutions contradict.

    Attributes:
      problem: id of the problem.
      reference: the reference answer.
      answer: what the trajectories say instead, in its most frequent spelling.
      num_agreeing: trajectories that give this answer.
      num_supporting: trajectories that give the reference.
      num_trajectories: trajectories with an answer.
    """

    problem: str
    reference: str
    answer: str
    num_agreeing: int
    num_supporting: int
    num_trajectories: int

    @property
    def agreement(self) -> float:
        """Share of the trajectories that give `answer`, in [0, 1]."""
        return self.num_agreeing / self.num_trajectories


def suspect_references(
    answered: Iterable[tuple[Problem, Sequence[str | None]]],
    same: Callable[[str, str], bool],
    *,
    min_trajectories: int = MIN_TRAJECTORIES,
    min_agreement: float = MIN_AGREEMENT,
    max_support: float = MAX_SUPPORT,
) -> list[SuspectReference]:
    """The problems whose reference is contradicted, the clearest first.

    A suspicion, not a proof: a policy with a firm misconception agrees with itself too. The answers should come from
    several trees or samples: trajectories of one tree share steps, and with them mistakes.

    Args:
      answered: each problem with the answers of its verified trajectories (every step executed); None: no answer.
      same: whether two answers mean the same, for example `lambda a, b: pool.grade_blocking(a, b).equal`.
      min_trajectories: problems with fewer answers are left out.
      min_agreement: share of the answers that must be the same one, in (0.5, 1].
      max_support: share of the answers that may agree with the reference, in [0, 1).
    """
    suspects: list[SuspectReference] = []
    for problem, answers in answered:
        given = [answer for answer in answers if answer is not None and answer.strip()]
        if problem.answer is None or len(given) < min_trajectories:
            continue
        groups = grouped(given, same)
        largest = max(groups, key=len)
        if len(largest) < min_agreement * len(given) or same(problem.answer, largest[0]):
            continue
        supporting = sum(len(group) for group in groups if group is not largest and same(problem.answer, group[0]))
        if supporting > max_support * len(given):
            continue
        spelling = max(dict.fromkeys(largest), key=largest.count)
        suspects.append(SuspectReference(problem.id, problem.answer, spelling, len(largest), supporting, len(given)))
    return sorted(suspects, key=lambda suspect: (-suspect.agreement, -suspect.num_agreeing, suspect.problem))


def grouped(answers: Sequence[str], same: Callable[[str, str], bool]) -> list[list[str]]:
    """The answers in groups of one meaning, in the order in which the groups first appear."""
    groups: list[list[str]] = []
    place: dict[str, list[str]] = {}  # equal texts are compared once
    for answer in answers:
        group = place.get(answer)
        if group is None:
            group = next((known for known in groups if same(known[0], answer)), None)
            if group is None:
                group = []
                groups.append(group)
            place[answer] = group
        group.append(answer)
    return groups
