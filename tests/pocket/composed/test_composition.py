"""Compositions: text, values, templates, and that every step of one counts."""

from __future__ import annotations

import random

import pytest

from rstar_math.pocket.composed.composition import LARGEST, SMALLEST, SMALLEST_ANSWER, Composition, Link, beside, draw
from rstar_math.pocket.composed.skills import SKILLS

BY_NAME = {skill.name: skill for skill in SKILLS}


def number(n: int) -> int:
    return -n - 1


def by_hand() -> Composition:
    """(37 + 12) = 49, its root 7, 7 + 49 = 56."""
    links = (
        Link(BY_NAME["plus"], 0, number(37), number(12), y_used=True),
        Link(BY_NAME["root"], 1, 0, 0, y_used=False),
        Link(BY_NAME["plus"], 1, 1, 0, y_used=True),
    )
    return Composition(links, "kmb", 0)


def test_one_whole_problem_by_hand() -> None:
    found = by_hand()
    assert found.question == (
        "Let k be 37 plus 12. Let m be the largest number whose square is at most k. "
        "Let b be the sum of m and k. What is b?"
    )
    assert found.values == [49, 7, 56]
    assert found.answer == 56
    assert [line.code for line in found.lines] == ["k = 37 + 12", "m = int(k ** 0.5)", "b = m + k"]
    assert found.template == (0, 0, 2)
    assert found.pairs == {("plus", "root"), ("root", "plus"), ("plus", "plus")}
    assert found.counts_in_full()


def test_a_step_that_changes_nothing_is_seen() -> None:
    links = (
        Link(BY_NAME["plus"], 0, number(37), number(12), y_used=True),
        Link(BY_NAME["larger"], 0, 0, number(40), y_used=True),
    )
    assert not Composition(links, "km", 0).counts_in_full()


def test_two_chains_beside_each_other_by_hand() -> None:
    second = Composition((Link(BY_NAME["times"], 0, number(8), number(5), y_used=True),), "c", 1)
    both = beside(second, by_hand(), random.Random(0))
    assert both.values == [40, 49, 7, 56]
    assert (both.depth, both.answer, len(both.names)) == (3, 56, 4)
    assert both.pairs == by_hand().pairs
    assert [line.code for line in both.lines][2] == f"{both.names[2]} = int({both.names[1]} ** 0.5)"
    assert beside(by_hand(), second, random.Random(0)).answer == 40


@pytest.mark.parametrize("depth", [1, 2, 5, 12])
def test_what_is_drawn_is_as_deep_as_asked_and_in_range(depth: int) -> None:
    rng = random.Random(depth)
    for _ in range(12):
        num_judged = rng.randrange(0, min(4, depth))
        found = draw(rng, depth, num_judged)
        assert found.depth == len(found.lines) == len(set(found.names)) == depth
        assert found.num_judged == num_judged
        assert all(SMALLEST <= value <= LARGEST for value in found.values)
        assert found.answer >= SMALLEST_ANSWER
        assert found.counts_in_full()
        assert not found.links[0].skill.is_judged_by_running
        assert all(i - 1 in (link.x, link.y) for i, link in enumerate(found.links) if i)
