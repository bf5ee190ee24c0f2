"""A pretrained model on real problems: does it keep to the step format, what does it solve, and how fast does it write.

    python perf/real.py answers --model FOLDER --problems FILE [--limit 60] [--samples 8] [--json FILE] [--against FILE]
    python perf/real.py speed --model FOLDER --problems FILE [--rows 1 8 64] [--dtypes float32 bfloat16 int8]

`answers` lets the policy solve every problem greedily and by samples. Its figures:

    marked       share of the steps that end at a stop marker
    finished     share of the samples that give an answer
    greedy       share of the problems that the greedy solution gets right
    pass@k       share that one of k samples gets right (unbiased)
    tokens       written for a sample

`--against` compares the greedy and pass@k of two measurements on the problems of both (95 % intervals resample them).

`speed` writes 48 tokens behind prompts made of the problems, 1, 8 and 64 rows at a time (of 8 candidates a prompt, 1
where there is one row), in turns: this package's engine in each arithmetic, and `transformers.generate` with the same
weights. Rows are tokens for each CPU-second, reading the prompts included; the best turn counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rstar_math import steps as step_format
from rstar_math.config import ProblemSource, RuntimeSettings, SearchSettings
from rstar_math.metrics import Interval, paired_difference, pass_at_k, percentile_interval, resamples, wilson
from rstar_math.models import find_model
from rstar_math.problems.load import load_problems
from rstar_math.search.sampling import greedy, sample
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench, open_workbench


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["answers", "speed"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--problems", required=True)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--samples", type=int, default=8, help="0: greedy alone")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--max-tokens", type=int, default=160)
    parser.add_argument("--dtype", default="int8")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", type=Path)
    args = parser.parse_args()
    source = ProblemSource(source=args.problems, skip=args.skip, num_problems=args.limit)
    problems = load_problems(source).problems
    if args.part == "speed":
        from measuring.real_speed import print_speed

        print_speed(find_model(args.model).policy_folder, problems, args.rows, args.dtypes, args.turns)
        return
    runtime = RuntimeSettings(num_workers=1, dtype=args.dtype)
    settings = SearchSettings(
        num_rollouts=max(1, args.samples),
        temperature=args.temperature,
        use_ppm=False,
        max_step_tokens=args.max_tokens,
        max_solution_tokens=args.max_tokens,
    )
    start = time.process_time()
    bench = open_workbench(find_model(args.model).policy, None, runtime)
    rows = asyncio.run(_answers(bench, problems, settings, args.samples))
    seconds = time.process_time() - start
    print(f"{args.model}, {len(rows)} of {args.problems} from {args.skip}: {seconds:.0f} CPU-seconds without programs")
    _print(rows, args.samples)
    if args.json:
        args.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    if args.against:
        others = {row["id"]: Answered(**row) for row in map(json.loads, args.against.read_text().splitlines())}
        both = [(row, others[row.id]) for row in rows if row.id in others]
        for name, value in (("greedy", Answered.is_greedy_right), (f"pass@{args.samples}", Answered.pass_at_most)):
            found = paired_difference([value(a) for a, _ in both], [value(b) for _, b in both])
            print(f"{name} above {args.against.stem}: {_shown(found)} ({len(both)} problems)")


@dataclass(frozen=True)
class Answered:
    """What came of one problem.

    Attributes:
      steps: steps written in all samples, the greedy one included.
      unmarked: of them those that end at no marker.
      right: right samples of `samples`.
    """

    id: str
    greedy: bool
    samples: int
    right: int
    finished: int
    steps: int
    unmarked: int
    tokens: int
    solution: str

    def is_greedy_right(self) -> float:
        """1 or 0."""
        return float(self.greedy)

    def pass_at_most(self) -> float:
        """1 if any sample is right, else 0."""
        return float(self.right > 0)


async def _answers(
    bench: Workbench, problems: Sequence[Problem], settings: SearchSettings, num_samples: int
) -> list[Answered]:
    async with bench:

        async def answer(problem: Problem) -> Answered:
            env = bench.environment(problem, seed=0)
            alone = await greedy(env, settings)
            unmarked, trees = sum(env.unmarked.values()), [alone]
            if num_samples:
                env = bench.environment(problem, seed=1)
                trees.append(await sample(env, settings))
                unmarked += sum(env.unmarked.values())
            drawn = trees[1] if num_samples else None
            ends = [drawn.nodes[i] for i in drawn.rollouts] if drawn else []
            return Answered(
                id=problem.id,
                greedy=alone.solved,
                samples=num_samples,
                right=sum(bool(end.correct) for end in ends),
                finished=sum(end.terminal == "answer" for end in ends),
                steps=sum(len(tree.nodes) - 1 for tree in trees),
                unmarked=unmarked,
                tokens=sum(tree.cost.tokens_generated for tree in trees),
                solution=_solution(alone),
            )

        return list(await asyncio.gather(*(answer(problem) for problem in problems)))


def _solution(tree: Tree) -> str:
    return step_format.render(tree.steps(tree.nodes[tree.rollouts[0]])) if tree.rollouts else ""


def _print(rows: Sequence[Answered], num_samples: int) -> None:
    num = len(rows)
    steps = sum(row.steps for row in rows)
    print(f"marked    {_percent(1 - sum(row.unmarked for row in rows) / steps)} of {steps} steps")
    print(f"greedy    {_shown(wilson(sum(row.greedy for row in rows), num))}")
    tokens = sum(row.tokens for row in rows)
    print(f"tokens    {tokens / num / (1 + num_samples):.0f} a solution, {tokens:,} in all")
    if not num_samples:
        return
    print(f"finished  {_percent(sum(row.finished for row in rows) / num / num_samples)} of the samples")
    for k in sorted({1, 4, num_samples}):
        if k <= num_samples:
            values = [pass_at_k(num_samples, row.right, k) for row in rows]
            means = [sum(chosen(values)) / num for chosen in resamples(num, 2000, 0)]
            print(f"pass@{k:<4} {_shown(percentile_interval(sum(values) / num, means))}")


def _shown(found: Interval) -> str:
    return f"{_percent(found.value)} [{_percent(found.low)}, {_percent(found.high)}]"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


if __name__ == "__main__":
    main()
