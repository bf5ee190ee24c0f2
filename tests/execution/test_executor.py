"""Step execution: what a step sees, what limits do, and that nothing is left over."""

import asyncio
import os
import subprocess
from dataclasses import replace
from unittest.mock import ANY

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.supervisor.executor import SandboxExecutor
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


SPOIL = {
    "names": ("shared = 1", "print('shared' in globals())", "False\n"),
    "builtins": ("import builtins\nbuiltins.len = lambda x: 0", "print(len('ab'))", "2\n"),
    "modules": ("import math\nmath.pi = 3", "import math\nprint(math.pi > 3)", "True\n"),
    "recursion limit": ("import sys\nsys.setrecursionlimit(5000)", "import sys\nprint(sys.getrecursionlimit())", None),
    "decimal": ("import decimal\ndecimal.getcontext().prec = 5", "import decimal\nprint(1 / decimal.Decimal(3))", None),
    "random": ("import random\nrandom.seed(1)\nrandom.random()", "import random\nprint(random.random())", None),
    "an object of the prefix": ("kept.append(5)", "print(kept)", "[1]\n"),
    "a function's default": ("f()\nf()", "print(f())", "[1]\n"),
    "main": ("import __main__\n__main__.y = 1", "import __main__\nprint(hasattr(__main__, 'y'))", "False\n"),
}


@pytest.mark.parametrize("kind", SPOIL)
@pytest.mark.parametrize("dear", ["", "\nclass A: pass\nz = sum(range(1_000_000))"], ids=["cheap", "after a snapshot"])
def test_what_one_step_changes_no_other_sees(running: Running, kind: str, dear: str) -> None:
    spoil, look, expected = SPOIL[kind]
    prefix = f"kept = [1]\ndef f(a=[]):\n    a.append(1)\n    return a{dear}"
    before = running.execute(look, prefix)
    assert before.ok, before
    assert running.execute(spoil, prefix).ok
    # other text, so that it is run again
    assert running.execute(f"{look}\n0", prefix) == replace(before, seconds=ANY)
    if expected is not None:
        assert before.output == expected


def test_random_state_and_precision_of_libraries_are_as_at_the_start() -> None:
    look = (
        "import mpmath, numpy\nfrom sympy.core.random import rng\n"
        "print(mpmath.mp.dps, mpmath.pi, numpy.random.rand(), rng.random(), numpy.geterr()['divide'])"
    )
    spoil = (
        "import mpmath, numpy\nfrom sympy.core.random import rng\n"
        "mpmath.mp.dps = 50\nnumpy.random.seed(1)\nnumpy.random.rand(3)\nrng.random()\nnumpy.seterr(all='raise')"
    )

    async def run() -> list[Execution]:
        async with SandboxExecutor(QUICK) as executor:
            first = await executor.execute([], look)
            assert (await executor.execute([], spoil)).ok
            after = (await executor.execute([spoil], "print(mpmath.mp.dps)")).output
            assert after == "50\n"  # of its own prefix a step sees everything
            return [first, await executor.execute([], f"{look}\n0"), (await executor.execute_program([look]))[0]]

    first, *others = asyncio.run(run())
    assert first.ok
    assert [other.output for other in others] == [first.output] * 2


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("1/0", "error", "ZeroDivisionError: division by zero"),
        ("while True: pass", "cpu_limit", "CpuLimit"),
        ("while True:\n try:\n  while True: pass\n except BaseException: pass", "cpu_limit", "CpuLimit"),
        ("10 ** 10 ** 8", "cpu_limit", "CpuLimit"),
        ("x = bytearray(20 << 30)", "memory_limit", "MemoryError"),
        # pages that are not touched cost no CPU time, which on a busy machine would reach its limit first
        ("x = []\nwhile True: x.append(bytes(1 << 24))", "memory_limit", "MemoryError"),
        ("import os\nos._exit(0)", "killed", "Killed"),
        ("import ctypes\nctypes.string_at(0)", "killed", "Killed"),
        ("raise SystemExit(3)", "error", "SystemExit: 3"),
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


