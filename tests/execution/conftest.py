"""One executor for the tests of a file: starting its processes costs more than most tests."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution

# a machine that is busy otherwise must not turn CPU limits into wall limits
QUICK = ExecutionSettings(cpu_s=0.5, wall_s=60, memory_mb=256, output_bytes=4096, num_slots=2)

T = TypeVar("T")


class Running:
    """An executor inside a running loop, to be used from code that is not async."""

    def __init__(self, settings: ExecutionSettings) -> None:
        self.runner = asyncio.Runner()
        self.executor = SandboxExecutor(settings)

    def run(self, body: Callable[[SandboxExecutor], Awaitable[T]]) -> T:
        async def call() -> T:
            return await body(self.executor)

        return self.runner.run(call())

    def execute(self, code: str, *prefix: str) -> Execution:
        return self.run(lambda executor: executor.execute(prefix, code))

    def close(self) -> None:
        self.runner.run(self.executor.aclose())
        self.runner.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    started = Running(QUICK)
    yield started
    started.close()


def descendants(of: int | None = None) -> set[int]:
    """Processes below `of` (this one), zombies left out."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while the list was read
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    root = os.getpid() if of is None else of
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {root}
        found |= more


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether `condition` comes to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
