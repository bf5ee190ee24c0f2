"""A tiny Qwen2 checkpoint that solves a few sums, some of the time: a base for whole runs on the real loaders."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM

from rstar_math import steps
from rstar_math.config import SFTSettings
from rstar_math.training.examples import SFTExample, sft_example
from rstar_math.training.sft import train_sft
from tests.engines.tiny_checkpoints import make_tokenizer

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
}


def problem(i: int, wording: str = "Add {i} and 2.") -> dict[str, str]:
    """A sum; problems of another wording are other problems."""
    return {
        "id": f"{'.!?'.index(wording[-1])}-{i}",
        "problem": wording.format(i=i),
        "answer": str(i + 2),
        "tier": "gsm",
    }


def demonstration(i: int, is_wrong: bool) -> SFTExample:
    """Two steps and an answer; the wrong one subtracts."""
    sign, result = ("-", i - 2) if is_wrong else ("+", i + 2)
    response = (
        f"\nx = {i} {sign} 2\n{steps.END_OF_STEP}\nprint(x)\n{steps.END_OF_CODE}"
        f"{steps.observation(str(result))}\n{steps.ANSWER}\\boxed{{{result}}}{steps.END_OF_ANSWER}"
    )
    return sft_example(problem(i)["problem"], steps.parse(response))


def save_tiny_solver(folder: Path, num_problems: int = 6, share_wrong: float = 0.4, num_steps: int = 90) -> Path:
    """Saves a base that knows the step format and `problem(0)` to `problem(num_problems - 1)`, right and wrong ways.

    Its markers are ordinary added tokens, which servers do not leave out of their texts, and its generation
    configuration says that it samples, as servers need it.
    """
    tokenizer = make_tokenizer(())
    tokenizer.add_tokens([AddedToken(m, special=False, normalized=False) for m in steps.MARKERS])
    config = AutoConfig.for_model(
        "qwen2", vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, tie_word_embeddings=False, **SIZES
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    start = folder.parent / f"{folder.name}-start"
    model.save_pretrained(start)
    tokenizer.save_pretrained(start)
    chance = random.Random(0)
    examples = [demonstration(i, chance.random() < share_wrong) for i in range(num_problems) for _ in range(10)]
    settings = SFTSettings(
        learning_rate=4e-3, num_steps=num_steps, batch_size=16, warmup_steps=5, max_length=128, dtype="float32"
    )
    train_sft(start, examples, settings, folder, 0, device=torch.device("cpu"))
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_sample": True}))
    return folder


def write_problems(path: Path, wording: str, numbers: range) -> str:
    """A file of problems."""
    path.write_text("".join(json.dumps(problem(i, wording)) + "\n" for i in numbers))
    return str(path)


def recipe(folder: Path, base: Path, num_rounds: int, **runtime: Any) -> dict[str, Any]:
    """A recipe of small rounds."""
    search = {"num_rollouts": 6, "num_candidates": 4, "max_depth": 4, "max_step_tokens": 24, "max_solution_tokens": 80}
    training = {"dtype": "float32", "max_length": 200}
    sft = training | {"num_steps": 4, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 5e-4}
    ppm = training | {"num_epochs": 1, "batch_size": 2, "learning_rate": 1e-3, "early_stopping": True}
    rounds = [
        {
            "policy": "previous" if i else "base",
            "search": search | {"use_ppm": i >= 2},
            "sft": sft,
            "ppm": ppm,
        }
        for i in range(num_rounds)
    ]
    return {
        "name": "tiny",
        "base_model": str(base),
        "problems": {"source": write_problems(folder / "train.jsonl", "Add {i} and 2.", range(4))},
        "held_out": {"problems": {"source": write_problems(folder / "held.jsonl", "Add {i} and 2!", range(4))}},
        "accumulate_pairs": True,
        "rounds": rounds,
        "evaluation": {
            "problems": {"source": write_problems(folder / "test.jsonl", "Add {i} and 2?", range(3))},
            "overlap": "allow",  # the same sums but for their last character: nothing is claimed of so small a model
        },
        "runtime": {"num_workers": 1, "device": "cpu", "concurrency": 4} | runtime,
    }
