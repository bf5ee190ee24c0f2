"""Demonstrations of composed problems: their code prints the reference, in the step format."""

from __future__ import annotations

import contextlib
import io
from itertools import islice

import pytest

from rstar_math import steps
from rstar_math.pocket.composed.splits import SPLITS, compositions
from rstar_math.pocket.composed.teacher import demonstration


@pytest.mark.parametrize("split", SPLITS)
def test_the_code_prints_what_the_references_say(split: str) -> None:
    for found in islice(compositions(split, 5), 300 if split == "base" else 60):
        code = "\n".join(step.code for step in demonstration(found) if step.code)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, {})  # no model wrote it
        assert printed.getvalue().strip() == str(found.answer)


def test_demonstrations_are_in_the_step_format() -> None:
    for found in islice(compositions("train", 6), 20):
        solution = demonstration(found)
        parsed = steps.parse(steps.render(solution))
        assert [(s.text, s.code, s.observation, s.answer) for s in parsed] == [
            (s.text, s.code, s.observation, s.answer) for s in solution
        ]
        assert len(solution) == found.depth + 2
        closed = False
        for step in solution:
            stop = next(stop for stop in steps.STOPS if step.text.endswith(stop))
            assert steps.malformed(step.text, stop, closed) is None
            closed = closed or stop == steps.END_OF_CODE
