"""The names that users rely on. A change here is a change for them: it belongs into the changelog."""

from __future__ import annotations

import dataclasses
import inspect
from importlib.util import find_spec

import pytest

import rstar_math
from rstar_math import errors, steps, types
from rstar_math.search.strategies import STRATEGIES


def test_names_of_the_package() -> None:
    assert sorted(rstar_math.__all__) == [
        "Problem",
        "RStarError",
        "RStarMathModel",
        "Solution",
        "UserError",
        "__version__",
    ]
    assert set(rstar_math.__all__) == {*rstar_math._EXPORTS, "__version__"}
    assert rstar_math.Problem is types.Problem
    assert rstar_math.Solution is types.Solution
    assert rstar_math.RStarError is errors.RStarError
    assert rstar_math.UserError is errors.UserError
    with pytest.raises(AttributeError, match="module 'rstar_math' has no attribute 'Nothing'"):
        _ = rstar_math.Nothing


@pytest.mark.skipif(find_spec("rstar_math.api.model") is None, reason="there is no model.py yet")
def test_the_model() -> None:
    model = rstar_math.RStarMathModel
    for name in ("from_pretrained", "solve_with_mcts", "evaluate_step"):
        assert inspect.getdoc(getattr(model, name)), name
    solve = inspect.signature(model.solve_with_mcts).parameters
    assert {"problem", "num_simulations", "max_depth"} <= set(solve)
    assert list(inspect.signature(model.evaluate_step).parameters)[1:3] == ["current_state", "next_step"]


def test_the_markers_are_the_released_ones() -> None:
    assert steps.MARKERS == (
        "<code>",
        "<end_of_step>",
        "<end_of_code>",
        "<output>",
        "<end_of_output>",
        "<answer>",
        "<end_of_answer>",
    )
    assert steps.STOPS == ("<end_of_step>", "<end_of_code>", "<end_of_answer>")
    assert steps.prompt("Q") == (
        "<|user|>:\nQ\n<|assistant|>: Let's think step by step and solve the problem with code.<code>"
    )


def test_strategies() -> None:
    assert {"greedy", "sample", "mcts"} <= set(STRATEGIES)
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert inspect.iscoroutinefunction(strategy.grow)
        assert strategy.grow.__doc__


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (types.Problem, "id question answer tier source part"),
        (types.Completion, "text stop num_tokens logprob"),
        (types.Execution, "status output error seconds"),
        (types.Step, "text code observation execution answer"),
        (
            types.Cost,
            "tokens_prompt tokens_generated tokens_scored model_calls executions grades cpu_seconds seconds",
        ),
        (types.Solution, "answer reasoning_trace trajectory candidates confidence sure cost"),
    ],
)
def test_fields_only_grow(of: type, names: str) -> None:
    found = [field.name for field in dataclasses.fields(of)]
    assert found[: len(names.split())] == names.split()


def test_values_are_frozen() -> None:
    for of in (types.Problem, types.Completion, types.Execution, types.Step, types.Verdict, types.Solution):
        assert vars(of)["__dataclass_params__"].frozen, of
    with pytest.raises(dataclasses.FrozenInstanceError):
        types.Problem("p", "Q?").answer = "1"  # type: ignore[misc]


def test_the_error_tree_is_the_one_that_is_drawn() -> None:
    assert errors.__doc__ is not None
    drawn: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        name = line.strip().lstrip("│├└─ ").split(" ")[0]
        if name.endswith("Error") and hasattr(errors, name):
            drawn.append((line.index(name), name))
    classes = {name: e for name, e in vars(errors).items() if isinstance(e, type) and e.__module__ == errors.__name__}
    assert {name for _, name in drawn} == set(classes)
    for i, (indent, name) in enumerate(drawn[1:], start=1):
        parent = next(above for depth, above in reversed(drawn[:i]) if depth < indent)
        assert classes[name].__bases__ == (classes[parent],)
        assert classes[name].__doc__


def test_cost_adds_up() -> None:
    total = types.Cost(tokens_prompt=1, seconds=0.5)
    total.add(types.Cost(tokens_prompt=2, grades=3, seconds=1.0))
    assert total == types.Cost(tokens_prompt=3, grades=3, seconds=1.5)
    every = types.Cost(*range(1, 9))
    every.add(types.Cost(*range(1, 9)))
    assert every == types.Cost(*range(2, 18, 2))
