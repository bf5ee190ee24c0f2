"""Streams of events while an answer is thought about: what they tell, how they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy
from rstar_math.errors import ConfigError, EngineError
from rstar_math.search.events import Answered, Event, NotReproduced, StepsProposed, TreeBegun, TreeGrown, Voted
from rstar_math.search.strategies import STRATEGIES
from rstar_math.types import SamplingParams, Solution, Unfinished
from tests.api.fake_model import SETTINGS, HangingExecutor, SlowEngine, fake_model


async def events_of(model: RStarMathModel, strategy: str, seed: int = 0) -> list[Event]:
    async with model.stream("Question?", strategy, seed=seed) as thinking:
        return [event async for event in thinking]


def on_a_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_stream_tells_everything_and_ends_with_what_solve_gives(strategy: str) -> None:
    with fake_model() as model:
        alone = model.solve("Question?", strategy)
        events = asyncio.run(events_of(model, strategy))
    *before, last = events
    assert isinstance(last, Answered)
    assert last.solution.answer == alone.answer
    assert last.solution.candidates == alone.candidates
    begun = [e for e in before if isinstance(e, TreeBegun)]
    grown = [e for e in before if isinstance(e, TreeGrown)]
    assert [e.tree for e in begun] == [e.tree for e in grown] == list(range(1 if strategy == "greedy" else 2))
    assert all(e.strategy == strategy for e in begun)
    proposed = [e for e in before if isinstance(e, StepsProposed)]
    tokens_known = sum(e.cost.tokens_generated for e in grown)
    assert tokens_known == alone.cost.tokens_generated
    assert {s.answer for e in grown for s in e.solutions} >= {s.answer for s in alone.candidates}
    votes = [e for e in before if isinstance(e, Voted)]
    assert votes[-1].num_trees == len(grown)
    if not any(isinstance(e, NotReproduced) for e in before):
        assert (votes[-1].leading, votes[-1].share) == (alone.answer, alone.confidence)
    # every step of every solution was heard of, behind the steps before it
    heard = {(*(s.text for s in e.history), c.step.text) for e in proposed for c in e.candidates}
    for solution in alone.candidates:
        texts = [step.text for step in solution.steps]
        assert all(tuple(texts[: k + 1]) in heard for k in range(len(texts)))
    run = [c for e in proposed for c in e.candidates if c.step.execution is not None]
    assert run
    assert all(c.rejected for c in run if c.step.execution and not c.step.execution.ok)


def test_who_waits_for_the_solution_alone_can_read_the_events_behind() -> None:
    async def read() -> None:
        thinking = model.stream("Question?")
        solution = await thinking.solution()
        assert solution.answer is not None
        assert any(isinstance(event, StepsProposed) for event in thinking.events())
        assert thinking.events() == []
        await thinking.aclose()
        await thinking.aclose()

    with fake_model() as model:
        on_a_loop(read())


def test_leaving_stops_the_search() -> None:
    engine = SlowEngine(0.02)

    async def leave() -> None:
        async with model.stream("Question?", max_tokens=1_000_000) as thinking:
            async for event in thinking:
                if isinstance(event, StepsProposed):
                    break
        assert engine.num_under_way == 0
        num_requests = engine.num_requests
        await asyncio.sleep(0.1)
        assert engine.num_requests == num_requests

    with fake_model(engine) as model:
        on_a_loop(leave())


def test_answer_now_gives_the_best_so_far() -> None:
    engine = SlowEngine(0.002)

    async def hurry() -> Solution:
        async with model.stream("Question?", max_tokens=10_000_000) as thinking:
            async for event in thinking:
                if isinstance(event, Voted) and event.num_trees >= 3 and event.leading is not None:
                    engine.seconds = 30.0  # what is under way from now on takes long
                    await asyncio.sleep(0.05)
                    thinking.answer_now()
                    began = time.monotonic()
                    break
            solution = await thinking.solution()
            assert time.monotonic() - began < 0.5
            assert engine.num_cancelled >= 1
            return solution

    with fake_model(engine) as model:
        solution = asyncio.run(asyncio.wait_for(hurry(), 60))
    assert solution.answer is not None
    assert solution.candidates


@pytest.mark.parametrize("strategy", ["mcts", "sample", "forest", "beam"])
def test_answer_now_does_not_wait_for_programs(strategy: str) -> None:
    async def hurry() -> None:
        async with model.stream("Question?", strategy) as thinking:
            await asyncio.sleep(0.1)
            thinking.answer_now()
            solution = await asyncio.wait_for(thinking.solution(), 0.5)
            assert solution.unfinished is Unfinished.BUDGET

    policy = FakePolicy(error_rate=0, malformed_rate=0)
    with fake_model(FakeEngine(policy), HangingExecutor()) as model:
        on_a_loop(hurry())


def test_answer_now_before_the_search_began() -> None:
    async def hurry() -> None:
        async with model.stream("Question?") as thinking:
            thinking.answer_now()
            assert (await thinking.solution()).unfinished is Unfinished.BUDGET

    with fake_model(SlowEngine(0.05)) as model:
        on_a_loop(hurry())


def test_samples_that_had_ended_count_where_others_are_still_run() -> None:
    class SomeHang(HangingExecutor):
        async def execute(self, prefix: Any, code: str) -> Any:
            if "way 0" in code:
                return await super().execute(prefix, code)
            return await super(HangingExecutor, self).execute(prefix, code)

    async def hurry() -> None:
        async with model.stream("Question?", "sample", num_simulations=32) as thinking:
            await asyncio.sleep(0.3)
            thinking.answer_now()
            solution = await asyncio.wait_for(thinking.solution(), 0.5)
            assert solution.unfinished is Unfinished.BUDGET  # the answers themselves were not asked for any more

    with fake_model(FakeEngine(FakePolicy(error_rate=0, malformed_rate=0)), SomeHang()) as model:
        on_a_loop(hurry())


def test_what_fails_is_raised_where_events_are_read() -> None:
    class Broken(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            raise EngineError("the engine is gone")

    async def read() -> None:
        async with model.stream("Question?") as thinking:
            with pytest.raises(EngineError, match="gone"):
                [event async for event in thinking]
        with pytest.raises(ConfigError, match="empty"):
            model.stream(" ")

    with fake_model(Broken()) as model:
        on_a_loop(read())


def test_a_model_without_a_reward_model_says_what_it_can_do() -> None:
    with fake_model(has_reward_model=False) as model:
        assert model.strategies() == ["greedy", "sample"]
        assert not model.has_reward_model
        assert model.encode("1 + 1") is None
        assert model.decode([1, 2]) is None
    with fake_model() as model:
        assert model.strategies() == list(STRATEGIES)
        assert model.answering == SETTINGS
