"""What has run before or runs already is not run again, and who asks for many at once gets each its own."""

import asyncio

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, Running

HASTY = ExecutionSettings(cpu_s=0.5, wall_s=0.5, memory_mb=256, output_bytes=4096, num_slots=2)


def test_a_result_is_remembered_but_never_a_wall_limit() -> None:
    clock = "import time\nprint(time.time_ns())"
    slow = "import time\nprint(time.time_ns())\ntime.sleep(60)"

    async def run() -> None:
        async with SandboxExecutor(HASTY) as executor:
            assert await executor.execute([], clock) == await executor.execute([], clock)
            assert await executor.execute(["x = 1"], clock) != await executor.execute([], clock)
            assert (await executor.execute_program([clock]))[0] != await executor.execute([], clock)
            first, second = await asyncio.gather(executor.execute([], slow), executor.execute([], slow))
            assert first.status == "wall_limit"
            assert first == second  # one run, awaited twice
            assert (await executor.execute([], slow)).output != first.output

    asyncio.run(run())


def test_steps_that_differ_in_their_comments_alone_run_once() -> None:
    async def run() -> None:
        async with SandboxExecutor(QUICK) as executor:
            tasks = [
                executor.execute([f"# prefix {i}\nx = 1"], f"# put otherwise {i}\nprint(x)\n    # and so {i}")
                for i in range(8)
            ]
            assert {e.output for e in await asyncio.gather(*tasks)} == {"1\n"}
            assert executor.counts.cached == 7

    asyncio.run(run())


def test_hundreds_of_executions_at_once_are_not_mixed_up(running: Running) -> None:
    async def body(executor: SandboxExecutor) -> list[Execution]:
        return await asyncio.gather(*[executor.execute([f"x = {i}"], "print(x)") for i in range(300)])

    assert [e.output for e in running.run(body)] == [f"{i}\n" for i in range(300)]


def test_an_awaiter_that_gives_up_does_not_disturb_the_others(running: Running) -> None:
    async def body(executor: SandboxExecutor) -> Execution:
        one, two = (asyncio.ensure_future(executor.execute([], "print('shared')")) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        return await two

    assert running.run(body).output == "shared\n"


def test_candidates_of_a_node_run_together_and_come_back_in_their_order() -> None:
    codes = ["print(x)", "print(x + 1)", "1 / 0", "print(x)  # again\n# and so", "y = 1\nprint(x)", "print(x)"]

    async def run() -> None:
        async with SandboxExecutor(QUICK) as executor:
            one_by_one = [await executor.execute(["x = 7"], code) for code in codes]
            assert executor.counts.cached == 1
            together = await executor.execute_all(["x = 8"], codes)
            assert executor.counts.cached == 2
            assert [e.output for e in together] == ["8\n", "9\n", "", "8\n", "8\n", "8\n"]
            assert [(e.status, e.error) for e in together] == [(e.status, e.error) for e in one_by_one]
            both = await asyncio.gather(*[executor.execute_all(["x = 8"], [*codes, f"print({i})"]) for i in range(2)])
            assert [e[:-1] for e in both] == [together, together]  # the same results, remembered
            assert [e[-1].output for e in both] == ["0\n", "1\n"]
            assert await executor.execute_all([], []) == []

    asyncio.run(run())


def test_who_gives_up_a_batch_does_not_disturb_the_others(running: Running) -> None:
    async def body(executor: SandboxExecutor) -> list[Execution]:
        one, two = (asyncio.ensure_future(executor.execute_all(["z = 5"], ["print(z)", "z"])) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        return await two

    assert [e.output for e in running.run(body)] == ["5\n", ""]


def test_closing_ends_a_batch_with_an_error() -> None:
    async def run() -> None:
        executor = SandboxExecutor(QUICK)
        batch = asyncio.ensure_future(executor.execute_all([], ["print(1)", "while True: pass"]))
        await asyncio.sleep(0.2)
        await executor.aclose()
        with pytest.raises(SandboxError, match="closed"):
            await batch

    asyncio.run(run())
