"""What the policy sees of a finished program: all that it printed, or what the released code shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from rstar_math.config import SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.errors import ConfigError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.search.mcts import mcts
from rstar_math.store.records import row_to_tree, tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Completion, Execution, Problem, SamplingParams
from tests.growing import fake_environment

FIRST = ("\nx = 6 * 7\nprint(x)\n", "<end_of_step>")
LAST = ("\n\ny = x + 1\nprint(y)\ny = 0\n", "<end_of_code>")


class OneSolution:
    """Proposes the two steps, one after the other."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        text, stop = LAST if "x = 6" in prompt else FIRST
        if "<output>" in prompt:
            text, stop = "\n<answer>\\boxed{43}", "<end_of_answer>"
        return Generation((Completion(text, stop, 10, -0.5),) * params.n, 5)

    async def aclose(self) -> None:
        pass


def grow(observation: Literal["full", "official"], executor: FakeExecutor | None = None) -> Tree:
    settings = SearchSettings(num_rollouts=1, num_candidates=1, use_ppm=False, observation=observation)
    env = fake_environment(Problem("p", "Q?", "43"), engine=OneSolution(), executor=executor or FakeExecutor())
    return asyncio.run(mcts(env, settings))


def observations(tree: Tree) -> list[str]:
    return [node.step.observation for node in tree.nodes[1:] if node.step]


def test_by_default_all_that_was_printed() -> None:
    assert observations(grow("full")) == ["", "\n<output>42\n43<end_of_output>", ""]


def test_as_the_released_code_shows_it() -> None:
    tree = grow("official")
    assert observations(tree) == ["", "\n<output>x: 42\ny: 43<end_of_output>", ""]
    assert [node.step.execution.output for node in tree.nodes[1:3] if node.step and node.step.execution] == [
        "42\n",
        "43\n",
    ]
    assert tree.cost.executions == grow("full").cost.executions + 2  # the finished program once more
    assert tree_to_row(row_to_tree(tree_to_row(tree))) == tree_to_row(tree)


class Silent:
    """An executor that records nothing."""

    def __init__(self) -> None:
        self._inner = FakeExecutor()

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        return await self._inner.execute(prefix, code)

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        return await self._inner.execute_program(steps)

    async def aclose(self) -> None:
        pass


def test_an_executor_that_cannot_record_is_an_error() -> None:
    settings = SearchSettings(num_rollouts=1, num_candidates=1, use_ppm=False, observation="official")
    env = fake_environment(Problem("p", "Q?", "43"), engine=OneSolution(), executor=Silent())
    with pytest.raises(ConfigError, match="does not record statements"):
        asyncio.run(mcts(env, settings))
