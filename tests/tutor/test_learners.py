"""Simulated learners: right steps in other words are accepted, wrong ones refused, the answer never told too early."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from rstar_math.pocket.splits import exercises
from tests.tutor.measuring import SEED, Counts, measure, measure_model
from tests.tutor.room import Room, exercise_lesson


def test_learners_with_right_solutions(room: Room) -> None:
    counts = Counts()
    for number, exercise in enumerate(islice(exercises("test", 11), 3)):
        room.wait(measure(exercise_lesson(room, exercise), exercise, random.Random(number), counts))
    right, wrong = counts.share("right"), counts.share("wrong")
    assert right[1] > 50
    assert wrong[1] > 50
    assert right[0] >= 0.97, counts.failures
    assert wrong[0] >= 0.97, counts.failures
    assert sum(counts.named) >= 0.95 * len(counts.named), counts.failures
    assert not counts.leaks


@pytest.mark.slow
@pytest.mark.parametrize("with_reference", [False, True])
def test_learners_with_the_shipped_model(with_reference: bool) -> None:
    """Where the tutor is sure; in all problems only with the answers given, since the model is wrong on six of them."""
    from rstar_math.api.model import RStarMathModel

    counts = Counts()
    with RStarMathModel.from_pretrained("pocket") as model:
        chosen = list(islice(exercises("test", SEED), 100))
        model._loop.call(measure_model(model, chosen, counts, with_reference))
    assert counts.problems["sure"] >= 90
    for which in ("right", "wrong"):
        assert counts.share(which, None if with_reference else "sure")[0] >= 0.95, counts.text(True)
    assert sum(counts.named) >= 0.95 * len(counts.named)
    assert not counts.leaks
