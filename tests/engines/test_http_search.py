"""A whole search over HTTP grows the trees that it grows without, whatever fails on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest

from rstar_math.config import SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.mcts import mcts
from rstar_math.store.records import tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Problem, SamplingParams
from rstar_math.workers.bench import Workbench
from tests.engines.endpoint import Answer, Body, Endpoint, by_engine, serving
from tests.engines.few_answers import FAULTS, QUICK

pytestmark = pytest.mark.usefixtures("short_pauses")


class _SmallSeeds(FakeEngine):
    """The fake policy with the seeds that go over the wire."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        return await super().generate(prompt, replace(params, seed=params.seed & 0x7FFFFFFF))


async def grow(engine: Any) -> list[Tree]:
    settings = SearchSettings(num_rollouts=6, num_candidates=4, use_ppm=False)
    problems = [Problem(f"p{i}", f"What is {i}?", answer="1") for i in range(4)]
    bench = Workbench(engine, FakeExecutor(), FakeGrader())
    return await asyncio.gather(*(mcts(bench.environment(p, seed=1), settings) for p in problems))


def same(a: list[Tree], b: list[Tree]) -> bool:
    def rows(trees: list[Tree]) -> list[Any]:
        return [
            {k: v for k, v in tree_to_row(t).items() if k != "cost"}
            | {
                "nodes": [
                    {k: v for k, v in n.items() if k not in ("num_tokens", "logprob")} for n in tree_to_row(t)["nodes"]
                ]
            }
            for t in trees
        ]

    return rows(a) == rows(b)


async def _grow_over_http(
    faulty: Callable[[int], Answer | None], during: Callable[[Endpoint], Coroutine[Any, Any, None]] | None = None
) -> tuple[list[Tree], HttpEngine, int]:
    inner, number = _SmallSeeds(), 0

    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        nonlocal number
        number += 1
        return faulty(number) or await by_engine(inner, body)

    async with serving(handler) as endpoint:
        engine = HttpEngine(endpoint.url, QUICK)
        disturbing = asyncio.create_task(during(endpoint)) if during else None
        trees = await grow(engine)
        if disturbing:
            await disturbing
        await engine.aclose()
    return trees, engine, number


def test_a_search_over_http_grows_the_same_trees_whatever_fails() -> None:
    async def run() -> None:
        expected = await grow(_SmallSeeds())
        trees, engine, _ = await _grow_over_http(lambda _: None)
        assert same(trees, expected)
        assert engine.counts.retries == 0
        assert [t.cost.tokens_generated for t in trees] == [t.cost.tokens_generated for t in expected]

        chance = random.Random(0)
        faults = list(FAULTS.values())
        trees, engine, _ = await _grow_over_http(lambda _: chance.choice(faults) if chance.random() < 0.3 else None)
        assert same(trees, expected)
        assert engine.counts.retries > 5

    asyncio.run(run())


def test_a_server_killed_in_mid_search_loses_no_tree() -> None:
    async def kill_and_start_again(endpoint: Endpoint) -> None:
        while len(endpoint.received) < 6:
            await asyncio.sleep(0.001)
        await endpoint.stop()
        await asyncio.sleep(0.3)
        await endpoint.start()

    async def run() -> None:
        expected = await grow(_SmallSeeds())
        trees, engine, _ = await _grow_over_http(lambda _: None, kill_and_start_again)
        assert same(trees, expected)
        assert engine.counts.retries >= 1

    asyncio.run(run())
