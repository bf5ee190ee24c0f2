"""How fast searching is, in generated tokens per CPU-second, against `transformers.generate`; and what a search adds.

    python perf/search.py [--json FILE]

Real searches with the shipped pocket model are recorded: every request of every problem, in order. Then contenders
answer these requests one after the other, in one process with one thread. Where there are several turns the best
counts, because other programs on the machine only ever make a turn slower. CPU is that of this process and of all below
it (step programs run in processes of their own). Rows:

    pocket: ...           the recorded requests, 8 candidates each, with the pocket policy. `transformers.generate` has
                          all prompts beforehand, sorted by length, at several batch sizes (on a sample of them). The
                          engine gets each problem's requests one after the other, as the search asked them, with all
                          problems in flight; without and with reuse of prefixes, and in deterministic mode.
    random 8M: ...        the same prompts with a model of 8 million random parameters, which writes all 64 tokens.
    ...: greedy, ...      one greedy completion of each prompt; here the engine has all prompts beforehand too. `equal`
                          of `prompts` completions are the text that `transformers.generate` gives to the prompt alone.
    replay, whole search  the engine (and the PPM) on the recorded requests, and the whole search again: engine,
                          executor, grader and tree. `share`: the whole search's part of the replay's speed, the median
                          of nine turns.
    bookkeeping           a search whose policy, executor, grader and PPM answer from a table: CPU of tree, strategy and
                          event loop, per node.
    memory                resident memory after so many problems with the fake engine, trees stored as in a run.
    divergence            searches with the PPM, 64 and 5 problems at a time: how many trees are not the same, and how
                          many are the same but for the last digits of a number.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from execution import cpu_seconds
from rstar_math import steps
from rstar_math.config import ExecutionSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation, RewardModel, Score
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.engines.torch.reward_model import TorchRewardModel
from rstar_math.execution.base import Executor
from rstar_math.execution.fake import FakeExecutor
from rstar_math.execution.opening import open_executor
from rstar_math.grading.base import Grader
from rstar_math.grading.fake import FakeGrader
from rstar_math.models import find_model
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.environment import Environment
from rstar_math.search.mcts import mcts
from rstar_math.store.records import TreeStore, tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem, SamplingParams, Verdict
from rstar_math.workers.bench import Workbench, open_grader

POCKET = find_model("pocket")
POLICY = POCKET.policy_folder
SHAPE_8M = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 7, "num_attention_heads": 8,
            "num_key_value_heads": 8, "head_dim": 32}  # fmt: skip
PARTS = ("pocket", "8M", "whole", "bookkeeping", "memory", "divergence")
MAX_STEP_TOKENS = 64
NUM_CANDIDATES = 8
NUM_WHOLE_TURNS = 9
"""Least turns of whole searches: what is asked of them is a ratio near its bound."""
BY_REFERENCE = SearchSettings(
    num_rollouts=4, num_candidates=NUM_CANDIDATES, use_ppm=False, max_step_tokens=MAX_STEP_TOKENS
)
WITH_PPM = BY_REFERENCE.model_copy(update={"use_ppm": True})

Row = dict[str, float]


@dataclass(frozen=True)
class Ask:
    """A request of a search: to the policy (`params` given), or to the PPM."""

    texts: tuple[str, ...]
    params: SamplingParams | None = None


Requests = list[list[Ask]]
"""The requests of each problem, in order."""


# ---------------------------------------------------------------- timing


class Stopwatch:
    """What the work in its `with` block took."""

    def __enter__(self) -> None:
        self._cpu, self._wall = cpu_seconds(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu_s, self.s = cpu_seconds() - self._cpu, time.perf_counter() - self._wall


Work = Callable[[Stopwatch], Awaitable[int]]
"""Uses the stopwatch once, and gives the number of tokens generated."""


@dataclass
class Contender:
    """Something that generates tokens; `prepare` is not timed."""

    name: str
    prepare: Callable[[], Work]
    turns: list[Row] = field(default_factory=list)

    def take_turn(self) -> None:
        """Works once."""
        work, watch = self.prepare(), Stopwatch()

        async def run() -> int:
            return await work(watch)

        tokens = asyncio.run(run())
        speeds = {"tokens_per_cpu_s": tokens / watch.cpu_s, "tokens_per_s": tokens / watch.s}
        self.turns.append({"tokens": tokens, "cpu_s": watch.cpu_s, "s": watch.s, **speeds})

    @property
    def best(self) -> Row:
        """The turn with the most tokens per CPU-second."""
        return max(self.turns, key=lambda turn: turn["tokens_per_cpu_s"])


def in_turns(contenders: Sequence[Contender], num_turns: int) -> dict[str, Row]:
    """The best turn of each, taken alternately."""
    for _ in range(num_turns):
        for contender in contenders:
            contender.take_turn()
    return {contender.name: contender.best for contender in contenders}


# ---------------------------------------------------------------- searches, recorded and replayed


class Recorder:
    """An engine and a reward model that note what they are asked."""

    def __init__(self, engine: Engine, reward_model: RewardModel | None) -> None:
        self._engine, self._reward_model = engine, reward_model
        self._asked: list[Ask] = []

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """See `Engine`."""
        self._asked.append(Ask((prompt,), params))
        return await self._engine.generate(prompt, params)

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """See `RewardModel`."""
        assert self._reward_model is not None
        self._asked.append(Ask(tuple(texts)))
        return await self._reward_model.score(texts)

    async def aclose(self) -> None:
        """See `Engine`."""
        await self._engine.aclose()

    def requests(self, problems: Sequence[Problem]) -> Requests:
        """The requests of each problem, in the order in which they came."""
        of = {steps.prompt(problem.question): list[Ask]() for problem in problems}
        for ask in self._asked:
            opening, response = steps.split_prompt(ask.texts[0])
            of[opening + response[: len(steps.CODE)]].append(ask)
        return list(of.values())


def load_engine(folder: Path, **options: Any) -> TorchEngine:
    """An engine whose memory has its size already, and whose prefix cache knows none of the recorded prompts."""
    engine = TorchEngine.from_pretrained(folder, device="cpu", **options)
    params = SamplingParams(n=NUM_CANDIDATES, max_tokens=16)
    chains = [[Ask((steps.prompt("9 " * 40 + str(i)),), params)] for i in range(256 // NUM_CANDIDATES)]
    asyncio.run(replay(engine, None, chains, Stopwatch()))
    return engine


def load_reward_model(**options: Any) -> TorchRewardModel:
    """The PPM of the pocket model."""
    assert POCKET.reward_model is not None
    return TorchRewardModel.from_pretrained(POCKET.reward_model, device="cpu", **options)


async def replay(engine: Engine, reward_model: RewardModel | None, requests: Requests, watch: Stopwatch) -> int:
    """Asks for every problem's requests one after the other, all problems at once; number of tokens generated."""

    async def one(chain: Sequence[Ask]) -> int:
        num_tokens = 0
        for ask in chain:
            if ask.params is not None:
                num_tokens += sum(c.num_tokens for c in (await engine.generate(ask.texts[0], ask.params)).completions)
            else:
                assert reward_model is not None
                await reward_model.score(ask.texts)
        return num_tokens

    with watch:
        return sum(await asyncio.gather(*map(one, requests)))


