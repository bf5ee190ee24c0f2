"""Execution without isolation: only where it is asked for, within limits, and said so."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from rstar_math.config import REQUIRED_LAYERS, ExecutionSettings, RuntimeSettings
from rstar_math.config.reading import check
from rstar_math.doctor.machine import sandbox
from rstar_math.doctor.patient import Patient
from rstar_math.errors import SandboxError
from rstar_math.execution.layers import LayerReport
from rstar_math.execution.observation import RecordedExecution
from rstar_math.execution.opening import open_executor
from rstar_math.execution.unconfined.executor import UnconfinedExecutor
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, descendants, eventually

UNCONFINED = QUICK.model_copy(update={"isolation": "none", "wall_s": 3.0, "cpu_s": 1.0})


def test_without_isolation_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="isolation: none"):
        UnconfinedExecutor(QUICK)
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        with pytest.raises(
            SandboxError, match=rf"no sandbox for them on {system}.*runtime\.execution\.isolation: none"
        ):
            open_executor(QUICK)
        with pytest.warns(UserWarning, match="not a security boundary"):
            assert isinstance(open_executor(UNCONFINED), UnconfinedExecutor)


@pytest.mark.filterwarnings("ignore:steps run without isolation")
def test_without_isolation_limits_hold() -> None:
    programs = {
        "print(x + 1)": ("ok", "2\n"),
        "print('a')\nraise ValueError('b')": ("error", "a\n"),
        "while True: print('x' * 100)": ("output_limit", None),
        "print('a')\nx = bytearray(20 << 30)": ("memory_limit", "a\n"),
        "print('a')\nimport os\nos._exit(1)": ("killed", "a\n"),
        "print('a')\nimport time\ntime.sleep(60)": ("wall_limit", "a\n"),
        f"print('a')\nimport os\nos.kill(os.getpid(), {int(signal.SIGXCPU)})": ("cpu_limit", "a\n"),
        "print('y' in globals(), len('ab'))": ("ok", "False 2\n"),
    }
    others, files = descendants(), set(os.listdir("/proc/self/fd"))

    async def body() -> tuple[list[Execution], list[Execution], list[LayerReport]]:
        executor = UnconfinedExecutor(UNCONFINED)
        first = await executor.execute([], "y = 1\nimport builtins")
        executions = [await executor.execute(["x = 1\nprint('prefix')"], code) for code in programs]
        whole = await executor.execute_program(["x = 1\nprint(x)", "1/0", "never"])
        assert first.ok
        recorded = (await executor.record_program(["print(1 / 3)"]))[0]
        assert isinstance(recorded, RecordedExecution)
        assert [s.label for s in recorded.statements] == ["1 / 3:"]
        layers = await executor.layers()
        await executor.aclose()
        return executions, whole, layers

    executions, whole, layers = asyncio.run(body())
    for execution, (status, output) in zip(executions, programs.values(), strict=True):
        assert execution.status == status, execution
        assert output is None or execution.output == output
    assert [(e.status, e.output) for e in whole] == [("ok", "1\n"), ("error", "")]
    assert [(layer.name, layer.active) for layer in layers] == [("isolation", False)]
    assert "not a security boundary" in layers[0].detail
    assert eventually(lambda: descendants() <= others)
    assert set(os.listdir("/proc/self/fd")) <= files


@pytest.mark.filterwarnings("ignore:steps run without isolation")
@pytest.mark.parametrize("isolation", ["sandbox", "none"])
def test_the_doctor_names_what_isolates_steps(isolation: str) -> None:
    patient = Patient(runtime=RuntimeSettings(execution=check(ExecutionSettings, {"isolation": isolation}, "here")))
    finding = asyncio.run(sandbox(patient))
    if isolation == "none":
        assert finding.verdict == "warning"
        assert "not a security boundary" in finding.found
    else:
        assert finding.verdict in ("ok", "warning")
        assert all(layer in finding.found for layer in REQUIRED_LAYERS)
