"""Step execution: what a step sees, what limits do, and that nothing is left over."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rstar_math.execution.sandbox import SandboxExecutor, profile_of
from rstar_math.execution.settings import ExecutionSettings
from rstar_math.types import Execution

QUICK = ExecutionSettings(cpu_s=0.3, wall_s=0.8, memory_mb=256, output_bytes=4096, num_slots=2)


def with_executor(body: Callable[[SandboxExecutor], Awaitable[object]], settings: ExecutionSettings = QUICK) -> object:
    async def run() -> object:
        async with SandboxExecutor(settings) as executor:
            return await body(executor)

    return asyncio.run(run())


def execute(code: str, *prefix: str, settings: ExecutionSettings = QUICK) -> Execution:
    result = with_executor(lambda executor: executor.execute(prefix, code), settings)
    assert isinstance(result, Execution)
    return result


def descendants() -> set[int]:
    """Processes below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while the list was read
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def test_a_step_sees_its_prefix_and_reports_its_own_output_alone() -> None:
    execution = execute("print(x + y)", "x = 1\nprint('first')", "y = x + 1\nprint('second')")
    assert (execution.status, execution.output, execution.error) == ("ok", "3\n", None)
    assert execution.seconds < 0.2


def test_a_step_sees_nothing_of_other_programs() -> None:
    async def body(executor: SandboxExecutor) -> list[Execution]:
        await executor.execute([], "import math, builtins\nsecret = 1\nmath.pi = 3\nbuiltins.len = None")
        return [
            await executor.execute([], "print(secret)"),
            await executor.execute([], "import math\nprint(math.pi, len('ab'))"),
        ]

    first, second = with_executor(body)  # type: ignore[misc]
    assert first.status == "error"
    assert first.error == "NameError: name 'secret' is not defined"
    assert second.output == "3.141592653589793 2\n"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("print('a')\n1/0", "error", "ZeroDivisionError: division by zero"),
        ("print('a')\nwhile True: pass", "cpu_limit", "CpuLimit"),
        ("print('a')\nwhile True:\n try:\n  while True: pass\n except BaseException: pass", "cpu_limit", "CpuLimit"),
        ("print('a')\n10 ** 10 ** 8", "cpu_limit", "CpuLimit"),
        ("print('a')\nimport time\ntime.sleep(60)", "wall_limit", "WallLimit"),
        ("print('a')\nx = bytearray(20 << 30)", "memory_limit", "MemoryError"),
        ("print('a')\nx = []\nwhile True: x.append(bytearray(1 << 20))", "memory_limit", "MemoryError"),
        ("print('a')\nimport os\nos._exit(0)", "killed", "Killed"),
        ("print('a')\nimport os\nos.kill(os.getpid(), 9)", "killed", "Killed"),
        ("print('a')\nraise SystemExit(3)", "error", "SystemExit: 3"),
        ("print('a')\ndef f(): f()\nf()", "error", "RecursionError"),
        ("print('a')\nclass E(Exception):\n def __str__(self): 1/0\nraise E", "error", "E"),
    ],
)
def test_each_limit_ends_in_its_own_status_with_the_output_so_far(code: str, status: str, error: str) -> None:
    execution = execute(code)
    assert execution.status == status
    assert execution.output == "a\n"
    assert execution.error is not None
    assert execution.error.startswith(error)


def test_endless_output_is_cut_at_its_limit() -> None:
    execution = execute("while True: print('é' * 10)")
    assert execution.status == "output_limit"
    assert 4000 < len(execution.output.encode()) <= 4096
    assert set(execution.output) == {"é", "\n"}


def test_code_that_does_not_compile_is_an_error() -> None:
    execution = execute("print('unclosed")
    assert execution.status == "error"
    assert execution.error is not None
    assert execution.error.startswith("SyntaxError: unterminated string literal")


def test_a_failing_prefix_is_reported_as_such() -> None:
    execution = execute("print(1)", "x = 1", "1/0")
    assert (execution.status, execution.output) == ("error", "")
    assert execution.error == "step 2 of the prefix failed: ZeroDivisionError: division by zero"


def test_programs_report_every_step_and_stop_at_the_first_that_fails() -> None:
    steps = ["x = 1\nprint('a', end='')", "y = 2", "print(x + y)\n1/0", "print('never')"]
    executions = with_executor(lambda executor: executor.execute_program(steps))
    assert isinstance(executions, list)
    assert [e.status for e in executions] == ["ok", "ok", "error"]
    assert [e.output for e in executions] == ["a", "", "3\n"]


