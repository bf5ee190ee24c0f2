"""Does the search of round 1 solve as many problems as plain samples of the base, for the same tokens?

    python perf/first_round.py [--policy FOLDER] [--problems 150] [--seed 42] [--candidates 2 3 5] [--trees 1]

Every problem of `pocket/validation` is searched by its reference as round 1 of the recipe `pocket` does, with so many
candidates for a step and so many trees of different seeds, and sampled at the same temperature: as many samples as the
tokens of that search are worth over all problems. "No worse" is p of a loss of a point or more. Rows are searches:

    tokens       generated for a problem
    solved       share of problems with a right trajectory
    samples      of each problem, for the same tokens
    difference   solved less what so many samples solve in the mean, in points: the unbiased estimate of pass@k from all
                 samples that were drawn; its interval (95 %) is one of t over problems
    no worse p   one-sided p of the difference being -1 point or less
    first steps  distinct first steps that the trees of a problem hold
    passed       share of the generated tokens that lie in steps which a rollout passed
    rollouts     until the trees end
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.config.reading import load_recipe
from rstar_math.intervals import difference, estimate
from rstar_math.metrics import pass_at_k
from rstar_math.models import SHIPPED
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.mcts import mcts
from rstar_math.search.sampling import sample
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench, open_workbench

MARGIN = 0.01
"""A loss of fewer points counts as none."""


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, default=SHIPPED / "pocket-base", help="folder of the base")
    parser.add_argument("--problems", type=int, default=150, help="of pocket/validation")
    parser.add_argument("--seed", type=int, default=42, help="of the problems, the searches and the samples")
    parser.add_argument("--candidates", type=int, nargs="+", default=[2, 3, 5], help="of each expansion")
    parser.add_argument("--trees", type=int, nargs="+", default=[1], help="of each problem, with seeds of their own")
    parser.add_argument("--rollouts", type=int, nargs="+", default=[8], help="of each tree, at most")
    parser.add_argument("--nodes", nargs="+", default=["close", "revisit"], help="search.terminal_nodes")
    parser.add_argument("--samples", type=int, default=32, help="drawn of each problem")
    parser.add_argument("--json", type=Path, help="write {row: {column: number}} there")
    options = parser.parse_args()
    first = load_recipe("pocket").rounds[0].search
    searches = {
        f"{n} candidates, {rollouts} rollouts, {trees} trees, {kind}": (
            first.model_copy(update={"num_candidates": n, "num_rollouts": rollouts, "terminal_nodes": kind}),
            trees,
        )
        for n, rollouts, trees, kind in itertools.product(
            options.candidates, options.rollouts, options.trees, options.nodes
        )
    }
    problems = pocket_problems("validation", options.problems, options.seed)
    samples = first.model_copy(update={"num_rollouts": options.samples})
    rows = {}
    for name, row in asyncio.run(_measured(options.policy, problems, options.seed, searches, samples)).items():
        rows[name] = row
        print(f"{name:40}", "  ".join(f"{column} {value:,.2f}" for column, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


async def _measured(
    policy: Path,
    problems: Sequence[Problem],
    seed: int,
    searches: dict[str, tuple[SearchSettings, int]],
    samples: SearchSettings,
) -> dict[str, dict[str, float]]:
    async with open_workbench(policy, None, RuntimeSettings()) as bench:
        sampled = await _grown(bench, problems, seed, samples, is_search=False)
        rows = {}
        for name, (settings, num_trees) in searches.items():
            # seeds of their own for every problem's trees, far from those of the samples
            grown = [await _grown(bench, problems, seed + 1000 * k, settings, is_search=True) for k in range(num_trees)]
            rows[name] = table_row(list(zip(*grown, strict=True)), sampled)
        return rows


async def _grown(
    bench: Workbench, problems: Sequence[Problem], seed: int, settings: SearchSettings, *, is_search: bool
) -> list[Tree]:
    gate = asyncio.Semaphore(32)

    async def one(problem: Problem) -> Tree:
        async with gate:
            return await (mcts if is_search else sample)(bench.environment(problem, seed), settings)

    return await asyncio.gather(*(one(problem) for problem in problems))


def table_row(searched: Sequence[Sequence[Tree]], sampled: Sequence[Tree]) -> dict[str, float]:
    """One search against samples for the same tokens.

    Args:
      searched: the trees of each problem.
      sampled: the samples of the same problems, in the same order.
    """
    trees = [tree for of_problem in searched for tree in of_problem]
    tokens = sum(tree.cost.tokens_generated for tree in trees) / len(searched)
    num_drawn = len(sampled[0].rollouts)
    of_one = float(np.mean([tree.cost.tokens_generated / num_drawn for tree in sampled]))
    num_samples = min(num_drawn, max(1, round(tokens / of_one)))
    solved = [float(any(tree.solved for tree in of_problem)) for of_problem in searched]
    right = [sum(bool(tree.nodes[i].correct) for i in tree.rollouts) for tree in sampled]
    chance = [pass_at_k(num_drawn, num_right, num_samples) for num_right in right]
    found = estimate({(0, str(i)): (a, b) for i, (a, b) in enumerate(zip(solved, chance, strict=True))}, difference)
    steps = [
        len({step.text for tree in of for i in tree.root.children if (step := tree.nodes[i].step)}) for of in searched
    ]
    return {
        "tokens": tokens,
        "solved %": 100 * float(np.mean(solved)),
        "samples": num_samples,
        "difference": 100 * found.value,
        "low": 100 * found.interval.low,
        "high": 100 * found.interval.high,
        "no worse p": found.p_value(-MARGIN) / 2 if found.value > -MARGIN else 1.0,
        "first steps": float(np.mean(steps)),
        "passed %": 100 * sum(map(_tokens_passed, trees)) / sum(tree.cost.tokens_generated for tree in trees),
        "rollouts": sum(len(tree.rollouts) for tree in trees) / len(searched),
    }


def _tokens_passed(tree: Tree) -> int:
    passed = {node.index for end in tree.rollouts for node in tree.path(tree.nodes[end])}
    return sum(tree.nodes[i].num_tokens for i in passed)


if __name__ == "__main__":
    main()
