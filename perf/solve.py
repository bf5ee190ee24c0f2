"""One question alone: seconds to its answer and to a settled vote, rollouts one after the other against side by side.

    python perf/solve.py [--problems 40] [--rollouts 16] [--json FILE]

The shipped pocket model answers problems of pocket/validation with its own settings, but for the number of rollouts,
which is the same in every row. One process with one thread for the model; each row has an engine and a PPM of its own,
so that none reads prefixes that another has cached. The rows take turns problem by problem, because other programs on
the machine make whatever runs beside them slower; tokens per CPU-second depend on them least (CPU of this process and
of all below it). Rows:

    one tree, P at once          `num_parallel` P: P descents of one tree at the same time, kept apart by virtual losses
    R trees, one by one          fresh trees of one rollout, one after the other
    R trees, side by side        the same trees grown at the same time, as `rstar solve --trees R` does
    many problems, searches      the first row's searches, all problems in flight: the batched speed of the whole search
    many problems, engine alone  the policy's requests of that row once more, without executor, grader and PPM

Columns: `s_to_answer` and `s_to_settled_vote` are means over problems; a vote is settled when its leading answer is
ahead with probability 0.95 (`settled` of `AnsweringSettings`), and one that never is counts with its whole time.
`of_search` and `of_engine` are parts of the batched speeds, in tokens per second; `..._cpu` the same in tokens per
CPU-second.
`accuracy` stands with its 95 % interval, `minus_sequential` is the paired difference to the first row, with its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from measuring.cpu import cpu_seconds

from rstar_math.config import AnsweringSettings, ExecutionSettings
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.engines.torch.reward_model import TorchRewardModel
from rstar_math.execution.base import Executor
from rstar_math.execution.opening import open_executor
from rstar_math.grading.base import Grader
from rstar_math.metrics import paired_difference, wilson
from rstar_math.models import default_answering, find_model
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.answer import equivalence_classes
from rstar_math.search.choice import choose
from rstar_math.search.environment import Environment
from rstar_math.search.mcts import backup, close, descend, evaluate, mcts
from rstar_math.search.together import all_of
from rstar_math.tree import Tree
from rstar_math.types import Problem, SamplingParams, Trajectory
from rstar_math.workers.bench import Workbench, open_grader

PARALLEL = (1, 2, 4, 8, 16)
SETTLED = 0.95
TREE_SEEDS = 1_000

Row = dict[str, float]
Open = Callable[[Problem, int], Environment]


@dataclass
class Found:
    """What the search of one question has found.

    Attributes:
      moments: seconds since it began at which so many trajectories were finished.
      trajectories: in the order in which they were finished.
      num_tokens: tokens generated.
      num_rollouts: rollouts done.
    """

    moments: list[tuple[float, int]] = field(default_factory=list)
    trajectories: list[Trajectory] = field(default_factory=list)
    num_tokens: int = 0
    num_rollouts: int = 0

    def note(self, began: float, finished: Sequence[Trajectory]) -> None:
        """Notes what has just been finished."""
        self.trajectories += finished
        self.moments.append((time.perf_counter() - began, len(self.trajectories)))


Way = Callable[[Open, Problem, AnsweringSettings, Found, float], Awaitable[None]]
"""(environment of a seed, problem, settings, where to note, when it began): searches one question."""


async def one_tree(open_one: Open, problem: Problem, settings: AnsweringSettings, found: Found, began: float) -> None:
    """The loop of `rstar_math.search.mcts.mcts`, with a clock."""
    env, search = open_one(problem, 0), settings.search
    tree, seen = Tree.start(problem, "mcts", env.seed), set[int]()
    while len(tree.rollouts) < search.num_rollouts and not tree.root.closed:
        num_descents = min(search.num_parallel, search.num_rollouts - len(tree.rollouts))
        leaves = await descend(env, tree, num_descents, search)
        values = await all_of(evaluate(env, leaf, search) for leaf in leaves)
        for leaf, value in zip(leaves, values, strict=True):
            backup(tree, leaf, value, search)
            tree.rollouts.append(leaf.index)
            close(tree, leaf)
        new = [leaf for leaf in leaves if leaf.terminal == "answer" and leaf.index not in seen]
        seen.update(leaf.index for leaf in new)
        found.note(began, [tree.trajectory(leaf) for leaf in new])
    found.num_tokens, found.num_rollouts = env.finish().tokens_generated, len(tree.rollouts)


async def trees_one_by_one(
    open_one: Open, problem: Problem, settings: AnsweringSettings, found: Found, began: float
) -> None:
    """`num_rollouts` fresh trees of one rollout each, one after the other."""
    for k in range(settings.search.num_rollouts):
        await _fresh_tree(open_one, problem, settings, found, began, k)


async def trees_side_by_side(
    open_one: Open, problem: Problem, settings: AnsweringSettings, found: Found, began: float
) -> None:
    """The same trees, grown at the same time."""
    await all_of(_fresh_tree(open_one, problem, settings, found, began, k) for k in range(settings.search.num_rollouts))


async def _fresh_tree(
    open_one: Open, problem: Problem, settings: AnsweringSettings, found: Found, began: float, number: int
) -> None:
    alone = settings.search.model_copy(update={"num_rollouts": 1, "num_parallel": 1})
    tree = await mcts(open_one(problem, number), alone)
    found.num_tokens += tree.cost.tokens_generated
    found.num_rollouts += len(tree.rollouts)
    found.note(began, tree.trajectories())


# ---------------------------------------------------------------- rows


@dataclass
class Contender:
    """A row: a way to search one question, with an engine and a PPM of its own.

    Attributes:
      s_to_answer, s_to_settled_vote, num_tokens, num_rollouts, cpu_s, correct: of each problem, in order.
      num_settled: problems whose vote was settled.
    """

    name: str
    way: Way
    settings: AnsweringSettings
    bench: Workbench
    s_to_answer: list[float] = field(default_factory=list)
    s_to_settled_vote: list[float] = field(default_factory=list)
    num_tokens: list[int] = field(default_factory=list)
    num_rollouts: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)
    num_settled: int = 0

    async def take_turn(self, problem: Problem) -> None:
        """Searches one question, alone."""
        found = Found()
        cpu, began = cpu_seconds(), time.perf_counter()
        await self.way(self.bench.environment, _blind(problem), self.settings, found, began)
        seconds = time.perf_counter() - began
        self.cpu_s.append(cpu_seconds() - cpu)
        self.s_to_answer.append(seconds)
        self.num_tokens.append(found.num_tokens)
        self.num_rollouts.append(found.num_rollouts)
        env = self.bench.environment(problem, 0)
        choices = [await _vote(env, found.trajectories[:num_found], self.settings) for _, num_found in found.moments]
        settled = [s for (s, _), (_, lead) in zip(found.moments, choices, strict=True) if lead >= SETTLED]
        self.num_settled += bool(settled)
        self.s_to_settled_vote.append(settled[0] if settled else seconds)
        self.correct.append(await env.is_correct(choices[-1][0] if choices else None))

    def row(self, first: Contender, search: Row, engine: Row) -> Row:
        """The columns."""
        n, tokens = len(self.correct), sum(self.num_tokens)
        per_s, per_cpu_s = tokens / sum(self.s_to_answer), tokens / sum(self.cpu_s)
        share, difference = wilson(sum(self.correct), n), paired_difference(self.correct, first.correct)
        return {
            "problems": n,
            "rollouts": sum(self.num_rollouts) / n,
            "tokens": tokens / n,
            "s_to_answer": sum(self.s_to_answer) / n,
            "s_to_settled_vote": sum(self.s_to_settled_vote) / n,
            "settled_share": self.num_settled / n,
            "tokens_per_s": per_s,
            "tokens_per_cpu_s": per_cpu_s,
            "of_search": per_s / search["tokens_per_s"],
            "of_engine": per_s / engine["tokens_per_s"],
            "of_search_cpu": per_cpu_s / search["tokens_per_cpu_s"],
            "of_engine_cpu": per_cpu_s / engine["tokens_per_cpu_s"],
            "accuracy": share.value,
            "low": share.low,
            "high": share.high,
            "minus_sequential": difference.value,
            "difference_low": difference.low,
            "difference_high": difference.high,
        }


def _blind(problem: Problem) -> Problem:
    return Problem(problem.id, problem.question)


async def _vote(env: Environment, found: Sequence[Trajectory], settings: AnsweringSettings) -> tuple[str | None, float]:
    """The answer that the vote gives, and how probable it is that it stays ahead."""
    classes = await equivalence_classes([t.answer for t in found], env.grade)
    choice = choose(found, classes, settings.selector, settings.aggregate, settings.weight, settings.num_voters)
    return (None, 0.0) if choice is None else (found[choice.index].answer, choice.lead)


# ---------------------------------------------------------------- many problems in flight


class Recorder:
    """An engine that notes what it is asked, problem by problem."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.requests: dict[str, list[tuple[str, SamplingParams]]] = {}

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """See `Engine`."""
        question = prompt.partition("<code>")[0]
        self.requests.setdefault(question, []).append((prompt, params))
        return await self._engine.generate(prompt, params)

    async def aclose(self) -> None:
        """See `Engine`."""
        await self._engine.aclose()


