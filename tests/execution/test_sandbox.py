"""Step execution: what a step sees, what limits do, and that nothing is left over."""

import asyncio
import os

import pytest

from rstar_math.errors import SandboxError
from rstar_math.execution.admission import profile_of
from rstar_math.execution.sandbox import SandboxExecutor
from rstar_math.execution.settings import ExecutionSettings
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, Running, descendants, eventually

HASTY = ExecutionSettings(cpu_s=0.5, wall_s=0.5, memory_mb=256, output_bytes=4096, num_slots=2)


def test_a_step_sees_its_prefix_and_reports_its_own_output_alone(running: Running) -> None:
    execution = running.execute("print(x + y)", "x = 1\nprint('first')", "y = x + 1\nprint('second')")
    assert (execution.status, execution.output, execution.error) == ("ok", "3\n", None)
    assert execution.seconds < 0.2


def test_a_step_sees_nothing_of_other_programs(running: Running) -> None:
    assert running.execute("import math, builtins\nsecret = 1\nmath.pi = 3\nbuiltins.len = None").ok
    assert running.execute("print(secret)").error == "NameError: name 'secret' is not defined"
    assert running.execute("import math\nprint(math.pi, len('ab'))").output == "3.141592653589793 2\n"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("1/0", "error", "ZeroDivisionError: division by zero"),
        ("while True: pass", "cpu_limit", "CpuLimit"),
        ("while True:\n try:\n  while True: pass\n except BaseException: pass", "cpu_limit", "CpuLimit"),
        ("10 ** 10 ** 8", "cpu_limit", "CpuLimit"),
        ("x = bytearray(20 << 30)", "memory_limit", "MemoryError"),
        ("x = []\nwhile True: x.append(bytearray(1 << 24))", "memory_limit", "MemoryError"),
        ("import os\nos._exit(0)", "killed", "Killed"),
        ("import ctypes\nctypes.string_at(0)", "killed", "Killed"),
        ("raise SystemExit(3)", "error", "SystemExit: 3"),
        ("exit()", "error", "SystemExit: None"),
        ("def f(): f()\nf()", "error", "RecursionError"),
        ("class E(Exception):\n def __str__(self): 1/0\nraise E", "error", "E"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
        ("input()", "error", "EOFError"),
    ],
)
def test_each_end_has_its_own_status_with_the_output_so_far(
    running: Running, code: str, status: str, error: str
) -> None:
    execution = running.execute("print('a')\n" + code)
    assert execution.error is not None
    assert (execution.status, execution.error.partition(":")[0]) == (status, error.partition(":")[0])
    assert execution.error.startswith(error)
    assert execution.output == "a\n"


def test_endless_output_is_cut_at_its_limit(running: Running) -> None:
    execution = running.execute("while True: print('é' * 10)")
    assert execution.status == "output_limit"
    assert 4000 < len(execution.output.encode()) <= 4096
    assert set(execution.output) == {"é", "\n"}


def test_code_that_does_not_compile_is_an_error(running: Running) -> None:
    execution = running.execute("print('unclosed")
    assert execution.status == "error"
    assert execution.error is not None
    assert execution.error.startswith("SyntaxError: unterminated string literal")


def test_a_failing_prefix_is_reported_as_such(running: Running) -> None:
    execution = running.execute("print(1)", "x = 1", "1/0")
    assert (execution.status, execution.output) == ("error", "")
    assert execution.error == "step 2 of the prefix failed: ZeroDivisionError: division by zero"


def test_programs_report_every_step_and_stop_at_the_first_that_fails(running: Running) -> None:
    steps = ["x = 1\nprint('a', end='')", "y = 2", "print(x + y)\n1/0", "print('never')"]
    executions = running.run(lambda executor: executor.execute_program(steps))
    assert [e.status for e in executions] == ["ok", "ok", "error"]
    assert [e.output for e in executions] == ["a", "", "3\n"]


