"""What a round searches with."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.config import RoundSettings
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError
from rstar_math.models import SHIPPED, find_model
from rstar_math.stages.search import search_job
from rstar_math.store.round import Round


@pytest.fixture
def rounds() -> tuple[RoundSettings, ...]:
    """The first searches with the base and without a PPM, the second with the models of the first."""
    return load_recipe("smoke").rounds


def test_a_round_searches_with_the_models_of_the_one_before(rounds: tuple[RoundSettings, ...]) -> None:
    first, second = (Round(Path("RUN"), number) for number in (1, 2))
    job = search_job(first, rounds[0], find_model("pocket-base"))
    assert (job.policy, job.reward_model, job.strategy) == (SHIPPED / "pocket-base", None, "mcts")
    job = search_job(second, rounds[1], find_model("pocket-base"))
    assert (job.policy, job.reward_model) == (first.policy, first.ppm)
    assert job.settings == rounds[1].search


def test_a_round_may_name_another_model(rounds: tuple[RoundSettings, ...]) -> None:
    settings = rounds[1].model_copy(update={"policy": "pocket"})
    job = search_job(Round(Path("RUN"), 1), settings, find_model("pocket-base"))
    assert (job.policy, job.reward_model) == (SHIPPED / "pocket" / "policy", SHIPPED / "pocket" / "ppm")


def test_models_that_are_not_there_are_named(rounds: tuple[RoundSettings, ...]) -> None:
    this, base = Round(Path("RUN"), 1), find_model("pocket-base")
    with pytest.raises(ConfigError, match="there is no round before the first"):
        search_job(this, rounds[1], base)
    with pytest.raises(ConfigError, match=r"rounds\[0\].search.use_ppm is true, and the model that searches has no"):
        search_job(this, rounds[1].model_copy(update={"policy": "base"}), base)