async def search(
    engine: Engine,
    reward_model: RewardModel | None,
    problems: Sequence[Problem],
    settings: SearchSettings,
    watch: Stopwatch,
    concurrency: int = 64,
) -> list[Tree]:
    """Searches all problems, `concurrency` at a time, with a real executor and grader that are started beforehand."""
    executor, grader = open_executor(ExecutionSettings()), open_grader()
    async with Workbench(engine, executor, grader, reward_model) as bench:
        await asyncio.gather(*(executor.execute([], f"x = {i}") for i in range(16)))
        gate = asyncio.Semaphore(concurrency)

        async def one(problem: Problem) -> Tree:
            async with gate:
                return await mcts(bench.environment(problem, 0), settings)

        with watch:
            return list(await asyncio.gather(*map(one, problems)))


async def search_tokens(
    engine: Engine,
    reward_model: RewardModel | None,
    problems: Sequence[Problem],
    settings: SearchSettings,
    watch: Stopwatch,
) -> int:
    """Searches all problems at once; number of tokens generated."""
    return sum(tree.cost.tokens_generated for tree in await search(engine, reward_model, problems, settings, watch))


def record(problems: Sequence[Problem], settings: SearchSettings) -> Requests:
    """What a search asks."""
    recorder = Recorder(load_engine(POLICY), load_reward_model())
    asyncio.run(search(recorder, recorder if settings.use_ppm else None, problems, settings, Stopwatch()))
    return recorder.requests(problems)


# ---------------------------------------------------------------- transformers.generate


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


# ---------------------------------------------------------------- whole searches


