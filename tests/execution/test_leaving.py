"""A program that leaves by itself: `exit()` ends the step, as in a notebook, and what was printed counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.execution.fake import FakeExecutor
from rstar_math.execution.observation import RecordedExecution
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.execution.unconfined.executor import UnconfinedExecutor
from rstar_math.types import Execution
from tests.execution.conftest import QUICK

EXECUTORS = ("fork", "warm", "unconfined", "fake")
MODES = ("plain", "notebook")

WELL = (
    *("exit()", "quit()", "exit(0)", "exit(None)", "import sys\nsys.exit()", "import sys; sys.exit(0)"),
    *("raise SystemExit", "raise SystemExit(0)", "raise SystemExit(None)"),
)
BADLY = {
    "exit(1)": "SystemExit: 1",
    "quit(-1)": "SystemExit: -1",
    "exit('no solution')": "SystemExit: no solution",
    "import sys\nsys.exit(3)": "SystemExit: 3",
    "raise SystemExit(2)": "SystemExit: 2",
    "raise SystemExit('0')": "SystemExit: 0",
}


def opened(name: str, mode: str) -> FakeExecutor | SandboxExecutor | UnconfinedExecutor:
    settings = ExecutionSettings.model_validate(QUICK.model_dump() | {"output": mode, "warm": name == "warm"})
    if name == "fake":
        return FakeExecutor()
    if name == "unconfined":
        return UnconfinedExecutor(settings.model_copy(update={"isolation": "none"}))
    return SandboxExecutor(settings)


def run(name: str, mode: str, programs: Sequence[Sequence[str]]) -> list[list[Execution]]:
    """The executions of each program's steps, by `execute_program` and by `execute`, which must agree."""

    async def body() -> list[list[Execution]]:
        executor = opened(name, mode)
        try:
            wholes = [await executor.execute_program(steps) for steps in programs]
            lasts = [await executor.execute(steps[:-1], steps[-1]) for steps in programs]
        finally:
            await executor.aclose()
        for whole, last in zip(wholes, lasts, strict=True):
            assert (whole[-1].status, whole[-1].output, whole[-1].error) == (last.status, last.output, last.error)
        return wholes

    return asyncio.run(body())


@pytest.mark.filterwarnings("ignore:steps run without isolation")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXECUTORS)
def test_a_step_that_leaves_with_status_0_is_ok_with_what_it_printed(name: str, mode: str) -> None:
    programs = [["x = 40", f"print(x + 2)\n{leave}\nprint(0)"] for leave in WELL]
    programs += [["x = 40", f"print(x + 2); {leave.splitlines()[-1]}"] for leave in WELL if "sys" not in leave]
    for program, executions in zip(programs, run(name, mode, programs), strict=True):
        assert [(e.status, e.output, e.error) for e in executions] == [("ok", "", None), ("ok", "42\n", None)], program


@pytest.mark.filterwarnings("ignore:steps run without isolation")
@pytest.mark.parametrize("name", EXECUTORS)
def test_another_exit_status_and_a_text_are_errors_that_say_so(name: str) -> None:
    for (leave, error), executions in zip(
        BADLY.items(), run(name, "plain", [[f"print(42)\n{leave}"] for leave in BADLY]), strict=True
    ):
        assert [(e.status, e.output, e.error) for e in executions] == [("error", "42\n", error)], leave


@pytest.mark.filterwarnings("ignore:steps run without isolation")
@pytest.mark.parametrize("name", EXECUTORS)
def test_later_steps_find_what_was_there_when_the_step_left(name: str) -> None:
    program = ["x = 1\nexit()\nx = 2", "print(x)\nraise SystemExit(0)", "print(x + 1)"]
    (executions,) = run(name, "plain", [program])
    assert [(e.status, e.output) for e in executions] == [("ok", ""), ("ok", "1\n"), ("ok", "2\n")]


@pytest.mark.filterwarnings("ignore:steps run without isolation")
@pytest.mark.parametrize("name", EXECUTORS)
def test_the_record_ends_with_the_statement_that_left(name: str) -> None:
    async def body() -> list[Execution]:
        executor = opened(name, "plain")
        try:
            return await executor.record_program(["print(1)\nprint(2)\nexit()\nprint(3)", "print(4)"])
        finally:
            await executor.aclose()

    first, second = asyncio.run(body())
    assert isinstance(first, RecordedExecution)
    assert (first.status, [s.printed for s in first.statements]) == ("ok", ["1\n", "2\n", ""])
    assert second.output == "4\n"
