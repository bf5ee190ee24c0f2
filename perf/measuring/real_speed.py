"""How fast a pretrained model writes: this package's engine in each arithmetic, beside `transformers.generate`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from rstar_math import steps
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.types import Problem, SamplingParams

NUM_TOKENS = 48
NUM_CANDIDATES = 8


def print_speed(
    folder: Path, problems: Sequence[Problem], row_counts: Sequence[int], dtypes: Sequence[str], turns: int
) -> None:
    """Lets every contender take its turns, and prints the best of each: tokens for each CPU-second."""
    torch.set_num_threads(1)
    contenders: dict[str, Callable[[list[str], int], float]] = {}
    for dtype in dtypes:
        contenders[f"this engine, {dtype}"] = _ours(folder, dtype)
        if dtype != "int8":
            contenders[f"transformers, {dtype}"] = _of_transformers(folder, dtype)
    prompts = [steps.prompt(problem.question) for problem in problems]
    best = {name: dict.fromkeys(row_counts, 0.0) for name in contenders}
    for _ in range(turns):
        for num_rows in row_counts:
            per_prompt = min(num_rows, NUM_CANDIDATES)
            chosen = prompts[: num_rows // per_prompt]
            for name, write in contenders.items():
                start = time.process_time()
                num_tokens = write(chosen, per_prompt)
                best[name][num_rows] = max(best[name][num_rows], num_tokens / (time.process_time() - start))
    print("tokens per CPU-second | " + " | ".join(f"{n} rows" for n in row_counts))
    for name, speeds in best.items():
        print(f"{name} | " + " | ".join(f"{speeds[n]:.0f}" for n in row_counts))


def _ours(folder: Path, dtype: str) -> Callable[[list[str], int], float]:
    engine = TorchEngine.from_pretrained(folder, device="cpu", dtype=dtype, prefix_cache_mb=0)
    params = {"temperature": 0.8, "max_tokens": NUM_TOKENS, "stop": ("\x00",), "seed": 0}

    def write(prompts: list[str], per_prompt: int) -> float:
        async def run() -> float:
            asked = (engine.generate(p, SamplingParams(n=per_prompt, **params)) for p in prompts)  # type: ignore[arg-type]
            return sum(c.num_tokens for answer in await asyncio.gather(*asked) for c in answer.completions)

        return asyncio.run(run())

    return write


def _of_transformers(folder: Path, dtype: str) -> Callable[[list[str], int], float]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def write(prompts: list[str], per_prompt: int) -> float:
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            written = model.generate(
                **batch,
                do_sample=True,
                temperature=0.8,
                top_k=0,
                max_new_tokens=NUM_TOKENS,
                num_return_sequences=per_prompt,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = written[:, batch["input_ids"].shape[1] :]
        return float((new != tokenizer.pad_token_id).sum())

    return write
