"""Does the search of round 1 solve as many problems as plain samples of the base, for the same tokens?

    python perf/first_round.py [--policy FOLDER] [--problems 150] [--seed 42] [--candidates 2 3 5] [--json FILE]

Every problem of `pocket/validation` is searched by its reference as round 1 of the recipe `pocket` does, with so many
candidates for a step, and sampled at the same temperature: as many samples as the tokens of that search are worth over
all problems. Rows are searches:

    tokens       generated for a problem
    solved       share of problems with a right trajectory
    samples      of each problem, for the same tokens
    difference   solved less what so many samples solve in the mean, in points: the unbiased estimate of pass@k from all
                 samples that were drawn; its interval (95 %) resamples problems
    first steps  distinct first steps that a tree holds
    passed       share of the generated tokens that lie in steps which a rollout passed
    rollouts     until the tree ends
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.config.reading import load_recipe
from rstar_math.metrics import paired_difference, pass_at_k
from rstar_math.models import SHIPPED
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.mcts import mcts
from rstar_math.search.sampling import sample
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench, open_workbench


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, default=SHIPPED / "pocket-base", help="folder of the base")
    parser.add_argument("--problems", type=int, default=150, help="of pocket/validation")
    parser.add_argument("--seed", type=int, default=42, help="of the problems, the searches and the samples")
    parser.add_argument("--candidates", type=int, nargs="+", default=[2, 3, 5], help="of each expansion")
    parser.add_argument("--samples", type=int, default=32, help="drawn of each problem")
    parser.add_argument("--json", type=Path, help="write {row: {column: number}} there")
    options = parser.parse_args()
    first = load_recipe("pocket").rounds[0].search
    searches = {
        f"{n} candidates, {kind}": first.model_copy(update={"num_candidates": n, "terminal_nodes": kind})
        for n in options.candidates
        for kind in ("close", "revisit")
    }
    problems = pocket_problems("validation", options.problems, options.seed)
    samples = first.model_copy(update={"num_rollouts": options.samples})
    rows = {}
    for name, row in asyncio.run(_measured(options.policy, problems, options.seed, searches, samples)).items():
        rows[name] = row
        print(f"{name:24}", "  ".join(f"{column} {value:,.2f}" for column, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


async def _measured(
    policy: Path,
    problems: Sequence[Problem],
    seed: int,
    searches: dict[str, SearchSettings],
    samples: SearchSettings,
) -> dict[str, dict[str, float]]:
    async with open_workbench(policy, None, RuntimeSettings()) as bench:
        sampled = await _grown(bench, problems, seed, samples, is_search=False)
        return {
            name: table_row(await _grown(bench, problems, seed, settings, is_search=True), sampled)
            for name, settings in searches.items()
        }


async def _grown(
    bench: Workbench, problems: Sequence[Problem], seed: int, settings: SearchSettings, *, is_search: bool
) -> list[Tree]:
    gate = asyncio.Semaphore(32)

    async def one(problem: Problem) -> Tree:
        async with gate:
            return await (mcts if is_search else sample)(bench.environment(problem, seed), settings)

    return await asyncio.gather(*(one(problem) for problem in problems))


def table_row(trees: Sequence[Tree], sampled: Sequence[Tree]) -> dict[str, float]:
    """One search against samples for the same tokens; trees of the same problems, in the same order."""
    tokens = float(np.mean([tree.cost.tokens_generated for tree in trees]))
    num_drawn = len(sampled[0].rollouts)
    of_one = float(np.mean([tree.cost.tokens_generated / num_drawn for tree in sampled]))
    num_samples = min(num_drawn, max(1, round(tokens / of_one)))
    solved = [float(tree.solved) for tree in trees]
    right = [sum(bool(tree.nodes[i].correct) for i in tree.rollouts) for tree in sampled]
    chance = [pass_at_k(num_drawn, num_right, num_samples) for num_right in right]
    difference = paired_difference(solved, chance)
    return {
        "tokens": tokens,
        "solved %": 100 * float(np.mean(solved)),
        "samples": num_samples,
        "difference": 100 * difference.value,
        "low": 100 * difference.low,
        "high": 100 * difference.high,
        "first steps": float(np.mean([len(tree.root.children) for tree in trees])),
        "passed %": 100 * sum(map(_tokens_passed, trees)) / sum(tree.cost.tokens_generated for tree in trees),
        "rollouts": float(np.mean([len(tree.rollouts) for tree in trees])),
    }


def _tokens_passed(tree: Tree) -> int:
    passed = {node.index for end in tree.rollouts for node in tree.path(tree.nodes[end])}
    return sum(tree.nodes[i].num_tokens for i in passed)


if __name__ == "__main__":
    main()