def test_waiting_for_ever_ends_at_the_wall_limit_with_the_output_so_far() -> None:
    async def run() -> Execution:
        async with SandboxExecutor(HASTY) as executor:
            return await executor.execute(["x = 'a'"], "print(x)\nimport time\ntime.sleep(60)")

    execution = asyncio.run(run())
    assert (execution.status, execution.output) == ("wall_limit", "a\n")
    assert execution.error == "WallLimit: more than 0.5 seconds"


@pytest.mark.parametrize("start", ["os.fork()", "__import__('threading').Thread(target=print).start()"])
def test_programs_start_no_processes(running: Running, start: str) -> None:
    once = running.execute(f"import os\nprint('a')\n{start}")
    assert (once.status, once.output) == ("error", "a\n")
    code = f"import os\nprint('a')\nwhile True:\n    try: {start}\n    except Exception: pass"
    always = running.execute(code)
    assert always.status in ("killed", "cpu_limit")
    assert always.output == "a\n"


def test_the_memory_of_all_programs_together_is_limited() -> None:
    # filling the pages takes longer on a busy machine, which must not reach the limit of CPU first
    settings = QUICK.model_copy(update={"memory_mb": 512, "total_memory_mb": 300, "num_slots": 3, "cpu_s": 60.0})
    code = "class A: pass\nprint({})\nx = b'x' * (200 << 20)\nimport time\ntime.sleep(2)"

    async def run() -> list[Execution]:
        async with SandboxExecutor(settings) as executor:
            first = await asyncio.gather(*[executor.execute([], code.format(i)) for i in range(3)])
            alone = next(i for i, execution in enumerate(first) if not execution.ok)
            return [*first, await executor.execute([], code.format(alone))]

    *first, alone = asyncio.run(run())
    assert sorted(e.status for e in first) == ["memory_limit", "memory_limit", "ok"]
    assert [e.output for e in first] == ["0\n", "1\n", "2\n"]
    assert {e.error for e in first if not e.ok} == {"MemoryLimit: all programs together take more than 300 MiB"}
    assert alone.ok  # it was not remembered, because it says nothing about the program


def test_live_processes_and_snapshots_are_limited() -> None:
    settings = QUICK.model_copy(update={"max_processes": 8, "max_snapshots": 6, "snapshot_after_s": 0.001})
    others = descendants()
    most = 0

    async def run() -> SandboxExecutor:
        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, len(descendants() - others))
                await asyncio.sleep(0.02)

        async with SandboxExecutor(settings) as executor:
            watching = asyncio.ensure_future(watch())
            for again in range(2):
                executions = await asyncio.gather(
                    *[
                        executor.execute([f"class A: pass\nx = {i} + 0 * sum(range(200_000))"], f"print(x)\n{again}")
                        for i in range(20)
                    ]
                )
                assert [e.output for e in executions] == [f"{i}\n" for i in range(20)]
            watching.cancel()
            return executor

    executor = asyncio.run(run())
    assert executor.counts.snapshots >= 20
    assert executor.counts.evicted >= executor.counts.snapshots - 6
    assert most <= 8 + 2  # the zygote and the process that keeps it; those that are being killed count


def test_a_process_that_was_killed_counts_until_it_is_gone() -> None:
    async def run() -> None:
        async with SandboxExecutor(QUICK.model_copy(update={"max_processes": 8})) as executor:
            assert (await executor.execute([], "class A: pass\nprint('ready')")).ok
            lingering = [subprocess.Popen(["sleep", "600"]) for _ in range(8)]
            try:
                zygote = executor.zygotes.ready("light")
                assert zygote is not None
                for process in lingering:
                    zygote.await_end(os.pidfd_open(process.pid))
                waiting = asyncio.ensure_future(executor.execute([], "class A: pass\nprint('done')"))
                await asyncio.sleep(0.3)
                assert not executor.runs
            finally:
                for process in lingering:
                    process.kill()
                    process.wait()
            assert (await waiting).output == "done\n"
            while zygote.num_dying:
                await asyncio.sleep(0.01)

    before = set(os.listdir("/proc/self/fd"))
    asyncio.run(asyncio.wait_for(run(), 1500))
    assert set(os.listdir("/proc/self/fd")) <= before


