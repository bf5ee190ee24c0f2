"""The Python API awaited: many at a time, cancelled, closed, watched."""

from __future__ import annotations

import asyncio
import time

import pytest

from rstar_math import RStarMathModel
from rstar_math.config import ExecutionSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.errors import EngineError, ModelError
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.course import Course
from rstar_math.types import Completion, SamplingParams, Solution
from rstar_math.workers.bench import Workbench
from tests.api.fakes import SURE_HAND, fakes

QUESTION = "Dan fills 23 trays with 17 buttons each, and 37 buttons get broken. How many are whole?"


def test_many_are_awaited_at_a_time_and_each_is_what_it_is_alone() -> None:
    async def together() -> list[Solution]:
        assert model.solve("Question 0?").answer is not None  # blocking, where a loop is running: a cell of Jupyter
        return await asyncio.gather(*(model.asolve(f"Question {i}?") for i in range(12)))

    engine = FakeEngine(SURE_HAND)
    with fakes(engine) as model:
        alone = [model.solve(f"Question {i}?") for i in range(12)]
        most_alone = engine.max_in_flight
        found = asyncio.run(together())
        assert [s.trajectory for s in found] == [s.trajectory for s in alone]
        assert engine.max_in_flight > most_alone  # they shared the engine
        assert asyncio.run(together())[3].trajectory == alone[3].trajectory  # on another loop, the same model


def test_a_model_is_opened_and_closed_on_a_running_loop() -> None:
    async def main() -> tuple[Solution, float]:
        async with await RStarMathModel.aopen("pocket") as model:
            solution = await model.asolve(QUESTION)
            return solution, await model.aevaluate_step(QUESTION, "# all of them\ntotal = 23 * 17")

    solution, probability = asyncio.run(main())
    assert solution.answer == "354"
    assert 0 <= probability <= 1


class Spinner:
    """Writes a step that runs for ever, and for any other question than this one nothing at all."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        if "spin" not in prompt:
            await asyncio.Event().wait()
        return Generation((Completion("\nwhile True: pass\n", "<end_of_step>", 5, -1.0),) * params.n, 3)

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("warm", [True, False])
def test_cancelling_stops_the_search_and_its_programs(warm: bool) -> None:
    executor = SandboxExecutor(ExecutionSettings(cpu_s=600, wall_s=600, warm=warm), num_slots=1)
    bench = Workbench(Spinner(), executor, FakeGrader(), FakeRewardModel())
    with RStarMathModel.from_workbench(bench) as model:

        async def given_up(question: str) -> None:
            task = asyncio.create_task(model.asolve(question))
            while question.startswith("spin") and not (executor.runs or executor.pool.num_busy()):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(given_up("Wait?"))
        asyncio.run(given_up("spin"))
        until = time.monotonic() + 60  # long before the limits of the program
        while (executor.runs or executor.pool.num_busy()) and time.monotonic() < until:
            time.sleep(0.01)
        assert not executor.runs
        assert not executor.pool.num_busy()


def test_closing_while_a_question_is_open_tells_the_one_who_waits() -> None:
    async def main() -> str:
        model = fakes(Spinner())
        task = asyncio.create_task(model.asolve("Wait?"))
        await asyncio.sleep(0.05)
        await model.aclose()
        with pytest.raises(EngineError) as caught:
            await task
        with pytest.raises(ModelError, match="has been closed"):
            await model.asolve("Wait?")
        return str(caught.value)

    assert "was closed, or stopped, while it worked on this" in asyncio.run(main())


def test_the_course_can_be_read_meanwhile() -> None:
    course = Course()
    with fakes() as model:
        solution = model.solve("Question?", course=course)
    assert course.tokens_generated == solution.cost.tokens_generated
    assert course.leading == solution.answer