def test_random_state_does_not_depend_on_the_run(running: Running) -> None:
    code = "import random\nprint(random.random())"

    async def body(executor: SandboxExecutor) -> tuple[list[Execution], list[Execution], Execution]:
        first = await executor.execute_program([code, code])
        return first, await executor.execute_program([code, code]), await executor.execute([], code)

    first, second, step = running.run(body)
    assert [e.output for e in first] == [e.output for e in second]
    assert first[0].output != first[1].output
    assert step.output == first[0].output


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


def test_programs_longer_than_a_message_run(running: Running) -> None:
    assert running.execute("print(len(x))", f"x = '{'a' * 400_000}'").output == "400000\n"


def test_numpy_sympy_and_scipy_are_there() -> None:
    async def run() -> list[Execution]:
        async with SandboxExecutor(ExecutionSettings(num_slots=2)) as executor:
            return [
                await executor.execute(["from sympy import *\nx = symbols('x')"], "print(solve(x**2 - 2, x))"),
                await executor.execute(["import numpy as np"], "print(np.arange(3).sum())"),
                await executor.execute([], "from scipy.optimize import brentq\nprint(brentq(lambda x: x, -1, 1))"),
            ]

    assert [e.output for e in asyncio.run(run())] == ["[-sqrt(2), sqrt(2)]\n", "3\n", "0.0\n"]


@pytest.mark.parametrize(
    ("code", "profile"),
    [
        ("x = 1", "light"),
        ("import math, fractions", "light"),
        ("import math, numpy as np", "numpy"),
        ("    from sympy.abc import x", "sympy"),
        ("from scipy import stats\nimport numpy", "all"),
    ],
)
def test_profile_of(code: str, profile: str) -> None:
    assert profile_of(["y = 1", code]) == profile


def test_nothing_is_left_over() -> None:
    before = set(os.listdir("/proc/self/fd"))
    others = descendants()

    async def run() -> None:
        async with SandboxExecutor(QUICK) as executor:
            await asyncio.gather(*[executor.execute([], f"while {i} >= 0: pass") for i in range(2)])
            await asyncio.gather(*[executor.execute([], f"print({i})") for i in range(20)])
            await executor.execute(["x = sum(range(3_000_000))"], "print(x)")

    asyncio.run(run())
    assert eventually(lambda: descendants() <= others)
    assert set(os.listdir("/proc/self/fd")) <= before


def test_closing_ends_programs_on_their_way() -> None:
    async def run() -> None:
        executor = SandboxExecutor(QUICK)
        waiting = asyncio.ensure_future(executor.execute([], "import time\ntime.sleep(60)"))
        await asyncio.sleep(0.3)
        await executor.aclose()
        with pytest.raises(SandboxError, match="closed"):
            await waiting

    asyncio.run(run())


def test_an_executor_may_be_used_in_one_loop_after_another() -> None:
    executor = SandboxExecutor(QUICK)
    others = descendants()

    async def run(i: int) -> str:
        return (await executor.execute([], f"print({i})")).output

    assert [asyncio.run(run(i)) for i in range(2)] == ["0\n", "1\n"]

    async def close() -> None:
        await run(2)
        await executor.aclose()

    asyncio.run(close())
    assert eventually(lambda: descendants() <= others)


def test_a_missing_layer_is_refused_by_name_unless_it_is_accepted() -> None:
    async def run(settings: ExecutionSettings) -> Execution:
        async with SandboxExecutor(settings) as executor:
            executor._disabled_layers = ("landlock",)
            return await executor.execute([], "print(1)")

    with pytest.raises(
        SandboxError, match=r"layer 'landlock' is not active: .*runtime\.accept_missing: \[landlock\]"
    ):
        asyncio.run(run(QUICK))
    accepting = QUICK.model_copy(update={"accept_missing": ("landlock",)})
    assert asyncio.run(run(accepting)).output == "1\n"


def test_layers_are_reported(running: Running) -> None:
    layers = {layer.name: layer for layer in running.run(lambda executor: executor.layers())}
    for name in ("limits", "no_capabilities", "no_new_privileges", "landlock", "seccomp"):
        assert layers[name].required
        assert layers[name].active, layers[name].detail
