"""A model of fakes, for tests of what stands around a model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rstar_math.api.model import RStarMathModel
from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.types import Execution, SamplingParams
from rstar_math.workers.bench import Workbench

SETTINGS = AnsweringSettings(
    search=SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm", max_step_tokens=64), num_trees=2
)
"""How a fake model answers where nothing else is asked for."""


class SlowEngine(FakeEngine):
    """Takes so many seconds for every request, and says how many it has under way and how many were cancelled."""

    def __init__(self, seconds: float) -> None:
        super().__init__(FakePolicy(error_rate=0, malformed_rate=0))
        self.seconds = seconds
        self.num_under_way = self.num_cancelled = 0

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """As the fake engine, later."""
        self.num_under_way += 1
        try:
            await asyncio.sleep(self.seconds)
            return await super().generate(prompt, params)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        finally:
            self.num_under_way -= 1


class HangingExecutor(FakeExecutor):
    """Never ends the programs of a search."""

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Waits for ever."""
        await asyncio.Event().wait()
        raise AssertionError


def fake_model(
    engine: Engine | None = None,
    executor: FakeExecutor | None = None,
    *,
    has_reward_model: bool = True,
    settings: AnsweringSettings | None = None,
) -> RStarMathModel:
    """A model of fakes; without a reward model it samples."""
    scored = FakeRewardModel() if has_reward_model else None
    bench = Workbench(engine or FakeEngine(), executor or FakeExecutor(), FakeGrader(), scored)
    return RStarMathModel.from_workbench(bench, "fake", settings or (SETTINGS if has_reward_model else None))
