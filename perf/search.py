"""How fast searching is, in generated tokens per CPU-second, against `transformers.generate`.

    python perf/search.py [--model FOLDER] [--json FILE]

First a real search (terminal-guided MCTS on pocket problems, step programs executed) is recorded: every request of
every problem, in order. Then the contenders answer these requests, one after the other in one process with one thread,
in turns; the best turn counts, because other programs on the machine only ever make a turn slower:

- `transformers.generate` at several batch sizes, all prompts known beforehand and sorted by length (at its best);
- this engine, each problem's requests one after the other as the search asked them, many problems in flight, without
  and with reuse of the prefix's keys and values;
- the whole search again. Its programs run in processes of their own, whose CPU time is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from rstar_math import steps
from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.torch_engine import TorchEngine
from rstar_math.grading.fake import FakeGrader
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.mcts import mcts
from rstar_math.tree import Tree
from rstar_math.types import Problem, SamplingParams
from rstar_math.workbench import Workbench, open_executor

POCKET_BASE = Path(__file__).parent.parent / "src/rstar_math/pocket/models/pocket-base"
Requests = list[list[tuple[str, SamplingParams]]]
"""The requests of each problem, in order."""


@dataclass(frozen=True)
class Measurement:
    """One contender's best turn."""

    name: str
    tokens: int
    cpu_seconds: float
    seconds: float
    peak_rss_mb: float

    @property
    def tokens_per_cpu_second(self) -> float:
        return self.tokens / self.cpu_seconds

    def as_json(self) -> dict[str, float | str]:
        """For the results file."""
        return {
            "name": self.name,
            "tokens": self.tokens,
            "cpu_seconds": self.cpu_seconds,
            "seconds": self.seconds,
            "tokens_per_cpu_second": self.tokens_per_cpu_second,
            "tokens_per_second": self.tokens / self.seconds,
            "peak_rss_mb": self.peak_rss_mb,
        }


