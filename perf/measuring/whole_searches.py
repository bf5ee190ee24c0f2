"""What a search adds to its models' work, and how many of its trees depend on what else is searched."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from functools import partial

from measuring.replayed_searches import (
    POLICY,
    WITH_PPM,
    Requests,
    load_engine,
    load_reward_model,
    replay,
    search,
    search_tokens,
)
from measuring.turns import Contender, Row, Stopwatch, in_turns
from rstar_math.config import SearchSettings
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.engines.torch.reward_model import TorchRewardModel
from rstar_math.store.records import tree_to_row
from rstar_math.types import Problem

NUM_WHOLE_TURNS = 9
"""Least turns of whole searches: what is asked of them is a ratio near its bound."""


def whole_searches(
    problems: Sequence[Problem], settings: SearchSettings, requests: Requests, name: str
) -> list[Contender]:
    """The replay of a search's recorded requests, and the search again."""

    def models() -> tuple[TorchEngine, TorchRewardModel | None]:
        return load_engine(POLICY), load_reward_model() if settings.use_ppm else None

    return [
        Contender(f"replay, {name}", lambda: partial(replay, *models(), requests)),
        Contender(f"whole search, {name}", lambda: partial(search_tokens, *models(), problems, settings)),
    ]


def with_share(contenders: Sequence[Contender], num_turns: int) -> dict[str, Row]:
    """Adds to the whole search which part of the replay's speed it reaches, by CPU and by the clock.

    The median over turns: what makes the machine slower for a while mostly meets both of a turn.
    """
    rows = in_turns(contenders, num_turns)
    alone, whole = (contender.turns for contender in contenders)
    for column, of in (("share", "tokens_per_cpu_s"), ("share_of_wall", "tokens_per_s")):
        shares = [one[of] / other[of] for one, other in zip(whole, alone, strict=True)]
        rows[contenders[1].name][column] = statistics.median(shares)
    return rows


def divergence(problems: Sequence[Problem], deterministic: bool) -> Row:
    """How many trees depend on how many problems are searched at the same time."""
    rows = []
    for concurrency in (64, 5):
        engine = load_engine(POLICY, deterministic=deterministic)
        reward_model = load_reward_model(deterministic=deterministic)
        trees = asyncio.run(search(engine, reward_model, problems, WITH_PPM, Stopwatch(), concurrency))
        rows.append([tree_to_row(tree)["nodes"] for tree in trees])
    texts = [[[(node["parent"], node["text"]) for node in nodes] for nodes in trees] for trees in rows]
    numbers = [[[(n["logprob"], n["ppm_score"], n["value_sum"]) for n in nodes] for nodes in trees] for trees in rows]
    others = [one != two for one, two in zip(*texts, strict=True)]
    digits = [one != two for one, two in zip(*numbers, strict=True)]
    only_digits = sum(d and not o for d, o in zip(digits, others, strict=True))
    return {"trees": len(problems), "other_trees": sum(others), "other_digits_only": only_digits}
