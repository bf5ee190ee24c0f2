"""How fast the policy engine is, in generated tokens per CPU-second, against `transformers.generate`.

    python perf/search.py [--model FOLDER] [--json FILE]

Prompts are the prefixes of pocket solutions, each continued by several candidates up to the end of a step, as a search
asks for them. Without --model, a random model of the pocket size with the pocket tokenizer takes 16 tokens for every
step. All contenders run one after the other in one process, with one thread, in turns; the best turn counts, because
other programs on the machine only ever make a turn slower.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.engines.torch_engine import TorchEngine
from rstar_math.pocket.demonstrations import demonstration
from rstar_math.pocket.pretrain import PretrainSettings, new_model
from rstar_math.pocket.splits import exercises
from rstar_math.pocket.tokenizer import save_tokenizer, train_tokenizer
from rstar_math.types import SamplingParams

RANDOM_MODEL_TOKENS = 16


@dataclass(frozen=True)
class Measurement:
    """One contender's best turn."""

    name: str
    tokens: int
    cpu_seconds: float
    seconds: float

    @property
    def tokens_per_cpu_second(self) -> float:
        return self.tokens / self.cpu_seconds


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model folder; default: a random model of the pocket size")
    parser.add_argument("--prompts", type=int, default=192, help="number of prompts")
    parser.add_argument("--candidates", type=int, default=8, help="candidates per prompt")
    parser.add_argument("--in-flight", type=int, default=64, help="searches that wait at the same time")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contender")
    parser.add_argument("--rows", type=int, nargs="*", default=[64, 256, 512], help="batch sizes of transformers")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or random_model(Path(scratch))
        max_tokens = 64 if options.model else RANDOM_MODEL_TOKENS
        params = SamplingParams(n=options.candidates, max_tokens=max_tokens, stop=steps.STOPS)
        prompts = prefixes(options.prompts)
        contenders: dict[str, Callable[[], int]] = {}
        reference = Transformers(folder)
        for rows in options.rows:
            contenders[f"transformers.generate, {rows} rows"] = partial(reference.sample, prompts, params, rows)
        engine = TorchEngine.from_pretrained(folder, device="cpu")
        contenders["TorchEngine"] = partial(replay, engine, prompts, params, options.in_flight)
        results = measure(contenders, options.turns)
        same = greedy_agreement(reference, engine, prompts[:64], max_tokens)

    print(f"{'':36} {'tokens':>8} {'CPU s':>7} {'s':>7} {'tokens/CPU s':>13}")
    for result in results:
        print(
            f"{result.name:36} {result.tokens:8} {result.cpu_seconds:7.2f} {result.seconds:7.2f} "
            f"{result.tokens_per_cpu_second:13,.0f}"
        )
    best = max(r.tokens_per_cpu_second for r in results if r.name.startswith("transformers"))
    print(f"TorchEngine / best transformers: {results[-1].tokens_per_cpu_second / best:.2f}")
    print(f"greedy completions equal to transformers: {same[0]} of {same[1]}")
    if options.json:
        content = {
            "results": [{**asdict(r), "tokens_per_cpu_second": r.tokens_per_cpu_second} for r in results],
            "greedy_equal": {"num_equal": same[0], "num_prompts": same[1]},
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


def prefixes(num_prompts: int) -> list[str]:
    """Prompts as a search asks them: solutions of different problems, cut behind their first steps."""
    rng = random.Random(0)
    found: list[str] = []
    for exercise in itertools.islice(exercises("validation", 0), num_prompts):
        solution = demonstration(exercise, rng, clean=True)
        depth = rng.randrange(len(solution))
        found.append(steps.prompt(exercise.question) + steps.render(solution[:depth]))
    return found


def random_model(folder: Path) -> Path:
    """Saves a random model of the pocket size."""
    tokenizer = train_tokenizer()
    torch.manual_seed(0)
    new_model(PretrainSettings(), tokenizer).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


class Transformers:
    """`transformers.generate` at its best: left padding, prompts sorted by length, stops as end tokens."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        vocabulary = self.tokenizer.get_vocab()
        self.ends = [*(vocabulary[stop] for stop in steps.STOPS), self.tokenizer.eos_token_id]

    def sample(self, prompts: list[str], params: SamplingParams, rows: int) -> int:
        """Samples every prompt; number of tokens up to and with the first end of each row."""
        per_batch = max(1, rows // params.n)
        ordered = sorted(prompts, key=lambda prompt: len(self.tokenizer(prompt).input_ids))
        tokens = 0
        for start in range(0, len(ordered), per_batch):
            batch = self.tokenizer(ordered[start : start + per_batch], return_tensors="pt", padding=True)
            output = self._generate(
                batch, params.max_tokens, do_sample=True, temperature=1.0, top_k=0, num_return_sequences=params.n
            )
            ended = torch.isin(output, torch.tensor(self.ends)).cumsum(-1)  # [rows, T]
            tokens += int(((ended - torch.isin(output, torch.tensor(self.ends)).long()) == 0).sum())
        return tokens

    def greedy(self, prompt: str, max_tokens: int) -> str:
        """The greedy completion of one prompt, its end token left out."""
        output = self._generate(self.tokenizer(prompt, return_tensors="pt"), max_tokens, do_sample=False)[0].tolist()
        return str(self.tokenizer.decode(output[:-1] if output[-1] in self.ends else output))

    @torch.inference_mode()
    def _generate(self, batch: Any, max_tokens: int, **options: Any) -> torch.Tensor:
        output: torch.Tensor = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=max_tokens,
            eos_token_id=self.ends,
            pad_token_id=self.tokenizer.pad_token_id,
            **options,
        )
        return output[:, batch["input_ids"].shape[1] :]


def replay(engine: TorchEngine, prompts: list[str], params: SamplingParams, in_flight: int) -> int:
    """Asks the engine for every prompt, so many at a time; number of tokens generated."""

    async def run() -> int:
        gate = asyncio.Semaphore(in_flight)

        async def ask(prompt: str) -> int:
            async with gate:
                generation = await engine.generate(prompt, params)
            return sum(completion.num_tokens for completion in generation.completions)

        return sum(await asyncio.gather(*map(ask, prompts)))

    return asyncio.run(run())


def measure(contenders: dict[str, Callable[[], int]], turns: int) -> list[Measurement]:
    """The best of several turns of each contender, by CPU time."""
    best: dict[str, Measurement] = {}
    for _ in range(turns):
        for name, contender in contenders.items():
            cpu, wall = time.process_time(), time.perf_counter()
            tokens = contender()
            result = Measurement(name, tokens, time.process_time() - cpu, time.perf_counter() - wall)
            if name not in best or result.tokens_per_cpu_second > best[name].tokens_per_cpu_second:
                best[name] = result
    return list(best.values())


def greedy_agreement(
    reference: Transformers, engine: TorchEngine, prompts: list[str], max_tokens: int
) -> tuple[int, int]:
    """How many greedy completions are the same text, and of how many."""
    params = SamplingParams(temperature=0.0, max_tokens=max_tokens, stop=steps.STOPS)

    async def ask() -> list[str]:
        generations = await asyncio.gather(*(engine.generate(prompt, params) for prompt in prompts))
        return [generation.completions[0].text for generation in generations]

    texts = asyncio.run(ask())
    return sum(text == reference.greedy(prompt, max_tokens) for text, prompt in zip(texts, prompts, strict=True)), len(
        prompts
    )


if __name__ == "__main__":
    main()