def test_snapshots_that_take_too_much_memory_are_given_up_and_replayed() -> None:
    settings = QUICK.model_copy(update={"snapshot_memory_mb": 100, "snapshot_after_s": 0.001, "cpu_s": 60.0})

    async def run() -> None:
        async with SandboxExecutor(settings) as executor:
            prefixes = [f"class A: pass\nx = b'{i}' * (60 << 20)" for i in range(3)]
            for i, prefix in enumerate(prefixes):
                assert (await executor.execute([prefix], "print(x[:1])")).output == f"b'{i}'\n"
                assert (await executor.execute([prefix], "print(x[:3])")).output == f"b'{i}{i}{i}'\n"
            for _ in range(200):
                if executor.counts.evicted >= 2:
                    break
                await asyncio.sleep(0.05)
            assert executor.counts.evicted >= 2
            assert (await executor.execute(prefixes[:1], "print(x[:2])")).output == "b'00'\n"

    asyncio.run(run())


def test_programs_of_many_steps_run() -> None:
    steps = [f"print({i})" for i in range(2000)]
    settings = QUICK.model_copy(update={"output_bytes": 1 << 20})

    async def run() -> list[Execution]:
        async with SandboxExecutor(settings) as executor:
            return await executor.execute_program(steps)

    assert [e.output for e in asyncio.run(run())] == [f"{i}\n" for i in range(2000)]


def test_a_program_as_a_whole_prints_at_most_eight_times_as_much_as_a_step(running: Running) -> None:
    step = "print('x' * 4000, end='')"
    executions = running.run(lambda executor: executor.execute_program([step] * 12))
    assert [e.status for e in executions] == ["ok"] * 8 + ["output_limit"]
    assert sum(len(e.output) for e in executions) == 8 * 4096


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


def test_random_state_is_as_at_the_start_in_whatever_letters_it_is_asked_for(running: Running) -> None:
    code = "import ｒandom as r\nprint(r.gauss(0, 1))"

    async def body(executor: SandboxExecutor) -> list[str]:
        once = await executor.execute([], f"{code}\nr.seed(3)")
        return [
            once.output,
            (await executor.execute([], code)).output,
            (await executor.execute_program([code]))[0].output,
        ]

    first, *others = running.run(body)
    assert others == [first] * 2
    assert first.strip()


def test_a_program_that_needs_little_runs_where_more_is_loaded_and_sees_nothing_of_it() -> None:
    look = "print('numpy' in dir(), [n for n in dir() if 'np' in n])"

    async def run() -> None:
        async with SandboxExecutor(ExecutionSettings(num_slots=1, wall_s=60)) as executor:
            heavy = "import numpy as np\nprint(np.linalg.det(np.eye(40) * {}))"
            assert (await executor.execute([], heavy.format(0))).output == "0.0\n"
            busy = executor.execute_all([], [heavy.format(i) for i in range(1, 20)])
            beside, alone = await asyncio.gather(busy, executor.execute([], look))
            assert not executor.pool.of("light")
            assert len([e for e in beside if e.ok]) == 19
            assert await executor.execute(["x = 1"], look) == replace(alone, seconds=ANY)

    asyncio.run(run())


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


def test_a_step_is_not_kept_from_warm_workers_by_the_prefixes_it_had() -> None:
    async def run() -> None:
        async with SandboxExecutor(QUICK) as executor:
            assert (await executor.execute(["class A:\n    x = 1\nx = 1"], "print(x)")).output == "1\n"
            assert (executor.counts.not_admitted, executor.counts.forked) == (1, 1)
            for i in range(2, 5):
                assert (await executor.execute([f"x = {i}"], "print(x)")).output == f"{i}\n"
            assert executor.counts.forked == 1
            # what comes after a step that needs a fork needs one too, and is not sent to a worker first
            assert (await executor.execute(["class A:\n    x = 1\nx = 1", "y = x"], "print(y)")).output == "1\n"
            assert (executor.counts.not_admitted, executor.counts.forked) == (1, 2)

    asyncio.run(run())
