"""A model of quick fakes whose steps are all sound, or with an engine of the test's own."""

from __future__ import annotations

from rstar_math.api.model import RStarMathModel
from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.engines.base import Engine
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.workers.bench import Workbench

SURE_HAND = FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0)


def fakes(engine: Engine | None = None) -> RStarMathModel:
    search = SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm")
    bench = Workbench(engine or FakeEngine(SURE_HAND), FakeExecutor(), FakeGrader(), FakeRewardModel())
    return RStarMathModel.from_workbench(bench, answering=AnsweringSettings(search=search))
