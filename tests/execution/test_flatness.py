"""Many executions in one process: memory, descriptors and latency stay as they were."""

import asyncio
import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from tests.execution.conftest import descendants

NUM_PARTS = 10
AT_ONCE = 50
SETTINGS = ExecutionSettings(
    cpu_s=0.2,
    wall_s=60,
    memory_mb=256,
    output_bytes=4096,
    num_slots=2,
    # bounds that are reached within the first part
    cache_entries=200,
    max_snapshots=4,
    snapshot_after_s=0.005,
)
MOST_CHILDREN = 2 + SETTINGS.max_snapshots + 2
"""A zygote and its keeper, snapshots, workers."""

SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """What a part of the run left behind.

    Attributes:
      resident_mb: memory of this process.
      children_mb: memory of all its children together, shared pages counted for each.
      num_children: how many they are.
      num_descriptors: descriptors of this process.
      latency_ms: wall milliseconds of the fastest of 100 steps in a warm worker, nothing beside it. Their median and
        their CPU time move with what else the machine does, by a factor of 20 and of 2.
    """

    resident_mb: float
    children_mb: float
    num_children: int
    num_descriptors: int
    latency_ms: float


def program(number: int) -> tuple[list[str], str, str]:
    """A program, and what it prints or how it ends: most run warm, 4 % in a fork, some after a snapshot."""
    kind = number % 200
    if kind < 4:
        return [], f"class A:\n    x = {number}\nprint(A.x)", f"{number}\n"
    if kind < 6:
        return [f"class A: pass\nx = sum(range(400_000)) + {number // 1000}"], f"y = {number}\nprint(y)", f"{number}\n"
    if kind == 6:
        return [], f"x = {number}\nwhile True: print(x)", "output_limit"
    if kind == 7:
        return [], f"raise ValueError({number})", "error"
    if kind == 8 and number % 10_000 == 8:
        return [], f"x = {number}\nwhile True: pass", "cpu_limit"
    if kind == 9:
        return [], f"import os\nos._exit({number % 100})", "killed"
    prefix = [f"x = {number // 8}", "y = [x, x + 1]", "def f(a):\n    return a * 2"]
    return prefix[: number % 4], f"z = {number}\nprint(z)", f"{number}\n"


async def measured(executor: SandboxExecutor, first: int, strangers: set[int]) -> Part:
    latencies = []
    for i in range(100):
        started = time.perf_counter()
        assert (await executor.execute(["x = 1"], f"print(x + {first + i})")).ok
        latencies.append(time.perf_counter() - started)
    gc.collect()
    # what was killed is gone a moment later, on a busy machine a long one
    while len(children := descendants() - strangers) > MOST_CHILDREN and time.perf_counter() < started + SETTLE_S:
        await asyncio.sleep(0.02)
    return Part(
        resident_mb=resident_mb(os.getpid()),
        children_mb=sum(map(resident_mb, children)),
        num_children=len(children),
        num_descriptors=len(os.listdir("/proc/self/fd")),
        latency_ms=min(latencies) * 1e3,
    )


def resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:  # it ended meanwhile
        return 0.0


async def run(num_executions: int) -> list[Part]:
    parts = []
    size = num_executions // NUM_PARTS
    strangers = descendants()  # helpers that other tests of this process left running
    async with SandboxExecutor(SETTINGS) as executor:
        for part in range(NUM_PARTS):
            for start in range(part * size, (part + 1) * size, AT_ONCE):
                numbers = range(start, min(start + AT_ONCE, (part + 1) * size))
                programs = [program(i) for i in numbers]
                executions = await asyncio.gather(*[executor.execute(prefix, code) for prefix, code, _ in programs])
                for execution, (_, _, expected) in zip(executions, programs, strict=True):
                    assert expected in (execution.output, execution.status), execution
            parts.append(await measured(executor, num_executions + part * 1000, strangers))
    return parts


def check(parts: list[Part], slack_mb: float) -> None:
    then, now = parts[NUM_PARTS // 3], parts[-1]
    assert now.resident_mb < then.resident_mb + slack_mb, parts
    assert now.children_mb < 1.3 * then.children_mb + 2 * slack_mb, parts
    assert all(part.num_children <= MOST_CHILDREN for part in parts), parts
    # a channel, a buffer and a pidfd for each, and a few of the loop
    assert now.num_descriptors <= max(part.num_descriptors for part in parts[: NUM_PARTS // 2]) + 3, parts


def test_a_few_thousand_executions_leave_nothing_behind() -> None:
    check(asyncio.run(run(4000)), slack_mb=4)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_executions_leave_nothing_behind() -> None:
    began = time.monotonic()
    parts = asyncio.run(run(100_000))
    print(f"\n100,000 executions in {time.monotonic() - began:.0f} s")
    for part in parts:
        print(part)
    check(parts, slack_mb=8)
    # what grew with the number of executions would be four times as much
    early, late = parts[:3], parts[-3:]
    assert min(part.latency_ms for part in late) < 2 * min(part.latency_ms for part in early), parts
