"""The layers of isolation: reported, and refused by name where one is missing."""

import asyncio

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, Running


def test_a_missing_layer_is_refused_by_name_unless_it_is_accepted() -> None:
    async def run(settings: ExecutionSettings) -> Execution:
        async with SandboxExecutor(settings) as executor:
            executor._disabled_layers = ("landlock",)
            return await executor.execute([], "print(1)")

    with pytest.raises(
        SandboxError, match=r"layer 'landlock' is not active: .*runtime\.execution\.accept_missing: \[landlock\]"
    ):
        asyncio.run(run(QUICK))
    accepting = QUICK.model_copy(update={"accept_missing": ("landlock",)})
    assert asyncio.run(run(accepting)).output == "1\n"


def test_layers_are_reported(running: Running) -> None:
    layers = {layer.name: layer for layer in running.run(lambda executor: executor.layers())}
    for name in ("limits", "no_capabilities", "no_new_privileges", "landlock", "seccomp"):
        assert layers[name].required
        assert layers[name].active, layers[name].detail
