"""Is `evaluate_step` a probability? On problems that nothing was fitted on, with and without rollouts.

    python perf/step_probability.py [--model pocket] [--problems 100] [--seed 46] [--rollouts 16] [--json FILE]

The policy draws solutions of problems of `pocket/validation`, as it answers; some steps of each are judged, and what
the solution ends with is one fresh rollout below them. Rows: the reward model alone, and with fresh rollouts.

    error    calibration error over ten bins
    Brier    mean squared distance to the outcome; `constant` is that of one probability for all
    auroc    chance that a step which went right is judged higher than one which did not

Intervals (95 %) resample problems. Steps of `swapped` have one operator replaced by another, so that the policy seldom
or never makes them: mean judgement, and mean share of right ends of as many fresh rollouts, drawn with other seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from rstar_math import RStarMathModel
from rstar_math import steps as step_format
from rstar_math.metrics import percentile_interval, resamples
from rstar_math.pocket.splits import pocket_problems
from rstar_math.search.sampling import sample, sample_below
from rstar_math.training.calibration import expected_calibration_error
from rstar_math.types import Problem, Step

OPERATORS = {" + ": " - ", " - ": " + ", " * ": " + ", " // ": " * "}


@dataclass
class Judged:
    """Steps of one problem: what the reward model says, what rollouts say, and what came of it."""

    alone: list[float] = field(default_factory=list)
    rolled: list[float] = field(default_factory=list)
    outcome: list[float] = field(default_factory=list)


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket", help="with a calibrated reward model")
    parser.add_argument("--problems", type=int, default=100, help="of pocket/validation")
    parser.add_argument("--seed", type=int, default=46, help="of the problems and the solutions")
    parser.add_argument("--rollouts", type=int, default=16, help="of evaluate_step")
    parser.add_argument("--solutions", type=int, default=2, help="of each problem")
    parser.add_argument("--steps", type=int, default=3, help="judged of each solution")
    parser.add_argument("--json", type=Path, help="write {row: {column: [value, low, high]}} there")
    options = parser.parse_args()
    problems = pocket_problems("validation", options.problems, options.seed)
    with RStarMathModel.from_pretrained(options.model) as model:
        found = model._loop.call(_all_judged(model, problems, options))
    rows = {}
    for kind, pick in (("own steps", 0), ("swapped", 1)):
        for name in ("alone", "rolled"):
            rows[f"{kind}, {name}"] = table_row([each[pick] for each in found], name)
    for name, row in rows.items():
        shown = "  ".join(f"{column} {v:.3f} [{low:.3f}, {high:.3f}]" for column, (v, low, high) in row.items())
        print(f"{name:18} {shown}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


async def _all_judged(
    model: RStarMathModel, problems: Sequence[Problem], options: argparse.Namespace
) -> list[tuple[Judged, Judged]]:
    gate = asyncio.Semaphore(8)

    async def one(problem: Problem) -> tuple[Judged, Judged]:
        async with gate:
            return await _judged(model, problem, options)

    return await asyncio.gather(*(one(problem) for problem in problems))


async def _judged(model: RStarMathModel, problem: Problem, options: argparse.Namespace) -> tuple[Judged, Judged]:
    own, swapped = Judged(), Judged()
    draw = random.Random(f"{options.seed}/{problem.id}")
    search = model.answering.search.model_copy(update={"use_ppm": False, "terminal_value": "reference"})
    bench = model._workbench
    prompt = step_format.prompt(problem.question)

    async def judge(into: Judged, steps: Sequence[Step], outcome: float) -> None:
        text = prompt + step_format.render(steps)
        for said, num_rollouts in ((into.alone, 0), (into.rolled, options.rollouts)):
            said.append(await model._probability(text, num_rollouts))
        into.outcome.append(outcome)

    env = bench.environment(problem, options.seed)
    tree = await sample(env, search.model_copy(update={"num_rollouts": options.solutions}))
    for end in (tree.nodes[i] for i in tree.rollouts):
        steps = [step for step in tree.steps(end) if step.text.endswith(step_format.STOPS)]
        depths = draw.sample(range(1, len(steps) + 1), min(options.steps, len(steps)))
        for depth in depths:
            await judge(own, steps[:depth], float(bool(end.correct)))
        first = steps[0] if steps else None
        wrong = next((first.code.replace(a, b, 1) for a, b in OPERATORS.items() if first and a in first.code), None)
        if first is not None and wrong is not None and first.text.count(first.code) == 1 and not first.observation:
            changed = replace(first, text=first.text.replace(first.code, wrong), code=wrong, execution=None)
            below = search.model_copy(update={"num_rollouts": options.rollouts})
            fresh = await sample_below(bench.environment(problem, options.seed + 1), [changed], below)
            share = sum(bool(fresh.nodes[i].correct) for i in fresh.rollouts) / max(1, len(fresh.rollouts))
            await judge(swapped, [changed], share)
    return own, swapped


def table_row(found: Sequence[Judged], name: str) -> dict[str, tuple[float, float, float]]:
    """Each column with its interval: (value, low, high)."""

    def column(statistic: Callable[[np.ndarray, np.ndarray], float]) -> tuple[float, float, float]:
        def of(problems: Sequence[Judged]) -> float:
            said = np.array([p for each in problems for p in getattr(each, name)])
            return statistic(said, np.array([y for each in problems for y in each.outcome]))

        places = range(len(found))
        drawn = [of([found[int(i)] for i in draw(places)]) for draw in resamples(len(found), 1000, 0)]
        interval = percentile_interval(of(found), [value for value in drawn if not np.isnan(value)] or [float("nan")])
        return interval.value, interval.low, interval.high

    return {
        "error": column(lambda p, y: expected_calibration_error(p, y) if len(p) else float("nan")),
        "Brier": column(lambda p, y: float(((p - y) ** 2).mean()) if len(p) else float("nan")),
        "constant": column(lambda p, y: float(((y.mean() - y) ** 2).mean()) if len(p) else float("nan")),
        "auroc": column(_auroc),
        "judged": column(lambda p, y: float(p.mean()) if len(p) else float("nan")),
        "right": column(lambda p, y: float(y.mean()) if len(p) else float("nan")),
    }


def _auroc(said: np.ndarray, outcome: np.ndarray) -> float:
    right, wrong = said[outcome > 0.5], said[outcome <= 0.5]
    if not len(right) or not len(wrong):
        return float("nan")
    margin = right[:, None] - wrong[None, :]  # [R, W]
    return float(((margin > 0) + 0.5 * (margin == 0)).mean())


if __name__ == "__main__":
    main()
