"""The sandbox's process, killed or held by its id: `/health` says so, requests get 503, and it heals by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.config import ExecutionSettings
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.execution.supervisor import starting
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.serve import health
from rstar_math.serve.settings import ServeSettings
from rstar_math.workers.bench import Workbench
from tests.api.fake_model import SETTINGS
from tests.serve.serving import CHAT, answered, ask, serving


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A server whose programs run in the real sandbox."""
    executor = SandboxExecutor(ExecutionSettings(num_slots=2))
    bench = Workbench(FakeEngine(), executor, FakeGrader(), FakeRewardModel())
    settings = ServeSettings(port=0, probe_s=1)
    with (
        RStarMathModel.from_workbench(bench, "fake", SETTINGS) as model,
        serving({"fake": model}, settings) as (made, _),
    ):
        answered(made)
        yield made


def sandbox() -> list[int]:
    """The sandbox's processes: those from which programs are forked, and those that wait for programs."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue  # it has just ended
        if starting.MARK in words:
            found.append(int(place.name))
    return found


def send(number: signal.Signals, processes: list[int]) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):  # another one took it along
            os.kill(pid, number)


def becomes(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_healthy(client: httpx.Client) -> bool:
    reply = client.get("/health")
    assert reply.status_code in (200, 503)
    assert reply.json()["status"] == ("ok" if reply.status_code == 200 else "unavailable")
    return reply.status_code == 200


def test_one_that_is_killed_is_replaced_and_nobody_notices(client: httpx.Client) -> None:
    before = answered(client, seed=7)["choices"][0]["message"]["content"]
    killed = sandbox()
    assert killed
    send(signal.SIGKILL, killed)
    assert answered(client, seed=8)["choices"][0]["rstar"]["cost"]["executions"] > 0
    assert answered(client, seed=7)["choices"][0]["message"]["content"] == before
    becomes(lambda: is_healthy(client))
    assert not set(sandbox()) & set(killed)


def test_one_that_cannot_be_replaced_turns_health_red_until_it_can(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(starting, "ZYGOTE", Path("/nonexistent/zygote.py"))
        send(signal.SIGKILL, sandbox())
        becomes(lambda: not is_healthy(client))
        refused = client.post(CHAT, json=ask(seed=9))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "unavailable"
        assert "rstar_healthy 0.0" in client.get("/metrics").text
    becomes(lambda: is_healthy(client))
    answered(client, seed=9)


def test_one_that_hangs_turns_health_red_until_it_goes_on(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_PROBE_TIMEOUT_S", 0.5)
    becomes(lambda: is_healthy(client))
    held = sandbox()
    assert held
    send(signal.SIGSTOP, held)
    try:
        becomes(lambda: not is_healthy(client))
        assert client.post(CHAT, json=ask(seed=10)).status_code == 503
    finally:
        send(signal.SIGCONT, held)
    monkeypatch.undo()
    becomes(lambda: is_healthy(client))
    answered(client, seed=10)
