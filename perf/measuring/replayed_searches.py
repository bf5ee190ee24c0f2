"""Searches with the shipped pocket model, recorded and asked again: every request of every problem, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring.turns import Stopwatch
from rstar_math import steps
from rstar_math.config import ExecutionSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation, RewardModel, Score
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.engines.torch.reward_model import TorchRewardModel
from rstar_math.execution.opening import open_executor
from rstar_math.models import find_model
from rstar_math.search.mcts import mcts
from rstar_math.tree import Tree
from rstar_math.types import Problem, SamplingParams
from rstar_math.workers.bench import Workbench, open_grader

POCKET = find_model("pocket")
POLICY = POCKET.policy_folder
MAX_STEP_TOKENS = 64
NUM_CANDIDATES = 8
BY_REFERENCE = SearchSettings(
    num_rollouts=4, num_candidates=NUM_CANDIDATES, use_ppm=False, max_step_tokens=MAX_STEP_TOKENS
)
WITH_PPM = BY_REFERENCE.model_copy(update={"use_ppm": True})


@dataclass(frozen=True)
class Ask:
    """A request of a search: to the policy (`params` given), or to the PPM."""

    texts: tuple[str, ...]
    params: SamplingParams | None = None


Requests = list[list[Ask]]
"""The requests of each problem, in order."""


class Recorder:
    """An engine and a reward model that note what they are asked."""

    def __init__(self, engine: Engine, reward_model: RewardModel | None) -> None:
        self._engine, self._reward_model = engine, reward_model
        self._asked: list[Ask] = []

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """See `Engine`."""
        self._asked.append(Ask((prompt,), params))
        return await self._engine.generate(prompt, params)

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """See `RewardModel`."""
        assert self._reward_model is not None
        self._asked.append(Ask(tuple(texts)))
        return await self._reward_model.score(texts)

    async def aclose(self) -> None:
        """See `Engine`."""
        await self._engine.aclose()

    def requests(self, problems: Sequence[Problem]) -> Requests:
        """The requests of each problem, in the order in which they came."""
        of = {steps.prompt(problem.question): list[Ask]() for problem in problems}
        for ask in self._asked:
            opening, response = steps.split_prompt(ask.texts[0])
            of[opening + response[: len(steps.CODE)]].append(ask)
        return list(of.values())


def load_engine(folder: Path, **options: Any) -> TorchEngine:
    """An engine whose memory has its size already, and whose prefix cache knows none of the recorded prompts."""
    engine = TorchEngine.from_pretrained(folder, device="cpu", **options)
    params = SamplingParams(n=NUM_CANDIDATES, max_tokens=16)
    chains = [[Ask((steps.prompt("9 " * 40 + str(i)),), params)] for i in range(256 // NUM_CANDIDATES)]
    asyncio.run(replay(engine, None, chains, Stopwatch()))
    return engine


def load_reward_model(**options: Any) -> TorchRewardModel:
    """The PPM of the pocket model."""
    assert POCKET.reward_model is not None
    return TorchRewardModel.from_pretrained(POCKET.reward_model, device="cpu", **options)


async def replay(engine: Engine, reward_model: RewardModel | None, requests: Requests, watch: Stopwatch) -> int:
    """Asks for every problem's requests one after the other, all problems at once; number of tokens generated."""

    async def one(chain: Sequence[Ask]) -> int:
        num_tokens = 0
        for ask in chain:
            if ask.params is not None:
                num_tokens += sum(c.num_tokens for c in (await engine.generate(ask.texts[0], ask.params)).completions)
            else:
                assert reward_model is not None
                await reward_model.score(ask.texts)
        return num_tokens

    with watch:
        return sum(await asyncio.gather(*map(one, requests)))


async def search(
    engine: Engine,
    reward_model: RewardModel | None,
    problems: Sequence[Problem],
    settings: SearchSettings,
    watch: Stopwatch,
    concurrency: int = 64,
) -> list[Tree]:
    """Searches all problems, `concurrency` at a time, with a real executor and grader that are started beforehand."""
    executor, grader = open_executor(ExecutionSettings()), open_grader()
    async with Workbench(engine, executor, grader, reward_model) as bench:
        await asyncio.gather(*(executor.execute([], f"x = {i}") for i in range(16)))
        gate = asyncio.Semaphore(concurrency)

        async def one(problem: Problem) -> Tree:
            async with gate:
                return await mcts(bench.environment(problem, 0), settings)

        with watch:
            return list(await asyncio.gather(*map(one, problems)))


async def search_tokens(
    engine: Engine,
    reward_model: RewardModel | None,
    problems: Sequence[Problem],
    settings: SearchSettings,
    watch: Stopwatch,
) -> int:
    """Searches all problems at once; number of tokens generated."""
    return sum(tree.cost.tokens_generated for tree in await search(engine, reward_model, problems, settings, watch))


def record(problems: Sequence[Problem], settings: SearchSettings) -> Requests:
    """What a search asks."""
    recorder = Recorder(load_engine(POLICY), load_reward_model())
    asyncio.run(search(recorder, recorder if settings.use_ppm else None, problems, settings, Stopwatch()))
    return recorder.requests(problems)
