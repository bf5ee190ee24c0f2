"""The policy of a round: the base model, fine-tuned on the verified trajectories so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rstar_math.config import SFTSettings
from rstar_math.progress import Progress, Steps
from rstar_math.stages.base import Made, Work
from rstar_math.stages.select import Verified
from rstar_math.store.records import read_trajectories
from rstar_math.store.round import Round
from rstar_math.training.reports import SFTReport
from rstar_math.types import Step

Solution = tuple[str, Sequence[Step]]
"""A question and the steps of a solution to imitate."""


def policy_stage(work: Work, this: Round) -> Made:
    """Fine-tunes the base model on the verified trajectories so far."""
    *earlier, current = [by_problem(read_trajectories(each.trajectories)) for each in this.since(1)]
    rows = sft_rows(current, earlier if work.recipe.keep_earlier_solutions else [])
    solutions = [(problem.question, trajectory.steps) for problem, trajectory, _ in rows]
    base, sft, stage = work.base.policy_folder, work.settings(this).sft, f"{this.name}, policy"
    report = train_policy(base, solutions, sft, this.policy, work.seed(this), work.progress, stage)
    return {
        "num_trajectories": report.num_examples,
        "num_too_long": report.num_too_long,
        "num_steps": report.num_steps,
    }


def train_policy(
    base: Path,
    solutions: Iterable[Solution],
    settings: SFTSettings,
    out: Path,
    seed: int,
    progress: Progress,
    stage: str,
) -> SFTReport:
    """Fine-tunes a copy of a policy on solutions (SFT).

    Args:
      base: folder of the policy to start from.
      solutions: what to imitate.
      settings: how, and in which form the solutions are written down.
      out: folder to write.
      seed: of the order of the examples.
      progress: hears of every optimiser step.
      stage: what progress calls it.
    """
    from rstar_math.training.examples import sft_example
    from rstar_math.training.sft import train_sft

    examples = [sft_example(question, steps, settings.form) for question, steps in solutions]
    with Steps(progress, stage) as steps_done:
        return train_sft(base, examples, settings, out, seed, steps_done)


def sft_rows(
    current: Mapping[str, Sequence[Verified]], earlier: Sequence[Mapping[str, Sequence[Verified]]]
) -> list[Verified]:
    """The SFT data of a round: its own trajectories, and those of the latest earlier round for other problems.

    Args:
      current: trajectories of this round by problem id.
      earlier: the same of the earlier rounds, the first round first.
    """
    rows: dict[str, Sequence[Verified]] = {}
    for found in [*earlier, current]:
        rows.update(found)
    return [row for problem_id in sorted(rows) for row in rows[problem_id]]


def by_problem(rows: Iterable[Verified]) -> dict[str, list[Verified]]:
    """Groups trajectories by problem id, as `Selected.trajectories` has them."""
    groups: dict[str, list[Verified]] = {}
    for row in rows:
        groups.setdefault(row[0].id, []).append(row)
    return groups
