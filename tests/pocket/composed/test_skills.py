"""Skills: the right way gives the reference, every other way fails, and both are different computations."""

from __future__ import annotations

import random

import pytest

from rstar_math.pocket.composed.skills import JUDGED, PLAIN, SKILLS, Skill
from rstar_math.pocket.families import Line


def run(line: Line, x: int, y: int) -> int:
    """The quantity that a way gives in the interpreter."""
    namespace: dict[str, int] = {"x": x, "y": y}
    filled = line.filled({"v": "v", "x": "x", "y": "y"})
    exec(filled.code, {}, namespace)  # no model wrote it
    return namespace["v"]


def some(skill: Skill, num: int) -> list[tuple[int, int]]:
    rng = random.Random(skill.name)
    return [(rng.randint(2, skill.most), rng.choice(skill.numbers or (1,))) for _ in range(num)]


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_the_way_that_holds_gives_the_reference(skill: Skill) -> None:
    for x, y in some(skill, 60):
        expected = skill.reference(x, y)
        if skill.name == "minus" and x < y:
            continue  # never drawn: the quantity would be out of range
        assert run(skill.ways[skill.holds(x, y)], x, y) == expected


@pytest.mark.parametrize("skill", JUDGED, ids=lambda skill: skill.name)
def test_every_other_way_fails_when_it_is_run(skill: Skill) -> None:
    held: set[int] = set()
    for x, y in some(skill, 60):
        right = skill.holds(x, y)
        held.add(right)
        open_ways = skill.ways[:y] if "multiple" in skill.name else skill.ways
        for index, line in enumerate(open_ways):
            if index != right:
                with pytest.raises(AssertionError):
                    run(line, x, y)
    assert held == set(range(len(skill.ways)))


def test_the_table_is_whole() -> None:
    assert len({skill.name for skill in SKILLS}) == len(SKILLS) >= 20
    assert not any(skill.is_judged_by_running for skill in PLAIN)
    assert all(skill.is_judged_by_running for skill in JUDGED)
    phrasings = [text for skill in SKILLS for text in skill.phrasings]
    assert len(set(phrasings)) == len(phrasings)
    assert all("{x}" in text and ("{y}" in text) == bool(skill.numbers) for skill in SKILLS for text in skill.phrasings)
    assert all("." not in text for text in phrasings)  # a sentence holds one quantity


@pytest.mark.parametrize("name", ["remainder", "quotient"])
def test_a_reference_says_what_it_cannot_compute(name: str) -> None:
    skill = next(skill for skill in SKILLS if skill.name == name)
    with pytest.raises(ValueError, match="0 is not taken away from 5"):
        skill.reference(5, 0)
