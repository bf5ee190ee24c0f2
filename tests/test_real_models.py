"""Whole runs with a tiny Qwen2 checkpoint: and with round 1 searched behind a real server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rstar_math import steps
from rstar_math.config import EndpointSettings, Recipe
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.engines.torch.loading import load_engine
from rstar_math.errors import ModelError
from rstar_math.evolve import evolve
from rstar_math.progress import Progress
from rstar_math.store.records import read_trees
from rstar_math.types import SamplingParams
from tests.tiny_solver import problem, recipe, save_tiny_solver


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_solver(tmp_path_factory.mktemp("solver") / "base")


def run(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    evolve(Recipe.model_validate(settings), folder, Progress())
    return {p.parent.name: json.loads(p.read_text())["stages"] for p in sorted(folder.glob("*/manifest.json"))}


def check_rounds(stages: dict[str, Any], num_rounds: int) -> None:
    for number in range(1, num_rounds + 1):
        made = stages[f"round-{number}"]
        assert list(made) == ["search", "select", "policy", "ppm", "calibrate", "evaluate"]
        assert made["search"]["num_solved"] >= 1
        assert made["policy"]["num_steps"] == 4
        assert made["ppm"]["num_pairs"] >= 1


def test_a_round_of_a_qwen2_checkpoint(base: Path, tmp_path: Path) -> None:
    stages = run(recipe(tmp_path, base, 1), tmp_path / "run")
    check_rounds(stages, 1)
    config = json.loads((tmp_path / "run" / "round-1" / "policy" / "config.json").read_text())
    assert config["model_type"] == "qwen2"


@pytest.mark.slow
def test_four_rounds_of_a_qwen2_checkpoint(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(tmp_path, base, 4)))
    rstar = Path(sys.executable).with_name("rstar")
    command: list[Path | str] = [rstar, "evolve", path, "--out", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    manifests = sorted((tmp_path / "run").glob("round-*/manifest.json"))
    check_rounds({p.parent.name: json.loads(p.read_text())["stages"] for p in manifests}, 4)
    assert (tmp_path / "run" / "report.html").exists()


@pytest.fixture(scope="module")
def server(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The OpenAI-compatible server that transformers brings, with the tiny checkpoint; its URL."""
    for package in ("fastapi", "uvicorn", "openai", "requests"):
        pytest.importorskip(package, reason=f"`transformers serve` needs {package}, which is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(tmp_path_factory.mktemp("server") / "log.txt", "w")  # noqa: SIM115 (as long as the server)
    program = Path(sys.executable).with_name("transformers")
    command: list[Path | str] = [program, "serve", base, "--host", "127.0.0.1", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    try:
        deadline = time.monotonic() + 1500
        while not _is_up(port):
            assert process.poll() is None, Path(log.name).read_text()[-2000:]
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
        log.close()


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_the_engine_speaks_to_the_server_of_transformers(server: str, base: Path) -> None:
    async def ask() -> None:
        prompt = steps.prompt(problem(1)["problem"])
        params = SamplingParams(n=8, max_tokens=24, stop=steps.STOPS, seed=1)
        greedy = SamplingParams(n=1, temperature=0.0, max_tokens=24, stop=steps.STOPS, seed=1)
        engine = HttpEngine(server, EndpointSettings(model=str(base)))
        drawn = (await engine.generate(prompt, params)).completions
        (likeliest,) = (await engine.generate(prompt, greedy)).completions
        await engine.aclose()
        here = load_engine(base, device="cpu", dtype="float32", allow_text_markers=True)
        (expected,) = (await here.generate(prompt, greedy)).completions
        await here.aclose()
        assert expected.stop == steps.END_OF_STEP
        assert (likeliest.text, likeliest.stop) == (expected.text, expected.stop)
        # some of what so small a model draws is no step; what the server left out is put back in all others
        assert sum(c.stop in steps.STOPS for c in drawn) >= 6
        assert not any(marker in c.text for c in drawn for marker in steps.STOPS)
        assert len({c.text for c in drawn}) > 1
        assert engine.counts.estimated_tokens == 0
        assert engine.counts.retries == 0

        stranger = HttpEngine(server, EndpointSettings(model="another"))
        with pytest.raises(ModelError, match="does not know the model 'another'"):
            await stranger.generate("x", params)
        await stranger.aclose()

    asyncio.run(ask())


@pytest.mark.slow
def test_round_one_behind_the_server_later_rounds_in_process(server: str, base: Path, tmp_path: Path) -> None:
    settings = recipe(tmp_path, base, 4)
    settings["rounds"][0]["policy"] = f"{server}?model={base}&bootstrap=none"
    stages = run(settings, tmp_path / "run")
    check_rounds(stages, 4)
    trees = list(read_trees(tmp_path / "run" / "round-1" / "trees"))
    assert all(tree.cost.tokens_generated > 0 for tree in trees)
