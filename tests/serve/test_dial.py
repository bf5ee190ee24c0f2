"""From fields of a request to strategy, limits and seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.serve.dial import Dial, dial, model_names
from rstar_math.serve.requests import ChatRequest
from tests.api.fake_model import fake_model
from tests.config.test_curve import curve
from tests.serve.serving import ask


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, RStarMathModel]]:
    with fake_model() as bare, fake_model() as measured:
        measured.folders = replace(measured.folders, curve=curve((100, 0.5), (200, 0.7), (400, 0.9), (1600, 0.9)))
        yield {"bare": bare, "measured": measured}


def dialled(models: dict[str, RStarMathModel], **fields: object) -> Dial:
    body = {**ask(), "model": "measured", **fields}
    return dial(ChatRequest.model_validate(body), model_names(models))


@pytest.mark.parametrize(
    ("fields", "strategy", "tokens"),
    [
        ({}, None, None),
        ({"reasoning_effort": "none"}, "greedy", None),
        ({"reasoning_effort": "none", "model": "measured:forest"}, "forest", None),
        ({"reasoning_effort": "minimal"}, None, 141),
        ({"reasoning_effort": "low"}, None, 200),
        ({"reasoning_effort": "high", "model": "measured:forest"}, "forest", 373),
        ({"reasoning_effort": "max"}, None, 1600),
        ({"reasoning_effort": "max", "thinking_token_budget": 300}, None, 300),
        ({"reasoning_effort": "low", "thinking_token_budget": 300}, None, 200),
        ({"reasoning_effort": "low", "rstar": {"tokens": 77}}, None, 77),
        ({"rstar": {"strategy": "beam", "tokens": 500}, "thinking_token_budget": 300}, "beam", 300),
    ],
)
def test_the_dial(
    models: dict[str, RStarMathModel], fields: dict[str, object], strategy: str | None, tokens: int | None
) -> None:
    found = dialled(models, **fields)
    assert (found.strategy, found.tokens) == (strategy, tokens)
    assert found.seed == 0
    assert not found.notes


def test_an_effort_that_nobody_measured_is_said(models: dict[str, RStarMathModel]) -> None:
    found = dialled(models, model="bare", reasoning_effort="high")
    assert (found.strategy, found.tokens) == (None, None)
    assert "nobody measured" in found.notes[0]


def test_names_are_models_and_their_strategies(models: dict[str, RStarMathModel]) -> None:
    names = model_names(models)
    assert {"bare", "bare:greedy", "measured:ab_mcts"} <= set(names)
    assert names["bare:greedy"] == (models["bare"], "greedy")
