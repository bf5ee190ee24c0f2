"""What searches in one process share: a policy, a reward model, an executor and a grader; opened once, closed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rstar_math.config import RuntimeSettings
from rstar_math.engines.base import Engine, RewardModel
from rstar_math.execution.base import Executor, Preparing
from rstar_math.grading.base import Grader
from rstar_math.models import Policy
from rstar_math.search.environment import Environment
from rstar_math.types import Problem


@dataclass
class Tools:
    """What models may share: where programs run, and what compares answers."""

    executor: Executor
    grader: Grader

    async def aclose(self) -> None:
        """Ends every process."""
        await self.executor.aclose()
        await self.grader.aclose()


@dataclass
class Workbench:
    """The adapters of one process. `open_workbench` makes a real one; tests and users may put in their own.

    Attributes:
      engine: the policy.
      executor: where programs run.
      grader: what compares answers.
      reward_model: None without one.
      shares_tools: executor and grader are others' as well, and are not closed with it.
    """

    engine: Engine
    executor: Executor
    grader: Grader
    reward_model: RewardModel | None = None
    shares_tools: bool = False

    def environment(self, problem: Problem, seed: int) -> Environment:
        """The environment of one search."""
        return Environment(problem, self.engine, self.executor, self.grader, self.reward_model, seed)

    async def aclose(self) -> None:
        """Ends every process and frees every model."""
        await self.engine.aclose()
        if self.reward_model is not None:
            await self.reward_model.aclose()
        if not self.shares_tools:
            await Tools(self.executor, self.grader).aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def open_grader() -> Grader:
    """A grader with one killable worker process, started when a pair needs it."""
    from rstar_math.grading.pool import GradingPool

    return GradingPool()


@contextmanager
def answer_comparison() -> Iterator[Callable[[str, str], bool]]:
    """Whether two answers mean the same, for callers without an event loop; bounded as every grade is."""
    from rstar_math.grading.pool import GradingPool

    pool = GradingPool()
    try:
        yield lambda a, b: pool.grade_blocking(a, b).equal
    finally:
        pool.close()


def open_tools(runtime: RuntimeSettings, num_slots: int | None = None) -> Tools:
    """Opens an executor and a grader; arguments as for `open_workbench`.

    Raises:
      SandboxError: steps cannot be executed safely on this machine.
    """
    from rstar_math.execution.opening import open_executor

    return Tools(open_executor(runtime.execution, num_slots), open_grader())


def open_workbench(
    policy: Policy,
    reward_model: Path | None,
    runtime: RuntimeSettings,
    device: str | None = None,
    num_slots: int | None = None,
    tools: Tools | None = None,
) -> Workbench:
    """Loads the models of a search.

    Args:
      policy: folder of the policy, or how to reach and prompt it.
      reward_model: folder of the reward model, or None.
      runtime: the machine.
      device: overrides `runtime.device`, for one worker among several.
      num_slots: step programs at the same time; overrides `runtime.execution.num_slots`.
      tools: shared with other models, and closed by whoever opened them; None: its own.

    Raises:
      ModelError: a folder is missing or unfit.
      SandboxError: steps cannot be executed safely on this machine.
    """
    from rstar_math.engines.open import open_policy, open_reward_model

    engine = open_policy(policy, runtime, device)
    scoring = open_reward_model(reward_model, runtime, device) if reward_model is not None else None
    if runtime.remember is not None:
        from rstar_math.engines.shared import Memory, RememberingEngine, RememberingRewardModel, model_key

        engine = RememberingEngine(engine, Memory(Path(runtime.remember)), model_key(policy))
        if reward_model is not None and scoring is not None:
            scoring = RememberingRewardModel(scoring, Memory(Path(runtime.remember)), model_key(reward_model))
    own = tools or open_tools(runtime, num_slots)
    return Workbench(engine, own.executor, own.grader, scoring, shares_tools=tools is not None)


async def open_workbench_beside(
    policy: Policy,
    reward_model: Path | None,
    runtime: RuntimeSettings,
    device: str | None = None,
    num_slots: int | None = None,
    tools: Tools | None = None,
) -> Workbench:
    """`open_workbench`, with the sandbox starting while the models are loaded, and without holding up the loop."""
    own = tools or open_tools(runtime, num_slots)
    if isinstance(own.executor, Preparing):
        own.executor.prepare()
    try:
        bench = await asyncio.to_thread(open_workbench, policy, reward_model, runtime, device, num_slots, own)
    except BaseException:
        if tools is None:
            await own.aclose()
        raise
    bench.shares_tools = tools is not None
    return bench
