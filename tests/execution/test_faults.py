"""Faults of the executor's own parts: whatever dies or runs short, nothing hangs and nothing is mixed up."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, Running, descendants, eventually

DEADLINE_S = 120.0
"""Longer than any of this takes on a busy machine; what is not there by then hangs."""

SMALL = ExecutionSettings(cpu_s=5, wall_s=100, memory_mb=256, output_bytes=4096, num_slots=2, snapshot_after_s=0.005)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.kill(pid, signal.SIGKILL)


def program(number: int) -> tuple[list[str], str, str]:
    """A program by its number, and what it prints: warm ones, ones that need a fork, ones after a dear prefix."""
    kind = number % 5
    if kind == 0:
        return [f"class A:\n    x = {number}"], "print(A.x)", f"{number}\n"
    if kind == 1:
        return ["class B: pass\nx = sum(i * i for i in range(100_000))"], f"print({number})", f"{number}\n"
    if kind == 2:
        return [f"x = {number}", "y = x + 1"], "print(x, y)", f"{number} {number + 1}\n"
    return [f"x = [{number}]"], "x.append(1)\nprint(x)", f"[{number}, 1]\n"


async def run_program(executor: SandboxExecutor, number: int) -> Execution:
    prefix, code, _ = program(number)
    if number % 7 == 0:
        return (await executor.execute_program([*prefix, code]))[-1]
    return await executor.execute(prefix, code)


@pytest.mark.parametrize("seed", [1, 2])
def test_processes_killed_at_any_moment(seed: int) -> None:
    draw = random.Random(seed)
    others = descendants()

    async def killer(victims: int) -> None:
        for _ in range(victims):
            await asyncio.sleep(draw.random() * 0.1)
            pids = sorted(descendants() - others)
            zygote = pids[:2]  # the oldest, with the process that keeps it
            if pids[2:] and draw.random() < 0.9:
                kill(draw.choice(pids[2:]))
            elif zygote and draw.random() < 0.2:
                kill(draw.choice(zygote))

    async def run() -> None:
        async with SandboxExecutor(SMALL) as executor:
            await executor.execute([], "print(0)")
            killing = asyncio.ensure_future(killer(25))
            numbers = range(300)
            executions = await asyncio.gather(*[run_program(executor, i) for i in numbers])
            await killing
            for number, execution in zip(numbers, executions, strict=True):
                if execution.status != "killed":
                    assert execution.ok, execution
                    assert execution.output == program(number)[2]
            assert sum(execution.ok for execution in executions) > 200
            assert (await executor.execute([], "print('after')")).output == "after\n"

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))
    assert len(os.listdir("/proc/self/fd")) <= before
    assert eventually(lambda: descendants() <= others)


@pytest.mark.parametrize("work", ["import time\ntime.sleep(1)", "class A: pass\nfor i in range(10_000_000): pass"])
def test_a_zygote_that_dies_under_a_program_is_replaced_and_the_program_run_again(work: str) -> None:
    async def run() -> None:
        async with SandboxExecutor(SMALL) as executor:
            assert (await executor.execute([], "print(0)")).ok
            running = asyncio.ensure_future(executor.execute([], f"{work}\nprint('done')"))
            while not any(run.child.pid for run in executor.runs):
                await asyncio.sleep(0.01)
            zygote = executor.zygotes.ready("light")
            assert zygote is not None
            kill(zygote.process.pid)
            assert (await running).output == "done\n"
            assert executor.counts.lost >= 1

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def test_a_killed_worker_loses_no_program(running: Running) -> None:
    async def body(executor: SandboxExecutor) -> list[Execution]:
        tasks = [asyncio.ensure_future(executor.execute(["x = 1"], f"print(x, {i})")) for i in range(200)]
        for _ in range(3):
            await asyncio.sleep(0.005)
            for worker in executor.pool.workers():
                if worker.child.pid:
                    kill(worker.child.pid)
        return await asyncio.gather(*tasks)

    assert [e.output for e in running.run(body)] == [f"1 {i}\n" for i in range(200)]


def test_a_killed_snapshot_is_replayed() -> None:
    async def run() -> None:
        async with SandboxExecutor(SMALL) as executor:
            prefix = ["class A: pass\nx = sum(range(1_000_000))"]
            outputs = set()
            for i in range(4):
                outputs.add((await executor.execute(prefix, f"print(x)  # {i}")).output)
                for snapshot in executor.snapshots:
                    kill(snapshot.pid)
            assert outputs == {"499999500000\n"}
            assert executor.counts.snapshots >= 2

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def fill_descriptor_table() -> list[int]:
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return held


@pytest.mark.parametrize("started", [False, True])
def test_a_full_descriptor_table_only_delays(started: bool) -> None:
    async def run() -> list[Execution]:
        async with SandboxExecutor(QUICK) as executor:
            if started:
                await executor.execute([], "print('ready')")
            held = fill_descriptor_table()
            try:
                tasks = [asyncio.ensure_future(run_program(executor, i)) for i in range(30)]
                await asyncio.sleep(0.5)
            finally:
                for fd in held:
                    os.close(fd)
            return await asyncio.gather(*tasks)

    executions = asyncio.run(asyncio.wait_for(run(), DEADLINE_S))
    assert [e.output for e in executions] == [program(i)[2] for i in range(30)]


SUPERVISOR = """
import asyncio, sys
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.config import ExecutionSettings

