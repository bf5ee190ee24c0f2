"""The engine beside `transformers.generate`: recorded requests, and one greedy completion of each prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from measuring.replayed_searches import MAX_STEP_TOKENS, NUM_CANDIDATES, POLICY, Ask, Requests, load_engine, replay
from measuring.turns import Contender, Row, Stopwatch, Work, in_turns
from rstar_math import steps
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.types import SamplingParams

SHAPE_8M = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 7, "num_attention_heads": 8,
            "num_key_value_heads": 8, "head_dim": 32}  # fmt: skip


class Transformers:
    """`transformers.generate` at its best: left padding, prompts sorted by length, stops as end tokens."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        vocabulary = self.tokenizer.get_vocab()
        self.ends = [*(vocabulary[stop] for stop in steps.STOPS), self.tokenizer.eos_token_id]

    def by_length(self, prompts: Sequence[str], num_prompts: int) -> list[str]:
        """A sample of prompts, evenly spread over their lengths."""
        ordered = sorted(prompts, key=lambda prompt: len(self.tokenizer(prompt).input_ids))
        every = max(1.0, len(ordered) / num_prompts)
        return [ordered[int(i * every)] for i in range(min(num_prompts, len(ordered)))]

    async def complete(self, prompts: Sequence[str], num_rows: int, greedy: bool, watch: Stopwatch) -> int:
        """Completes prompts that are sorted by length; number of tokens up to and with the first end of each row."""
        n = 1 if greedy else NUM_CANDIDATES
        options: dict[str, Any] = {"do_sample": False}
        if not greedy:
            options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": n}
        tokens, per_batch = 0, max(1, num_rows // n)
        with watch:
            for start in range(0, len(prompts), per_batch):
                batch = self.tokenizer(list(prompts[start : start + per_batch]), return_tensors="pt", padding=True)
                output = self._generate(batch, **options)
                is_end = torch.isin(output, torch.tensor(self.ends))  # [rows, T]
                tokens += int((is_end.cumsum(-1) - is_end.long() == 0).sum())
        return tokens

    def greedy(self, prompt: str) -> str:
        """The greedy completion of one prompt, its end token left out."""
        output = self._generate(self.tokenizer(prompt, return_tensors="pt"), do_sample=False)[0].tolist()
        return str(self.tokenizer.decode(output[:-1] if output[-1] in self.ends else output))

    @torch.inference_mode()
    def _generate(self, batch: Any, **options: Any) -> torch.Tensor:
        output: torch.Tensor = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=MAX_STEP_TOKENS,
            eos_token_id=self.ends,
            pad_token_id=self.tokenizer.pad_token_id,
            use_cache=True,
            **options,
        )
        return output[:, batch["input_ids"].shape[1] :]


def against_transformers(
    name: str, folder: Path, requests: Requests, prompts: Sequence[str], rows: Sequence[int], num_turns: int
) -> dict[str, Row]:
    """The engine on `requests`, and `transformers.generate` on `prompts`, candidates sampled."""
    reference = Transformers(folder)
    sample = reference.by_length(prompts, len(prompts))
    contenders = [
        Contender(f"{name}: transformers, {n} rows", partial(partial, reference.complete, sample, n, False))
        for n in rows
    ]

    def engine(**options: Any) -> Callable[[], Work]:
        return lambda: partial(replay, load_engine(folder, **options), None, requests)

    contenders.append(Contender(f"{name}: engine", engine()))
    if num_turns > 1:
        contenders.append(Contender(f"{name}: engine, no prefix reuse", engine(prefix_cache_mb=0)))
        contenders.append(Contender(f"{name}: engine, deterministic", engine(deterministic=True)))
    return compared(in_turns(contenders, num_turns))


def greedy_against_transformers(
    name: str, folder: Path, prompts: Sequence[str], rows: Sequence[int], num_checked: int
) -> dict[str, Row]:
    """The same with one greedy completion of each prompt, and how many are the same text."""
    reference = Transformers(folder)
    ordered = reference.by_length(prompts, len(prompts))
    params = SamplingParams(temperature=0.0, max_tokens=MAX_STEP_TOKENS, stop=steps.STOPS)
    chains = [[Ask((prompt,), params)] for prompt in ordered]
    contenders = [
        Contender(f"{name}: greedy, transformers, {n} rows", partial(partial, reference.complete, ordered, n, True))
        for n in rows
    ]
    contenders.append(Contender(f"{name}: greedy, engine", lambda: partial(replay, load_engine(folder), None, chains)))
    found = compared(in_turns(contenders, 1))

    async def texts(engine: TorchEngine, checked: Sequence[str]) -> list[str]:
        generations = await asyncio.gather(*(engine.generate(prompt, params) for prompt in checked))
        return [generation.completions[0].text for generation in generations]

    checked = reference.by_length(prompts, num_checked)
    ours = asyncio.run(texts(load_engine(folder), checked))
    num_equal = sum(text == reference.greedy(prompt) for text, prompt in zip(ours, checked, strict=True))
    found[f"{name}: greedy, engine"] |= {"equal": num_equal, "prompts": len(checked)}
    return found


def compared(rows: dict[str, Row]) -> dict[str, Row]:
    """Adds to the engine's rows how many times as fast as the best of transformers they are."""
    best = max(row["tokens_per_cpu_s"] for name, row in rows.items() if "transformers" in name)
    for name, row in rows.items():
        if "transformers" not in name:
            row["times_transformers"] = row["tokens_per_cpu_s"] / best
    return rows


def random_8m(folder: Path) -> Path:
    """A random model of 8 million parameters with the pocket model's tokenizer."""
    config = AutoConfig.from_pretrained(POLICY)
    for key, value in SHAPE_8M.items():
        setattr(config, key, value)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(POLICY).save_pretrained(folder)
    return folder
