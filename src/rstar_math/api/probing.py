"""Whether the parts of a model work at this moment: each is asked for something small, past every memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from rstar_math.errors import RStarError
from rstar_math.types import SamplingParams
from rstar_math.workers.bench import Workbench


@dataclass(frozen=True, slots=True)
class Probe:
    """What is wrong with each part; None where it works.

    Attributes:
      engine: the policy.
      reward_model: the reward model; None also where there is none.
      sandbox: the execution of programs.
    """

    engine: str | None
    reward_model: str | None
    sandbox: str | None

    @property
    def ok(self) -> bool:
        """Whether everything works."""
        return self.engine is None and self.reward_model is None and self.sandbox is None


async def probe(bench: Workbench, timeout_s: float) -> Probe:
    """Asks the policy for one token, the reward model for one score and the sandbox to run one line."""
    scored = bench.reward_model
    engine, reward_model, sandbox = await asyncio.gather(
        _wrong(bench.engine.generate("1", SamplingParams(max_tokens=1, temperature=0)), timeout_s),
        _wrong(scored.score(["1"]), timeout_s) if scored is not None else _fine(),
        _wrong(_runs(bench), timeout_s),
    )
    return Probe(engine, reward_model, sandbox)


async def _runs(bench: Workbench) -> None:
    (execution,) = await bench.executor.execute_program(["print(1)"])
    if not execution.ok:
        raise RStarError(f"print(1) ended as {execution.status}: {execution.error}")


async def _wrong(work: Awaitable[object], timeout_s: float) -> str | None:
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        return f"no reply within {timeout_s:g} s"
    except RStarError as error:
        return str(error)
    return None


async def _fine() -> None:
    return None
