"""What the values of a search say of the policy: Q, and the expected outcome, against fresh rollouts below a step.

    python perf/values.py --policy FOLDER [--problems 40] [--seed 41] [--fresh 32] [--json FILE]

Every problem of `pocket/validation` is searched by its reference twice, with the same seed: terminal nodes are closed
once they were visited, or revisited. Of each tree some steps that a rollout passed are drawn, and its preference
pairs of steps. Below each of these steps the policy makes fresh rollouts, at the temperature of the search; their share
of right ends is what the policy can do there. Rows are trees and values of `selection.values`:

    bias         mean of the value, as a chance (1 + Q) / 2, less the share of fresh rollouts that are right
    of good      the same over the steps of which at least half of the fresh rollouts are right
    error        calibration error of that chance: mean distance to the share over ten bins of the chance
    rms          root of the mean squared distance; that of the share itself to the truth is 0.09 at most (32 rollouts)
    correlation  of the chance with the share
    pairs        preference pairs of steps that the tree gives, for each problem
    pairs right  share of these pairs whose chosen step has the larger share of right rollouts (a tie counts half)

Intervals (95 %) resample problems. `closed early` is the share of trees that end before all rollouts are done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from rstar_math.config import RuntimeSettings, SearchSettings, SelectionSettings
from rstar_math.metrics import percentile_interval, ranking_credit, resamples
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.mcts import mcts
from rstar_math.search.sampling import sample_below
from rstar_math.selection.select import step_pairs
from rstar_math.selection.values import valued
from rstar_math.training.calibration import expected_calibration_error
from rstar_math.tree import Node, Tree
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench, open_workbench

TREES = ("close", "revisit")
VALUES: tuple[Literal["backed_up", "expected"], ...] = ("backed_up", "expected")
Cell = tuple[str, str]


@dataclass
class Found:
    """What one problem says of one kind of tree and value.

    Attributes:
      chance: `[S]` of each step by its value, in [0, 1].
      share: `[S]` of its fresh rollouts that are right.
      margins: of each preference pair: share of the chosen step less that of the rejected one.
    """

    chance: list[float]
    share: list[float]
    margins: list[float]


@dataclass(frozen=True)
class Measurement:
    """How many fresh rollouts, steps and pairs, and how problems are searched."""

    search: SearchSettings
    num_fresh: int
    num_steps: int
    num_pairs: int


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, required=True, help="folder of a policy")
    parser.add_argument("--problems", type=int, default=40, help="of pocket/validation")
    parser.add_argument("--seed", type=int, default=41, help="of the problems and the searches")
    parser.add_argument("--rollouts", type=int, default=16, help="of each tree")
    parser.add_argument("--candidates", type=int, default=8, help="of each expansion")
    parser.add_argument("--exploration", type=float, default=2.0, help="c of UCT")
    parser.add_argument("--fresh", type=int, default=32, help="fresh rollouts below each step")
    parser.add_argument("--steps", type=int, default=5, help="steps of each tree")
    parser.add_argument("--pairs", type=int, default=2, help="preference pairs of each tree and value")
    parser.add_argument("--json", type=Path, help="write {row: {column: [value, low, high]}} there")
    options = parser.parse_args()
    search = SearchSettings(
        num_rollouts=options.rollouts,
        num_candidates=options.candidates,
        num_answer_candidates=1,
        exploration=options.exploration,
        use_ppm=False,
        max_step_tokens=64,
        max_solution_tokens=256,
    )
    how = Measurement(search, options.fresh, options.steps, options.pairs)
    problems = pocket_problems("validation", options.problems, options.seed)
    found, closed = asyncio.run(measure_all(options.policy, problems, options.seed, how))
    rows = {f"{tree}, {value}": table_row([each[tree, value] for each in found]) for tree in TREES for value in VALUES}
    for name, row in rows.items():
        print(f"{name:20}", "  ".join(f"{column} {_shown(cell)}" for column, cell in row.items()), flush=True)
    print(f"closed early: {sum(closed)} of {len(closed)} trees")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


async def measure_all(
    policy: Path, problems: Sequence[Problem], seed: int, how: Measurement
) -> tuple[list[dict[Cell, Found]], list[bool]]:
    """Searches all problems side by side; gives what each says, and whether its closing tree ended early."""
    gate = asyncio.Semaphore(8)

    async def one(bench: Workbench, problem: Problem) -> tuple[dict[Cell, Found], bool]:
        async with gate:
            return await measure(bench, problem, seed, how)

    async with open_workbench(policy, None, RuntimeSettings()) as bench:
        done = await asyncio.gather(*(one(bench, problem) for problem in problems))
    return [found for found, _ in done], [early for _, early in done]


async def measure(bench: Workbench, problem: Problem, seed: int, how: Measurement) -> tuple[dict[Cell, Found], bool]:
    """Both trees of one problem, and fresh rollouts below some of their steps."""
    draw = random.Random(f"{seed}/{problem.id}/steps")
    shares: dict[str, float] = {}

    async def share(tree: Tree, node: Node) -> float:
        prefix = tree.prefix(node)
        if prefix not in shares:
            env = bench.environment(problem, draw.getrandbits(30))
            below = how.search.model_copy(update={"num_rollouts": how.num_fresh})
            fresh = await sample_below(env, tree.steps(node), below)
            shares[prefix] = sum(bool(fresh.nodes[i].correct) for i in fresh.rollouts) / how.num_fresh
        return shares[prefix]

    found: dict[Cell, Found] = {}
    early = False
    for kind in TREES:
        settings = how.search.model_copy(update={"terminal_nodes": kind})
        tree = await mcts(bench.environment(problem, seed), settings)
        early |= kind == "close" and len(tree.rollouts) < settings.num_rollouts
        passed = sorted({n.index for end in tree.rollouts for n in tree.path(tree.nodes[end]) if n.terminal is None})
        order = random.Random(problem.id)
        steps = [tree.nodes[i] for i in order.sample(passed, min(how.num_steps, len(passed)))]
        right = [await share(tree, node) for node in steps]
        for value in VALUES:
            seen = valued(tree, value)
            pairs = step_pairs(seen, SelectionSettings())
            margins = []
            for pair in order.sample(pairs, min(how.num_pairs, len(pairs))):
                sides = {c.step.text + c.step.observation: c for c in tree.children(tree.nodes[pair.node]) if c.step}
                margins.append(await share(tree, sides[pair.chosen]) - await share(tree, sides[pair.rejected]))
            chance = [(1 + seen.nodes[node.index].q_value) / 2 for node in steps]
            found[kind, value] = Found(chance, right, margins)
    return found, early


def table_row(found: Sequence[Found]) -> dict[str, list[float]]:
    """Each column with its interval: [value, low, high]."""

    def column(statistic: Callable[[Sequence[Found]], float]) -> list[float]:
        places = range(len(found))
        drawn = [statistic([found[int(i)] for i in draw(places)]) for draw in resamples(len(found), 1000, 0)]
        interval = percentile_interval(statistic(found), [v for v in drawn if not np.isnan(v)])
        return [interval.value, interval.low, interval.high]

    return {
        "bias": column(lambda f: float((_all(f, "chance") - _all(f, "share")).mean())),
        "of good": column(_bias_of_good),
        "error": column(lambda f: expected_calibration_error(_all(f, "chance"), _all(f, "share"))),
        "rms": column(lambda f: float(np.sqrt(((_all(f, "chance") - _all(f, "share")) ** 2).mean()))),
        "correlation": column(_correlation),
        "pairs": column(lambda f: len(_all(f, "margins")) / len(f)),
        "pairs right": column(_pairs_right),
    }


def _all(found: Sequence[Found], name: str) -> np.ndarray:
    return np.array([value for each in found for value in getattr(each, name)], dtype=float)


def _bias_of_good(found: Sequence[Found]) -> float:
    chance, share = _all(found, "chance"), _all(found, "share")
    good = share >= 0.5
    return float((chance - share)[good].mean()) if good.any() else float("nan")


def _correlation(found: Sequence[Found]) -> float:
    chance, share = _all(found, "chance"), _all(found, "share")
    return float(np.corrcoef(chance, share)[0, 1]) if chance.std() > 0 and share.std() > 0 else float("nan")


def _pairs_right(found: Sequence[Found]) -> float:
    margins = _all(found, "margins")
    return float(np.mean([ranking_credit(margin) for margin in margins])) if len(margins) else float("nan")


def _shown(cell: Sequence[float]) -> str:
    value, low, high = cell
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
