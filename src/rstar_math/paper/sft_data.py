"""Table 7: policies fine-tuned from the same base, in the same way, on data of different kinds."""

from __future__ import annotations

import random
import time
from pathlib import Path

from rstar_math.config import MethodSettings, SearchSettings
from rstar_math.models import ModelFolders, find_model
from rstar_math.paper.claims import Measured
from rstar_math.paper.format_only import wrong_as_verified
from rstar_math.paper.laboratory import Laboratory
from rstar_math.paper.rejection import NAME as ITERATED
from rstar_math.paper.rejection import sampled_run
from rstar_math.stages.policy import Solution, train_policy
from rstar_math.stages.search import search_problems
from rstar_math.store.records import TreeStore, read_trajectories, read_trees
from rstar_math.store.round import Round
from rstar_math.types import Problem, Step
from rstar_math.workers.jobs import SearchJob

CONTROLS = (ITERATED, "format only")
"""What shows how much of the gain the search makes, and how much the format alone."""

SFT_DATA = ("verified trajectories", "rejection sampling", "random samples", "demonstrations from outside", *CONTROLS)

_NUM_SAMPLES = 8
"""Whole solutions sampled for a problem, from which rejection sampling keeps right ones."""

_PER_PROBLEM = 2
"""Solutions of one problem in the data, as the paper keeps two trajectories."""


def fine_tuned_on(lab: Laboratory, kind: str, round_number: int) -> Measured | None:
    """Greedy accuracy of the base fine-tuned on one kind of data of a round; None where there is no such data.

    Args:
      lab: the laboratory.
      kind: one of `SFT_DATA`.
      round_number: from 2 on: the round whose problems and policy the data come from.
    """
    if kind == SFT_DATA[3] and not lab.recipe.problems.source.startswith("pocket/"):
        return None
    folders = {seed: _policy(lab, kind, round_number, seed) for seed in lab.seeds}
    label = f"round {round_number}: {kind}"
    name = f"sft-{'iterated' if kind == ITERATED else kind.partition(' ')[0]}-r{round_number}"
    form = lab.recipe.rounds[-1].sft.form
    return lab.measure(label, lambda seed: ModelFolders(name, folders[seed]), _greedy(form))


def _policy(lab: Laboratory, kind: str, round_number: int, seed: int) -> Path:
    place = Round(lab.folder / "data" / f"seed-{seed}", round_number).folder
    out = place / kind.replace(",", "").replace(" ", "-")
    if (out / "config.json").exists():
        return out
    settings = lab.recipe.rounds[-1].sft
    this = Round(lab.run(seed), round_number)
    found = _solutions(lab, kind, this, seed, place)
    solutions: list[Solution] = [(problem.question, steps) for problem, steps in found]
    began = time.monotonic()
    base = find_model(lab.recipe.base_model).policy_folder
    stage = f"seed {seed}, {this.name}, {kind}"
    train_policy(base, solutions, settings, out, this.seed(seed) + 7, lab.progress, stage)
    lab.log("sft", seed=seed, kind=kind, round=round_number, examples=len(found), seconds=time.monotonic() - began)
    return out


def _solutions(
    lab: Laboratory, kind: str, this: Round, seed: int, place: Path
) -> list[tuple[Problem, tuple[Step, ...]]]:
    if kind in (SFT_DATA[0], ITERATED):
        of = this if kind == SFT_DATA[0] else Round(sampled_run(lab, seed), this.number)
        return [(problem, trajectory.steps) for problem, trajectory, _ in read_trajectories(of.trajectories)]
    if kind == CONTROLS[1]:
        return wrong_as_verified(this)
    problems = _problems(this.run)
    if kind == SFT_DATA[3]:
        return _demonstrations(problems, lab, seed)
    chosen: list[tuple[Problem, tuple[Step, ...]]] = []
    _sample(lab, this, problems, seed, place / "samples")
    trees = {tree.problem.id: tree for tree in read_trees(place / "samples")}
    for problem in problems:
        tree = trees[problem.id]
        ends = [tree.nodes[i] for i in tree.rollouts]
        finished = [node for node in ends if node.terminal == "answer"]
        wanted = [node for node in finished if node.correct] if kind == SFT_DATA[1] else finished
        texts: dict[str, tuple[Step, ...]] = {}
        for node in wanted:
            steps = tuple(tree.steps(node))
            texts.setdefault("".join(step.text for step in steps), steps)
        chosen += [(problem, steps) for steps in list(texts.values())[:_PER_PROBLEM]]
    return chosen


def _problems(run: Path) -> list[Problem]:
    found = {tree.problem.id: tree.problem for tree in read_trees(Round(run, 1).trees)}
    return [found[key] for key in sorted(found)]


def _sample(lab: Laboratory, this: Round, problems: list[Problem], seed: int, folder: Path) -> None:
    """Whole solutions by the policy that searched in the round."""
    searched = lab.recipe.rounds[this.number - 1].search
    settings = SearchSettings(
        num_rollouts=_NUM_SAMPLES,
        use_ppm=False,
        form=searched.form,
        temperature=searched.temperature,
        max_solution_tokens=searched.max_solution_tokens,
        max_step_tokens=searched.max_step_tokens,
    )
    job = SearchJob(this.previous.policy, None, "sample", settings)
    with TreeStore(folder, lab.recipe.runtime.trees_per_part) as store:
        stage = f"seed {seed}, {this.name}, samples"
        search_problems(lab.pool(), job, problems, store, seed, (), lab.progress, stage)


def _demonstrations(problems: list[Problem], lab: Laboratory, seed: int) -> list[tuple[Problem, tuple[Step, ...]]]:
    """The makers' own solutions of the problems: what data sets from outside are to a real model."""
    from itertools import islice

    from rstar_math.pocket.demonstrations import demonstration
    from rstar_math.pocket.splits import exercises

    source = lab.seed_recipe(seed).problems
    rng = random.Random(f"demonstrations {seed}")
    drawn = islice(exercises("train", source.seed), source.skip, source.skip + len(problems))
    solutions = {exercise.question: tuple(demonstration(exercise, rng, clean=True)) for exercise in drawn}
    return [(problem, solutions[problem.question]) for problem in problems]


def _greedy(form: str) -> MethodSettings:
    """The policy alone."""
    return MethodSettings(name="greedy", strategy="greedy", answering={"search": {"form": form}})