@dataclass
class Contender:
    """Something that answers requests: `prepare` is not timed, what it returns is, and gives the number of tokens."""

    name: str
    prepare: Callable[[], Callable[[], int]]
    turns: list[Measurement] = field(default_factory=list)

    def take_turn(self) -> None:
        """Runs once and keeps what it took."""
        work = self.prepare()
        cpu, wall = time.process_time(), time.perf_counter()
        tokens = work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.turns.append(Measurement(self.name, tokens, cpu, wall, peak_rss_mb))

    @property
    def best(self) -> Measurement:
        return max(self.turns, key=lambda turn: turn.tokens_per_cpu_second)


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=POCKET_BASE, help="model folder (default: pocket-base)")
    parser.add_argument("--problems", type=int, default=64, help="number of problems, all in flight at once")
    parser.add_argument("--rollouts", type=int, default=4, help="rollouts per problem")
    parser.add_argument("--candidates", type=int, default=8, help="candidates per step")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contender")
    parser.add_argument("--rows", type=int, nargs="*", default=[64, 256], help="batch sizes of transformers")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()

    settings = SearchSettings(
        num_rollouts=options.rollouts, num_candidates=options.candidates, use_ppm=False, max_step_tokens=64
    )
    problems = pocket_problems("validation", options.problems)
    load = partial(TorchEngine.from_pretrained, options.model, device="cpu")
    recorder = Recorder(load())
    asyncio.run(search(recorder, problems, settings))
    requests = recorder.requests_by_problem(problems)
    reference = Transformers(options.model)

    contenders = [
        Contender(f"transformers.generate, {rows} rows", partial(partial, reference.sample, requests, rows))
        for rows in options.rows
    ]
    contenders += [
        Contender("engine, no prefix reuse", lambda: partial(replay, load(prefix_cache_mb=0), requests)),
        Contender("engine", lambda: partial(replay, load(), requests)),
        Contender("whole search", lambda: partial(whole_search, load(), problems, settings)),
    ]
    for _ in range(options.turns):
        for contender in contenders:
            contender.take_turn()
    best = {contender.name: contender.best for contender in contenders}

    prompts = [problem[0][0] for problem in requests] + [problem[-1][0] for problem in requests]
    num_equal = greedy_agreement(reference, load(), prompts, settings.max_step_tokens)
    num_requests = sum(map(len, requests))
    print(f"{len(problems)} problems, {num_requests} requests of {options.candidates} candidates, {options.model}")
    print(f"{'':32}{'tokens':>8}{'CPU s':>8}{'s':>8}{'tokens/CPU s':>14}{'tokens/s':>10}")
    for name, result in best.items():
        print(
            f"{name:32}{result.tokens:8}{result.cpu_seconds:8.2f}{result.seconds:8.2f}"
            f"{result.tokens_per_cpu_second:14,.0f}{result.tokens / result.seconds:10,.0f}"
        )
    slowest = max(r.tokens_per_cpu_second for name, r in best.items() if name.startswith("transformers"))
    ratio = best["engine"].tokens_per_cpu_second / slowest
    share = best["whole search"].tokens_per_cpu_second / best["engine"].tokens_per_cpu_second
    print(f"engine against transformers at its best: {ratio:.2f} times")
    print(f"whole search: {100 * share:.0f} % of the engine's replay speed")
    print(f"greedy completions equal to transformers: {num_equal} of {len(prompts)}")
    if options.json:
        content = {
            "model": str(options.model),
            "num_requests": num_requests,
            "num_candidates": options.candidates,
            "results": [result.as_json() for result in best.values()],
            "engine_to_transformers": ratio,
            "search_to_engine": share,
            "greedy": {"num_equal": num_equal, "num_prompts": len(prompts)},
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


class Recorder:
    """An engine that notes what it is asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._requests: list[tuple[str, SamplingParams]] = []

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """See `Engine`."""
        self._requests.append((prompt, params))
        return await self._engine.generate(prompt, params)

    async def aclose(self) -> None:
        """See `Engine`."""
        await self._engine.aclose()

    def requests_by_problem(self, problems: Sequence[Problem]) -> Requests:
        """The requests of each problem, in the order in which they came."""
        of = {steps.prompt(problem.question): list[tuple[str, SamplingParams]]() for problem in problems}
        for prompt, params in self._requests:
            opening, response = steps.split_prompt(prompt)
            of[opening + response[: len(steps.CODE)]].append((prompt, params))
        return list(of.values())


async def search(engine: Engine, problems: Sequence[Problem], settings: SearchSettings) -> list[Tree]:
    """Searches all problems at the same time."""
    executor = open_executor(RuntimeSettings())
    async with Workbench(engine, executor, FakeGrader()) as bench:
        return list(await asyncio.gather(*(mcts(bench.environment(problem, 0), settings) for problem in problems)))


def whole_search(engine: Engine, problems: Sequence[Problem], settings: SearchSettings) -> int:
    """Searches all problems; number of tokens generated."""
    trees = asyncio.run(search(engine, problems, settings))
    return sum(tree.cost.tokens_generated for tree in trees)


def replay(engine: Engine, requests: Requests) -> int:
    """Asks for every problem's requests one after the other, all problems at once; number of tokens generated."""

    async def one(chain: Sequence[tuple[str, SamplingParams]]) -> int:
        num_tokens = 0
        for prompt, params in chain:
            num_tokens += sum(c.num_tokens for c in (await engine.generate(prompt, params)).completions)
        return num_tokens

    async def run() -> int:
        num_tokens = sum(await asyncio.gather(*map(one, requests)))
        await engine.aclose()
        return num_tokens

    return asyncio.run(run())


class Transformers:
    """`transformers.generate` at its best: left padding, prompts sorted by length, stops as end tokens."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        vocabulary = self.tokenizer.get_vocab()
        self.ends = [*(vocabulary[stop] for stop in steps.STOPS), self.tokenizer.eos_token_id]

    def sample(self, requests: Requests, rows: int) -> int:
        """Samples for every request; number of tokens up to and with the first end of each row."""
        flat = [request for chain in requests for request in chain]
        params = flat[0][1]
        per_batch = max(1, rows // params.n)
        ordered = sorted((prompt for prompt, _ in flat), key=lambda prompt: len(self.tokenizer(prompt).input_ids))
        tokens = 0
        for start in range(0, len(ordered), per_batch):
            batch = self.tokenizer(ordered[start : start + per_batch], return_tensors="pt", padding=True)
            output = self._generate(
                batch, params.max_tokens, do_sample=True, temperature=1.0, top_k=0, num_return_sequences=params.n
            )
            is_end = torch.isin(output, torch.tensor(self.ends))  # [rows, T]
            tokens += int((is_end.cumsum(-1) - is_end.long() == 0).sum())
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


def greedy_agreement(reference: Transformers, engine: TorchEngine, prompts: Sequence[str], max_tokens: int) -> int:
    """How many greedy completions are the same text."""
    params = SamplingParams(temperature=0.0, max_tokens=max_tokens, stop=steps.STOPS)

    async def ask() -> list[str]:
        generations = await asyncio.gather(*(engine.generate(prompt, params) for prompt in prompts))
        return [generation.completions[0].text for generation in generations]

    texts = asyncio.run(ask())
    return sum(text == reference.greedy(prompt, max_tokens) for text, prompt in zip(texts, prompts, strict=True))


if __name__ == "__main__":
    main()
