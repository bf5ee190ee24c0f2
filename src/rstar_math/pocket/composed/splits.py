"""The problems of the composed world, in splits that share none, and in tiers by depth.

The base knows depth 1 and 2 alone, in texts of up to twelve quantities: several chains may stand beside each other.
Training, validation and test problems have depth 3 to 12, and belong to one split by the hash of their text. One in ten
pairs of skills, and one in ten templates with a quantity of two parents, are held out: no base, training or validation
problem has one. Test problems that have one are "novel", one in two.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from rstar_math.errors import UserError
from rstar_math.pocket.composed.composition import Composition, beside, draw
from rstar_math.types import Problem

SPLITS = ("train", "validation", "test", "base")

TIERS: Mapping[str, tuple[range, range]] = {
    "3-4": (range(3, 5), range(1, 3)),
    "5-6": (range(5, 7), range(2, 4)),
    "7-9": (range(7, 10), range(3, 5)),
    "10-12": (range(10, 13), range(4, 7)),
}
"""Depths of a tier, and how many of its steps are judged by running."""

BASE = (range(1, 3), range(2))
"""Depths of what the base is made from; at most one step of a chain is judged by running."""

SHARE_BESIDE = 0.6
"""Share of the base's texts that have a second chain, and of those the share with a third, and so on."""

MOST_IN_BASE = 12
"""Most quantities of a text of the base: no problem is longer, so that length alone is nothing new."""

PLAIN_EVERY = 2
"""One in so many validation and test problems has no step that is judged by running: a policy alone can do them."""

NOVEL_EVERY = 2
"""One in so many test problems has a held-out pair of skills or a held-out template."""

_HELD_OUT_EVERY = 10
_PERCENT = {"train": range(70), "validation": range(70, 85), "test": range(85, 100)}
_MOST_MISSES = 20_000


def composed_problems(
    split: str, num_problems: int, seed: int = 0, tiers: Sequence[str] = tuple(TIERS)
) -> list[Problem]:
    """Problems of one split, no two alike; the first n of a longer list are the list of n.

    Args:
      split: one of `SPLITS`.
      num_problems: how many.
      seed: another seed gives another selection from the same split.
      tiers: of `TIERS`, in turns; the base has none.

    Raises:
      UserError: the split or a tier is unknown, or nothing new was found in many draws.
    """
    return list(_problems(split, num_problems, seed, tuple(tiers)))


@lru_cache(maxsize=16)
def _problems(split: str, num_problems: int, seed: int, tiers: tuple[str, ...]) -> tuple[Problem, ...]:
    return tuple(problem_of(found, split) for found in islice(compositions(split, seed, tiers), num_problems))


def problem_of(found: Composition, split: str) -> Problem:
    """The composition as everybody but the corpus sees it: without its steps."""
    part = None
    if split == "test":
        part = "novel" if is_held_out(found) else "seen"
    return Problem(
        id=f"composed-{hashlib.sha256(found.question.encode()).hexdigest()[:12]}",
        question=found.question,
        answer=str(found.answer),
        tier=tier_of(found),
        source=f"composed/{split}",
        part=part,
    )


def compositions(
    split: str, seed: int = 0, tiers: Sequence[str] = tuple(TIERS), *, unique: bool = True
) -> Iterator[Composition]:
    """Endless compositions of one split: `composed_problems` with their steps.

    Raises:
      UserError: the split or a tier is unknown, or nothing new was found in many draws.
    """
    if split not in SPLITS:
        raise UserError(f"there is no composed split {split!r}; choose one of {', '.join(SPLITS)}")
    if unknown := [tier for tier in tiers if tier not in TIERS]:
        raise UserError(f"there is no tier {unknown[0]!r} in the composed world; choose from {', '.join(TIERS)}")
    rng = random.Random(f"composed {split} {seed} {' '.join(tiers)}")
    seen: set[str] = set()
    number = 0
    while True:
        depths, judged = BASE if split == "base" else TIERS[tiers[number % len(tiers)]]
        plain = split in ("validation", "test") and rng.randrange(PLAIN_EVERY) == 0
        novel = split == "test" and rng.randrange(NOVEL_EVERY) == 0
        found = _draw(split, rng, depths, range(1) if plain else judged, novel, seen)
        if unique:
            seen.add(found.question)
        number += 1
        yield found


def tier_of(found: Composition) -> str:
    """The tier of its depth; "1-2" of what the base is made from."""
    return next((name for name, (depths, _) in TIERS.items() if found.depth in depths), "1-2")


def is_held_out(found: Composition) -> bool:
    """Whether it has a pair of skills, or a template, that only novel test problems have."""
    template = found.template
    return any(_is_held_out("pair", *pair) for pair in found.pairs) or (
        any(template) and _is_held_out("template", *map(str, template))
    )


def split_of(found: Composition) -> str:
    """The one split that a composition of depth 3 or more without held-out parts belongs to."""
    percent = int.from_bytes(hashlib.sha256(found.question.encode()).digest()[:8], "big") % 100
    return next(split for split, percents in _PERCENT.items() if percent in percents)


def _draw(split: str, rng: random.Random, depths: range, judged: range, novel: bool, seen: set[str]) -> Composition:
    for _ in range(_MOST_MISSES):
        depth = rng.choice(depths)
        found = draw(rng, depth, min(rng.choice(judged), depth - 1))
        while split == "base" and len(found.links) + max(depths) <= MOST_IN_BASE and rng.random() < SHARE_BESIDE:
            depth = rng.choice(depths)
            found = beside(draw(rng, depth, min(rng.choice(judged), depth - 1)), found, rng)
        if found.question in seen or is_held_out(found) != novel:
            continue
        if split == "base" or novel or split_of(found) == split:
            return found
    raise UserError(f"no new problem in {_MOST_MISSES} draws of composed/{split}; ask for fewer problems")


def _is_held_out(*key: str) -> bool:
    digest = hashlib.sha256("|".join(("composed", *key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % _HELD_OUT_EVERY == 0