def test_random_state_does_not_depend_on_the_run() -> None:
    code = "import random\nprint(random.random())"
    steps = [code, code]

    async def body(executor: SandboxExecutor) -> None:
        assert await executor.execute_program(steps) != []
        first, second = await executor.execute_program(steps)
        assert (await executor.execute([], code)).output == first.output
        assert first.output != second.output

    with_executor(body)


def test_a_result_is_remembered_but_never_a_wall_limit() -> None:
    clock = "import time\nprint(time.time_ns())"
    slow = "import time\nprint(time.time_ns())\ntime.sleep(9)"

    async def body(executor: SandboxExecutor) -> None:
        assert await executor.execute([], clock) == await executor.execute([], clock)
        assert await executor.execute(["x = 1"], clock) != await executor.execute([], clock)
        assert (await executor.execute_program([clock]))[0] != await executor.execute([], clock)
        first, second = await asyncio.gather(executor.execute([], slow), executor.execute([], slow))
        assert first == second  # one run, awaited twice
        assert (await executor.execute([], slow)).output != first.output

    with_executor(body)


def test_hundreds_of_executions_at_once_are_not_mixed_up() -> None:
    async def body(executor: SandboxExecutor) -> list[Execution]:
        return await asyncio.gather(*[executor.execute([f"x = {i}"], "print(x)") for i in range(300)])

    executions = with_executor(body)
    assert [e.output for e in executions] == [f"{i}\n" for i in range(300)]  # type: ignore[attr-defined]


def test_programs_longer_than_a_message_run() -> None:
    assert execute("print(len(x))", f"x = '{'a' * 400_000}'").output == "400000\n"


def test_numpy_sympy_and_scipy_are_there() -> None:
    async def body(executor: SandboxExecutor) -> list[Execution]:
        return [
            await executor.execute(["from sympy import *\nx = symbols('x')"], "print(solve(x**2 - 2, x))"),
            await executor.execute(["import numpy as np"], "print(np.arange(3).sum())"),
            await executor.execute(
                [], "from scipy.optimize import brentq\nprint(round(brentq(lambda x: x - 2, 0, 5)))"
            ),
        ]

    outputs = [e.output for e in with_executor(body, ExecutionSettings(num_slots=2))]  # type: ignore[attr-defined]
    assert outputs == ["[-sqrt(2), sqrt(2)]\n", "3\n", "2\n"]


@pytest.mark.parametrize(
    ("code", "profile"),
    [
        ("x = 1", "light"),
        ("import math, fractions", "light"),
        ("import math, numpy as np", "full"),
        ("    from sympy.abc import x", "full"),
        ("from scipy import stats\nimport numpy", "scipy"),
    ],
)
def test_profile_of(code: str, profile: str) -> None:
    assert profile_of(["y = 1", code]) == profile


def test_a_lost_zygote_is_replaced_and_its_programs_run_again() -> None:
    async def body(executor: SandboxExecutor) -> None:
        await executor.execute([], "pass")
        victims = descendants()
        slow = "import time\ntime.sleep(0.3)\nprint('done')"
        waiting = asyncio.ensure_future(executor.execute([], slow))
        await asyncio.sleep(0.1)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        execution = await waiting
        assert execution.status == "ok" or execution.status == "killed"
        assert (await executor.execute([], "print('after')")).output == "after\n"

    with_executor(body)


def test_nothing_is_left_over() -> None:
    before = len(os.listdir("/proc/self/fd"))

    async def body(executor: SandboxExecutor) -> None:
        await asyncio.gather(*[executor.execute([], f"while {i} >= 0: pass") for i in range(3)])
        await asyncio.gather(*[executor.execute([], f"print({i})") for i in range(20)])

    with_executor(body)
    deadline = time.monotonic() + 5
    while descendants() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert descendants() == set()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_closing_ends_programs_on_their_way() -> None:
    async def run() -> None:
        executor = SandboxExecutor(QUICK)
        waiting = asyncio.ensure_future(executor.execute([], "import time\ntime.sleep(60)"))
        await asyncio.sleep(0.3)
        await executor.aclose()
        with pytest.raises(Exception, match="closed"):
            await waiting

    asyncio.run(run())


def test_an_executor_may_be_used_in_one_loop_after_another() -> None:
    executor = SandboxExecutor(QUICK)

    async def run(i: int) -> str:
        return (await executor.execute([], f"print({i})")).output

    assert [asyncio.run(run(i)) for i in range(2)] == ["0\n", "1\n"]

    async def close() -> None:
        await run(2)
        await executor.aclose()

    asyncio.run(close())