def whole_searches(
    problems: Sequence[Problem], settings: SearchSettings, requests: Requests, name: str
) -> list[Contender]:
    """The replay of a search's recorded requests, and the search again."""

    def models() -> tuple[TorchEngine, TorchRewardModel | None]:
        return load_engine(POLICY), load_reward_model() if settings.use_ppm else None

    return [
        Contender(f"replay, {name}", lambda: partial(replay, *models(), requests)),
        Contender(f"whole search, {name}", lambda: partial(search_tokens, *models(), problems, settings)),
    ]


def with_share(contenders: Sequence[Contender], num_turns: int) -> dict[str, Row]:
    """Adds to the whole search which part of the replay's speed it reaches, by CPU and by the clock.

    The median over turns: what makes the machine slower for a while mostly meets both of a turn.
    """
    rows = in_turns(contenders, num_turns)
    alone, whole = (contender.turns for contender in contenders)
    for column, of in (("share", "tokens_per_cpu_s"), ("share_of_wall", "tokens_per_s")):
        shares = [one[of] / other[of] for one, other in zip(whole, alone, strict=True)]
        rows[contenders[1].name][column] = statistics.median(shares)
    return rows


class Table:
    """Answers of a policy, an executor, a grader and a PPM, kept at the first search and looked up at the next."""

    def __init__(self) -> None:
        self._engine, self._executor = FakeEngine(max_latency_turns=0), FakeExecutor(max_latency_turns=0)
        self._grader, self._reward_model = FakeGrader(), FakeRewardModel(max_latency_turns=0)
        self._known: dict[tuple[object, ...], Any] = {}
        self.num_answers = 0

    async def _answer(self, key: tuple[object, ...], ask: Callable[[], Awaitable[Any]]) -> Any:
        if key not in self._known:
            self._known[key] = await ask()
        self.num_answers += 1
        await asyncio.sleep(0)  # as every real adapter, it answers in a later turn of the event loop
        return self._known[key]

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """See `Engine`."""
        generation: Generation = await self._answer((prompt, params), lambda: self._engine.generate(prompt, params))
        return generation

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """See `RewardModel`."""
        scores: list[Score] = await self._answer(tuple(texts), lambda: self._reward_model.score(texts))
        return scores

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """See `Executor`."""
        execution: Execution = await self._answer((*prefix, code), lambda: self._executor.execute(prefix, code))
        return execution

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """See `BatchExecutor`."""

        async def ask() -> list[Execution]:
            return [await self._executor.execute(prefix, code) for code in codes]

        executions: list[Execution] = await self._answer((tuple(prefix), tuple(codes)), ask)
        return executions

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """See `Executor`."""
        return await self._executor.execute_program(steps)

    async def grade(self, gold: str, prediction: str | None) -> Verdict:
        """See `Grader`."""
        verdict: Verdict = await self._answer((gold, prediction, 0), lambda: self._grader.grade(gold, prediction))
        return verdict

    async def aclose(self) -> None:
        """Does nothing."""


def bookkeeping(settings: SearchSettings, num_problems: int, num_turns: int = 3) -> Row:
    """CPU of a search whose models and programs cost next to nothing."""
    problems = [Problem(f"p{i}", f"Question {i}?", "1") for i in range(num_problems)]
    table = Table()
    executor: Executor = table
    grader: Grader = table

    async def run() -> list[Tree]:
        searches = (mcts(Environment(p, table, executor, grader, table, 0), settings) for p in problems)
        return list(await asyncio.gather(*searches))

    trees = asyncio.run(run())
    num_nodes = sum(len(tree.nodes) for tree in trees)
    best = float("inf")
    for _ in range(num_turns):
        cpu = time.process_time()
        asyncio.run(run())
        best = min(best, time.process_time() - cpu)
    return {"nodes": num_nodes, "cpu_s": best, "us_per_node": 1e6 * best / num_nodes}


