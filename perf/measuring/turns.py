"""Contenders that take turns, because other programs on the machine only ever make a turn slower."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from measuring.cpu import cpu_seconds

Row = dict[str, float]


class Stopwatch:
    """What the work in its `with` block took."""

    def __enter__(self) -> None:
        self._cpu, self._wall = cpu_seconds(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu_s, self.s = cpu_seconds() - self._cpu, time.perf_counter() - self._wall


Work = Callable[[Stopwatch], Awaitable[int]]
"""Uses the stopwatch once, and gives the number of tokens generated."""


@dataclass
class Contender:
    """Something that generates tokens; `prepare` is not timed."""

    name: str
    prepare: Callable[[], Work]
    turns: list[Row] = field(default_factory=list)

    def take_turn(self) -> None:
        """Works once."""
        work, watch = self.prepare(), Stopwatch()

        async def run() -> int:
            return await work(watch)

        tokens = asyncio.run(run())
        speeds = {"tokens_per_cpu_s": tokens / watch.cpu_s, "tokens_per_s": tokens / watch.s}
        self.turns.append({"tokens": tokens, "cpu_s": watch.cpu_s, "s": watch.s, **speeds})

    @property
    def best(self) -> Row:
        """The turn with the most tokens per CPU-second."""
        return max(self.turns, key=lambda turn: turn["tokens_per_cpu_s"])


def in_turns(contenders: Sequence[Contender], num_turns: int) -> dict[str, Row]:
    """The best turn of each, taken alternately."""
    for _ in range(num_turns):
        for contender in contenders:
            contender.take_turn()
    return {contender.name: contender.best for contender in contenders}