async def main():
    settings = ExecutionSettings(cpu_s=600, wall_s=600, num_slots=4, snapshot_after_s=0.005)
    async with SandboxExecutor(settings) as executor:
        await executor.execute(["class A: pass\\nx = sum(range(1_000_000))"], "print(x)")
        print("ready", flush=True)
        await asyncio.gather(
            executor.execute([], "while True: pass"),
            executor.execute([], "class A: pass\\nwhile True: pass"),
            executor.execute(["class A: pass\\nx = sum(range(1_000_000))"], "while True: pass"),
            executor.execute_program(["import time\\ntime.sleep(600)"]),
        )

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_die_with_their_supervisor(number: signal.Signals) -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    try:
        assert supervisor.stdout.readline() == b"ready\n"
        # keeper, zygote, a snapshot, a worker and three programs at least
        assert eventually(lambda: len(descendants(supervisor.pid)) >= 7)
        time.sleep(0.2)
        children = {pid: started(pid) for pid in descendants(supervisor.pid)}
    finally:
        supervisor.send_signal(number)
        supervisor.wait()
        supervisor.stdout.close()
    assert eventually(lambda: not any(at and started(pid) == at for pid, at in children.items()))


def started(pid: int) -> str:
    """When a process began, "" where it is gone or a zombie: pids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def test_a_forked_process_starts_afresh_and_leaves_its_parent_alone() -> None:
    runner = asyncio.Runner()
    executor = SandboxExecutor(QUICK)

    def outputs(number: int) -> list[str]:
        async def run() -> list[str]:
            programs = (f"print({number})", f"class A: pass\nprint({number})")
            return [(await executor.execute([], code)).output for code in programs]

        return runner.run(asyncio.wait_for(run(), DEADLINE_S))

    others = descendants()
    assert outputs(1) == ["1\n"] * 2
    child = os.fork()
    if child == 0:
        runner = asyncio.Runner()  # the other one is its parent's
        status = 1
        try:
            status = int(outputs(2) != ["2\n"] * 2)
            runner.run(executor.aclose())
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert outputs(3) == ["3\n"] * 2
    runner.run(executor.aclose())
    runner.close()
    assert eventually(lambda: descendants() <= others)


def test_a_loop_that_is_held_up_ends_no_program_that_has_finished() -> None:
    settings = ExecutionSettings(cpu_s=1, wall_s=1, num_slots=2)

    async def run() -> list[Execution]:
        async with SandboxExecutor(settings) as executor:
            await executor.execute([], "print(0)")
            tasks = [asyncio.ensure_future(run_program(executor, i)) for i in range(8)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(2.5)  # as a model in the same process does
            return await asyncio.gather(*tasks)

    executions = asyncio.run(run())
    assert [e.output for e in executions] == [program(i)[2] for i in range(8)]