@dataclass
class Batched:
    """Speeds with many problems in flight, summed over turns."""

    num_tokens: int = 0
    s: float = 0.0
    cpu_s: float = 0.0

    @property
    def row(self) -> Row:
        """The columns."""
        speeds = {"tokens_per_s": self.num_tokens / self.s, "tokens_per_cpu_s": self.num_tokens / self.cpu_s}
        return {"tokens": self.num_tokens, "s": self.s, "cpu_s": self.cpu_s, **speeds}

    async def add(self, work: Awaitable[int]) -> None:
        """Does the work, which gives a number of tokens."""
        cpu, began = cpu_seconds(), time.perf_counter()
        self.num_tokens += await work
        self.s += time.perf_counter() - began
        self.cpu_s += cpu_seconds() - cpu


async def batched_turn(
    benches: Callable[[Engine], Workbench],
    problems: Sequence[Problem],
    settings: AnsweringSettings,
    search: Batched,
    engine: Batched,
) -> None:
    """All problems at once, and then their requests alone, by fresh engines."""
    recorder = Recorder(load_engine())
    bench = benches(recorder)

    async def searches() -> int:
        trees = await all_of(mcts(bench.environment(_blind(p), 0), settings.search) for p in problems)
        return sum(tree.cost.tokens_generated for tree in trees)

    await search.add(searches())
    alone = load_engine()

    async def chain(requests: Sequence[tuple[str, SamplingParams]]) -> int:
        generations = [await alone.generate(*request) for request in requests]
        return sum(c.num_tokens for generation in generations for c in generation.completions)

    async def replay() -> int:
        return sum(await all_of(chain(requests) for requests in recorder.requests.values()))

    await engine.add(replay())
    await alone.aclose()
    await bench.engine.aclose()
    assert bench.reward_model is not None
    await bench.reward_model.aclose()


