"""Splits of the composed world: nothing shared, tiers by depth, and "novel" that is novel."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import pytest

from rstar_math.errors import UserError
from rstar_math.pocket.composed.composition import Composition
from rstar_math.pocket.composed.splits import (
    MOST_IN_BASE,
    SPLITS,
    TIERS,
    composed_problems,
    compositions,
    is_held_out,
    split_of,
    tier_of,
)


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Composition]]:
    return {split: list(islice(compositions(split), 400 if split == "base" else 80)) for split in SPLITS}


def test_splits_share_no_problem(drawn: dict[str, list[Composition]]) -> None:
    texts = [found.question for some in drawn.values() for found in some]
    assert len(set(texts)) == len(texts)
    for split in ("train", "validation"):
        assert {split_of(found) for found in drawn[split]} == {split}


def test_the_base_knows_depth_1_and_2_and_nothing_deeper(drawn: dict[str, list[Composition]]) -> None:
    assert {found.depth for found in drawn["base"]} == {1, 2}
    assert {tier_of(found) for found in drawn["base"]} == {"1-2"}
    lengths = [len(found.links) for found in drawn["base"]]
    assert max(lengths) <= MOST_IN_BASE
    assert 0.1 < sum(length > 6 for length in lengths) / len(lengths) < 0.3
    skills = {link.skill.name for found in drawn["base"] for link in found.links}
    assert skills >= {link.skill.name for found in drawn["train"] for link in found.links}


def test_novel_pairs_and_templates_occur_nowhere_else(drawn: dict[str, list[Composition]]) -> None:
    elsewhere = [found for split in ("base", "train", "validation") for found in drawn[split]]
    novel = [found for found in drawn["test"] if is_held_out(found)]
    assert 0.3 < len(novel) / len(drawn["test"]) < 0.7
    pairs = {pair for found in elsewhere for pair in found.pairs}
    templates = {found.template for found in elsewhere if any(found.template)}
    seen = [found for found in drawn["test"] if not is_held_out(found)]
    pairs |= {pair for found in seen for pair in found.pairs}
    templates |= {found.template for found in seen if any(found.template)}
    held_out = [found for found in novel if found.pairs - pairs or found.template not in templates]
    assert held_out == novel
    assert sum(bool(found.pairs - pairs) for found in novel) > len(novel) / 2


def test_tiers_come_in_turns_and_say_how_deep_they_are() -> None:
    problems = composed_problems("train", 8)
    assert [p.tier for p in problems] == [*TIERS, *TIERS]
    for found in islice(compositions("train", 3, ("7-9",)), 10):
        assert found.depth in (7, 8, 9)
        assert found.num_judged in (3, 4)
    plain = [found.num_judged == 0 for found in islice(compositions("validation", 1, ("5-6",)), 40)]
    assert 0.25 < sum(plain) / 40 < 0.75


def test_a_longer_list_begins_with_the_shorter_and_other_seeds_differ() -> None:
    assert composed_problems("validation", 9)[:5] == composed_problems("validation", 5)
    assert not set(composed_problems("validation", 5, seed=1)) & set(composed_problems("validation", 5))
    assert {p.part for p in composed_problems("test", 20)} == {"seen", "novel"}
    assert {p.part for p in composed_problems("train", 5)} == {None}


def test_problems_are_the_same_in_another_process() -> None:
    code = "from rstar_math.pocket.composed import composed_problems as c; print([p.id for p in c('test', 6)])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str([p.id for p in composed_problems("test", 6)])


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(UserError, match="no composed split 'dev'"):
        composed_problems("dev", 1)
    with pytest.raises(UserError, match="no tier '13'"):
        composed_problems("train", 1, tiers=("13",))
