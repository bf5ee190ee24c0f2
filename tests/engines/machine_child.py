"""What deterministic mode computes in this process, as one JSON object of digests: run by `test_every_machine`.

    python -m tests.engines.machine_child FOLDER

Settings of the libraries (instruction sets, threads) come in the environment. FOLDER receives what is trained.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from rstar_math import steps
from rstar_math.config import PPMSettings, SFTSettings
from rstar_math.engines.base import Score
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.engines.torch.reward_model import TorchRewardModel
from rstar_math.models import find_model
from rstar_math.pocket.splits import pocket_problems
from rstar_math.training.ppm import train_ppm
from rstar_math.training.sft import train_sft
from rstar_math.types import SamplingParams
from tests.training.test_ppm import make_pairs
from tests.training.test_sft import make_examples

POCKET = find_model("pocket")
PROMPTS = [steps.prompt(problem.question) for problem in pocket_problems("validation", 12)]


def digest(parts: Iterable[object]) -> str:
    """Digest of numbers with every digit, and of texts."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


def generated(concurrency: int) -> str:
    """Steps of all prompts with their log-probabilities, and steps after these, so many prompts at a time."""

    async def run() -> Sequence[object]:
        engine = TorchEngine.from_pretrained(POCKET.policy_folder, device="cpu", deterministic=True)
        gate = asyncio.Semaphore(concurrency)

        async def one(number: int, prompt: str) -> object:
            async with gate:
                params = SamplingParams(n=3 + number % 6, max_tokens=48, stop=steps.STOPS, seed=number, temperature=0.9)
                first = await engine.generate(prompt, params)
                longer = prompt + first.completions[0].text + steps.END_OF_STEP
                return first, await engine.generate(longer, params)

        answers = await asyncio.gather(*(one(i, prompt) for i, prompt in enumerate(PROMPTS)))
        await engine.aclose()
        return answers

    return digest(asyncio.run(run()))


def scored(together: bool) -> str:
    """Scores of short and long siblings, all at once or one request after the other."""
    requests = [
        [prompt + f"\ntotal = {i} + {k}" * (1 + 3 * i) + "\n<end_of_step>" for k in range(1 + i % 5)]
        for i, prompt in enumerate(PROMPTS)
    ]

    async def run() -> Sequence[Sequence[Score]]:
        reward_model = TorchRewardModel.from_pretrained(POCKET.reward_model or Path(), device="cpu", deterministic=True)
        if together:
            scores = await asyncio.gather(*map(reward_model.score, requests))
        else:
            scores = [await reward_model.score(request) for request in requests[::-1]][::-1]
        await reward_model.aclose()
        return scores

    return digest(score.logit for request in asyncio.run(run()) for score in request)


def trained(folder: Path) -> str:
    """Weights of a policy and a PPM after two steps each, with one thread as in a deterministic run."""
    torch.set_num_threads(1)
    common = {"learning_rate": 1e-3, "num_steps": 2, "batch_size": 4, "max_length": 200, "dtype": "float32"}
    train_sft(POCKET.policy_folder, make_examples(8), SFTSettings.model_validate(common), folder / "policy", 1)
    ppm = PPMSettings.model_validate(common | {"dropout": 0.1})
    train_ppm(folder / "policy", make_pairs(range(10, 18)), make_pairs(range(40, 42)), ppm, folder / "ppm", 1)
    weights = [load_file(folder / name / "model.safetensors") for name in ("policy", "ppm")]
    return digest(tensor.numpy().tobytes() for tensors in weights for _, tensor in sorted(tensors.items()))


if __name__ == "__main__":
    where = Path(sys.argv[1])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    expected = os.environ.get("ATEN_CPU_CAPABILITY", "").upper()
    assert torch.backends.cpu.get_cpu_capability().startswith(expected), "torch has computed before"
    found = {
        "training": trained(where / "first"),
        "generation, together": generated(len(PROMPTS)),
        "generation, alone": generated(1),
        "scoring, together": scored(True),
        "scoring, alone": scored(False),
        "training, in a process with a history": trained(where / "second"),
    }
    print(json.dumps(found))
