"""What the Python API refuses, in words."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest

from rstar_math import Problem, RStarMathModel
from rstar_math.errors import ConfigError, ModelError, RStarError
from tests.api.fakes import fakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), r"the problem is None \(NoneType\); give a question as text, or a rstar_math.Problem"),
        ((b"2 + 3",), "the problem is b'2"),
        ((["2 + 3"],), "the problem is "),
        ((Problem("p", "  "),), "the problem is empty"),
        ((Problem("p", 3),), "the problem is empty"),  # type: ignore[arg-type]
        (("a\ud800b",), "which is no Unicode character"),
        (("Q?", 3), "strategy.*valid string"),
        (("Q?", "mtcs"), "strategy 'mtcs' is not known"),
    ],
)
def test_questions_that_are_none(arguments: tuple[Any, ...], message: str) -> None:
    with fakes() as model:
        with pytest.raises(RStarError, match=message):
            model.solve(*arguments)
        with pytest.raises(RStarError, match=message):
            asyncio.run(model.asolve(*arguments))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_simulations": "3"}, r"num_rollouts is '3' \(str\); give a whole number"),
        ({"num_simulations": True}, "num_rollouts is True"),
        ({"num_simulations": 2.5}, "num_rollouts is 2.5"),
        ({"num_simulations": 0}, "num_rollouts is 0; it must be at least 1"),
        ({"max_depth": -1}, "max_depth is -1"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_rollouts": "many"}, "max_rollouts is 'many'"),
        ({"max_seconds": "1"}, "max_seconds is '1'"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"max_seconds": 0}, "max_seconds is 0"),
        ({"seed": None}, "seed is None"),
        ({"settings": {"num_trees": 2}}, "settings is .*; give a rstar_math.config.AnsweringSettings"),
    ],
)
def test_options_of_the_wrong_kind(options: dict[str, Any], message: str) -> None:
    with fakes() as model, pytest.raises(ConfigError, match=message):
        model.solve("Question?", **options)


def test_what_is_no_model_and_no_step() -> None:
    for wrong in (None, 3, ["pocket"]):
        with pytest.raises(ConfigError, match="give its name or folder"):
            RStarMathModel.from_pretrained(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="runtime is "):
        RStarMathModel.from_pretrained("pocket", {"device": "cpu"})  # type: ignore[arg-type]
    with fakes() as model:
        with pytest.raises(ConfigError, match="next_step is None"):
            model.evaluate_step("Q?", None)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="current_state is 3"):
            model.evaluate_step(3, "x = 1")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="current_state is"):
            model.evaluate_step(["x = 1"], "x = 1", question="Q?")  # type: ignore[list-item]
        with pytest.raises(ModelError, match="is not calibrated"):
            model.evaluate_step("Q?", "x = 1")


def test_a_model_is_not_pickled() -> None:
    with fakes() as model:
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(ModelError, match=r"cannot be pickled or copied.*from_pretrained"):
                copied(model)