def memory(num_problems: int) -> Row:
    """Resident memory after 10, 25, 50 and 100 % of the problems; runs in a process of its own."""
    settings = SearchSettings(num_rollouts=4, num_candidates=4)
    engine, reward_model = FakeEngine(max_latency_turns=1), FakeRewardModel(max_latency_turns=1)
    executor, grader = FakeExecutor(max_latency_turns=1), FakeGrader()
    row: Row = {}
    marks = {num_problems // 10, num_problems // 4, num_problems // 2, num_problems}
    numbers = iter(range(num_problems))

    async def searcher(store: TreeStore) -> None:
        for i in numbers:
            problem = Problem(f"p{i}", f"Question {i}?", "1")
            store.append(await mcts(Environment(problem, engine, executor, grader, reward_model, 0), settings))
            if len(store.done) in marks:
                row[f"rss_mb_{len(store.done)}"] = _resident_mb()

    async def run(store: TreeStore) -> None:
        await asyncio.gather(*(searcher(store) for _ in range(64)))

    with tempfile.TemporaryDirectory() as folder, TreeStore(Path(folder)) as store:
        asyncio.run(run(store))
    return row


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def divergence(problems: Sequence[Problem], deterministic: bool) -> Row:
    """How many trees depend on how many problems are searched at the same time."""
    rows = []
    for concurrency in (64, 5):
        engine = load_engine(POLICY, deterministic=deterministic)
        reward_model = load_reward_model(deterministic=deterministic)
        trees = asyncio.run(search(engine, reward_model, problems, WITH_PPM, Stopwatch(), concurrency))
        rows.append([tree_to_row(tree)["nodes"] for tree in trees])
    texts = [[[(node["parent"], node["text"]) for node in nodes] for nodes in trees] for trees in rows]
    numbers = [[[(n["logprob"], n["ppm_score"], n["value_sum"]) for n in nodes] for nodes in trees] for trees in rows]
    others = [one != two for one, two in zip(*texts, strict=True)]
    digits = [one != two for one, two in zip(*numbers, strict=True)]
    only_digits = sum(d and not o for d, o in zip(digits, others, strict=True))
    return {"trees": len(problems), "other_trees": sum(others), "other_digits_only": only_digits}


# ---------------------------------------------------------------- table


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=64, help="number of problems, all in flight at once")
    parser.add_argument(
        "--turns", type=int, default=2, help="turns of each contender (greedy: one; whole searches: nine at least)"
    )
    parser.add_argument("--memory-problems", type=int, default=2000, help="problems of the memory row; 0: none")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--json", type=Path, help="write {row: {column: number}} there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    wanted = options.only

    problems = pocket_problems("validation", options.problems)
    requests = record(problems, BY_REFERENCE)
    prompts = [ask.texts[0] for chain in requests for ask in chain]
    draw = random.Random(0)
    rows: dict[str, Row] = {}

    def show(more: dict[str, Row]) -> None:
        rows.update(more)
        for name, row in more.items():
            cells = "  ".join(f"{column} {value:,.{_digits(value)}f}" for column, value in row.items())
            print(f"{name:46} {cells}", flush=True)

    print(f"{len(problems)} problems, {len(prompts)} requests of {NUM_CANDIDATES} candidates")
    if "pocket" in wanted:
        sample = draw.sample(prompts, min(128, len(prompts)))
        show(against_transformers("pocket", POLICY, requests, sample, (16, 32, 64, 128, 256), options.turns))
        show(greedy_against_transformers("pocket", POLICY, prompts, (16, 32, 64, 128, 256), 64))
    if "8M" in wanted:
        with tempfile.TemporaryDirectory() as temporary:
            folder = random_8m(Path(temporary))
            some = [chain[:3] for chain in requests[:24]]
            sample = draw.sample([ask.texts[0] for chain in some for ask in chain], 32)
            show(against_transformers("random 8M", folder, some, sample, (16, 32, 64, 128, 256), options.turns))
            show(greedy_against_transformers("random 8M", folder, draw.sample(prompts, 64), (8, 16, 32, 64), 16))
    if "whole" in wanted:
        searched = {
            "by the reference": (BY_REFERENCE, requests),
            "with the PPM": (WITH_PPM, record(problems, WITH_PPM)),
        }
        for name, (settings, asked) in searched.items():
            show(with_share(whole_searches(problems, settings, asked, name), max(options.turns, NUM_WHOLE_TURNS)))
    if "bookkeeping" in wanted:
        show({"bookkeeping, by the reference": bookkeeping(BY_REFERENCE, 64)})
        show({"bookkeeping, with the PPM": bookkeeping(WITH_PPM, 64)})
    if "memory" in wanted and options.memory_problems:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            show({"memory": pool.submit(memory, options.memory_problems).result()})
    if "divergence" in wanted:
        some_problems = problems[:32]
        show({"divergence": divergence(some_problems, False)})
        show({"divergence, deterministic": divergence(some_problems, True)})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def _digits(value: float) -> int:
    return 0 if value == int(value) or value >= 100 else 2


if __name__ == "__main__":
    main()
