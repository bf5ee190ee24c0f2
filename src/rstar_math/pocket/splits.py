"""The problems of the pocket world, in splits that share none.

A problem belongs to one split by the hash of its whole text. Its composition is its text without its numbers: one in
ten compositions is held out, by hash too, and occurs in the test split alone (part "reworded"). Names count as words:
such a problem is new as a text, not in kind. What it asks was asked of the base in other words.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal, get_args

from rstar_math.errors import UserError
from rstar_math.pocket.composition import draw_math, draw_olympiad
from rstar_math.pocket.demonstrations import misleads
from rstar_math.pocket.families import TIERS, Exercise
from rstar_math.pocket.stories import draw_story
from rstar_math.types import Problem

Split = Literal["base", "train", "validation", "test"]
"""`base`: the corpus that the base model is made from. The others: what self-evolution trains, chooses, reports on."""

DEFAULT_MIX: Mapping[Split, tuple[float, float, float]] = {
    "base": (0.30, 0.30, 0.40),
    "train": (0.15, 0.40, 0.45),
    "validation": (1 / 3, 1 / 3, 1 / 3),
    "test": (1 / 3, 1 / 3, 1 / 3),
}
"""Shares of the tiers gsm, math and olympiad. Training leans to where there is most to learn."""

SMALLEST_REFERENCE = 10
"""Smaller answers (in absolute value) are hit by luck, which spoils the labels that a search gives to steps."""

REWORDED_EVERY = 4
"""One in so many test problems is of a held-out composition."""

_PERCENT: Mapping[Split, range] = {
    "base": range(55),
    "train": range(55, 80),
    "validation": range(80, 90),
    "test": range(90, 100),
}
_DRAWS: Mapping[str, Callable[[random.Random], Exercise]] = {
    "gsm": draw_story,
    "math": draw_math,
    "olympiad": draw_olympiad,
}
_MOST_MISSES = 20_000


def pocket_problems(
    split: Split, num_problems: int, seed: int = 0, mix: tuple[float, float, float] | None = None
) -> list[Problem]:
    """Problems of one split, no two alike; the first n of a longer list are the list of n.

    Args:
      split: "base", "train", "validation" or "test".
      num_problems: how many.
      seed: another seed gives another selection from the same split.
      mix: shares of the tiers gsm, math and olympiad; None: `DEFAULT_MIX` of the split.

    Raises:
      UserError: the split is unknown, or has fewer problems than asked for.
    """
    return list(_problems(split, num_problems, seed, None if mix is None else tuple(mix)))


@lru_cache(maxsize=16)
def _problems(
    split: Split, num_problems: int, seed: int, mix: tuple[float, float, float] | None
) -> tuple[Problem, ...]:
    """Kept, since a process asks for the same problems again and again: to train, to search, and for every report."""
    return tuple(problem_of(exercise) for exercise in islice(exercises(split, seed, mix), num_problems))


def problem_of(exercise: Exercise) -> Problem:
    """The exercise as everybody but the corpus sees it: without its steps."""
    split = split_of(exercise.question)
    part = None
    if split == "test":
        part = "reworded" if is_held_out(exercise.question) else "seen"
    return Problem(
        id=f"pocket-{_digest(exercise.question).hex()[:12]}",
        question=exercise.question,
        answer=str(exercise.reference),
        tier=exercise.tier,
        source=f"pocket/{split}",
        part=part,
    )


def exercises(
    split: Split, seed: int = 0, mix: tuple[float, float, float] | None = None, *, unique: bool = True
) -> Iterator[Exercise]:
    """Endless exercises of one split: `pocket_problems` with the steps of their solutions.

    Args:
      split: "base", "train", "validation" or "test".
      seed: seeds the draws.
      mix: shares of the tiers gsm, math and olympiad; None: `DEFAULT_MIX` of the split.
      unique: never give the same text twice.

    Raises:
      UserError: the split is unknown, or nothing new was found in many draws.
    """
    if split not in get_args(Split):
        raise UserError(f"there is no pocket split {split!r}; choose one of {', '.join(get_args(Split))}")
    rng = random.Random(f"pocket {split} {seed}")
    shares = mix or DEFAULT_MIX[split]
    seen: set[str] = set()
    while True:
        tier = _pick_tier(rng, shares)
        reworded = split == "test" and rng.randrange(REWORDED_EVERY) == 0
        exercise = _draw(split, tier, reworded, rng, seen)
        if unique:
            seen.add(exercise.question)
        yield exercise


def split_of(question: str) -> Split:
    """The one split that a problem of this text belongs to."""
    if is_held_out(question):
        return "test"
    percent = int.from_bytes(_digest(question)[:8], "big") % 100
    return next(split for split, percents in _PERCENT.items() if percent in percents)


def composition_of(question: str) -> str:
    """The text without its numbers."""
    return re.sub(r"\d+", "#", question)


def is_held_out(question: str) -> bool:
    """Whether the problem's composition is kept for the reworded part of the test split."""
    return int.from_bytes(_digest(f"composition {composition_of(question)}")[:8], "big") % 10 == 0


def _pick_tier(rng: random.Random, shares: Sequence[float]) -> str:
    return rng.choices(TIERS, shares)[0]


def _draw(split: Split, tier: str, reworded: bool, rng: random.Random, seen: set[str]) -> Exercise:
    for _ in range(_MOST_MISSES):
        exercise = _DRAWS[tier](rng)
        question = exercise.question
        if (
            question not in seen
            and abs(exercise.reference) >= SMALLEST_REFERENCE
            and is_held_out(question) == reworded
            and split_of(question) == split
            and misleads(exercise)
        ):
            return exercise
    raise UserError(
        f"no new {tier} problem in {_MOST_MISSES} draws of the pocket split {split!r} after {len(seen)} problems; "
        "ask for fewer problems or another mix"
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