# ---------------------------------------------------------------- table

POCKET = find_model("pocket")


def load_engine() -> TorchEngine:
    """A fresh engine of the pocket policy."""
    return TorchEngine.from_pretrained(POCKET.policy_folder, device="cpu")


def load_reward_model() -> TorchRewardModel:
    """The pocket PPM, loaded afresh."""
    assert POCKET.reward_model is not None
    return TorchRewardModel.from_pretrained(POCKET.reward_model, device="cpu")


async def measure(num_problems: int, num_rollouts: int) -> dict[str, Row]:
    """All rows."""
    warm_up, *problems = pocket_problems("validation", num_problems + 1)
    executor: Executor = open_executor(ExecutionSettings())
    grader: Grader = open_grader()

    def workbench(engine: Engine) -> Workbench:
        return Workbench(engine, executor, grader, load_reward_model())

    own = default_answering(POCKET)

    def settings(num_parallel: int) -> AnsweringSettings:
        search = own.search.model_copy(update={"num_rollouts": num_rollouts, "num_parallel": num_parallel})
        return own.model_copy(update={"search": search})

    contenders = [
        Contender(f"one tree, {p} at once", one_tree, settings(p), workbench(load_engine())) for p in PARALLEL
    ]
    for name, way in (("one by one", trees_one_by_one), ("side by side", trees_side_by_side)):
        contenders.append(Contender(f"{num_rollouts} trees, {name}", way, settings(1), workbench(load_engine())))
    search, engine = Batched(), Batched()
    for contender in contenders:  # the first request of an engine pays for its memory
        found = Found()
        await contender.way(contender.bench.environment, _blind(warm_up), contender.settings, found, 0.0)
    await batched_turn(workbench, [warm_up], settings(1), Batched(), Batched())

    await batched_turn(workbench, problems, settings(1), search, engine)
    for number, problem in enumerate(problems):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            await contender.take_turn(problem)
    await batched_turn(workbench, problems, settings(1), search, engine)

    rows = {c.name: c.row(contenders[0], search.row, engine.row) for c in contenders}
    rows |= {"many problems, searches": search.row, "many problems, engine alone": engine.row}
    for contender in contenders:
        await contender.bench.engine.aclose()
        assert contender.bench.reward_model is not None
        await contender.bench.reward_model.aclose()
    await executor.aclose()
    await grader.aclose()
    return rows


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=40, help="questions, each asked alone in every row")
    parser.add_argument("--rollouts", type=int, default=16, help="rollouts of each question in every row")
    parser.add_argument("--json", type=Path, help="write {row: {column: number}} there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = asyncio.run(measure(options.problems, options.rollouts))
    for name, row in rows.items():
        print(name)
        print("    " + "  ".join(f"{column} {value:,.{_digits(value)}f}" for column, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def _digits(value: float) -> int:
    return 0 if value == int(value) or abs(value) >= 100 else 3


if __name__ == "__main__":
    main()
