"""What answers are read as: units, currencies, bars, sentences, cases, systems, sets in words, other scripts.

The first list holds pairs that mean the same, the second pairs that do not. Every line was written by hand for
this file.
"""

from __future__ import annotations

from functools import cache

import pytest

from rstar_math.grading import POLICIES, equivalent
from rstar_math.grading.policy import DEFAULT, Policy
from rstar_math.types import Verdict
from tests.grading.reading.other_answers import OTHER
from tests.grading.reading.same_answers import SAME

EATEN = [
    ("\\frac{3}{4}", "\x0crac{3}{4}"),
    ("2 \\times 3", "2 \times 3"),
    ("\\text{no}", "\text{no}"),
    ("\\theta", "\theta"),
    ("\\binom{5}{2}", "\x08inom{5}{2}"),
    ("\\rho", "\rho"),
    ("\\left(1, 2\\right)", "\\left(1, 2\right)"),
    ("x \\neq 3", "x \neq 3"),
    ("\\vec{v}", "\x0bec{v}"),
    ("\\alpha + 1", "\x07lpha + 1"),
]
"""Escapes that a JSON reader took for control characters."""


@cache
def verdict_of(gold: str, prediction: str, policy: Policy = DEFAULT) -> Verdict:
    """Decided once for all tests: some pairs are sums, whose values take a second."""
    return equivalent(gold, prediction, policy)


@pytest.mark.parametrize(("gold", "prediction"), [*SAME, *EATEN])
def test_the_same_answer(gold: str, prediction: str) -> None:
    assert verdict_of(gold, prediction).equal, verdict_of(gold, prediction)


@pytest.mark.parametrize(("gold", "prediction"), OTHER)
def test_another_answer(gold: str, prediction: str) -> None:
    assert not verdict_of(gold, prediction).equal, verdict_of(gold, prediction)


@pytest.mark.parametrize(("gold", "prediction"), SAME + OTHER)
def test_what_is_not_contested_is_the_same_under_every_policy(gold: str, prediction: str) -> None:
    verdict = verdict_of(gold, prediction)
    if not verdict.contested:
        assert {verdict_of(gold, prediction, policy).equal for policy in POLICIES.values()} == {verdict.equal}


LONG = [
    "1 ",
    "(a ",
    "is ",
    "yes, ",
    "m/s ",
    "1.",
    "1,\\,234",
    "\\frac{1}{",
    "\\ldots,",
    "if x, and ",
    "5 ft ",
    "<a>",
    "\\quad 1",
    "label on (1,2), ",
]


@pytest.mark.parametrize("piece", LONG)
def test_long_texts_cost_little(piece: str) -> None:
    text = piece * (5_000 // len(piece))
    for gold, prediction in ((text, "5"), ("5", text), (text, text[:-1] + "7")):
        assert equivalent(gold, prediction).seconds < 5, "a worker is ended after five seconds of CPU time"


def test_chains_that_end_in_one_name_are_read() -> None:
    assert not equivalent("b + 1 = c + 2 = x, d + 1 = c + 3 = x", "1, 2").equal
    assert equivalent("b + 1 = c + 2 = x, d + 1 = c + 3 = x", "x = b + 1 = c + 2, d + 1 = c + 3 = x").rule
