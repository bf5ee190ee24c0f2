"""Self-evolution (rStar-Math, section 3.4): rounds of search, selection, training and evaluation, in one run folder.

Each round trains the policy afresh from the base model, and the PPM afresh from that policy. Every stage is resumable:
killed at any moment and started again, a run loses at most the trees in flight. `rstar_math.stages` has the stages.
"""

from __future__ import annotations

from pathlib import Path

from rstar_math.checkpoints.ppm_file import FILE_NAME as PPM_FILE
from rstar_math.cluster.opening import open_pool
from rstar_math.config import Recipe
from rstar_math.problems.familiarity import FILE_NAME as FAMILIARITY_FILE
from rstar_math.problems.load import left_out
from rstar_math.progress import Progress
from rstar_math.report.card import write_round_card
from rstar_math.stages.base import Stage, Work
from rstar_math.stages.calibrate import calibrate_stage
from rstar_math.stages.measure import control, evaluate_base, evaluate_stage
from rstar_math.stages.policy import policy_stage
from rstar_math.stages.problems import load_parts
from rstar_math.stages.reward_model import ppm_stage
from rstar_math.stages.search import search_stage
from rstar_math.stages.select import select_stage
from rstar_math.store.manifest import Manifest
from rstar_math.store.round import Round, parts_in
from rstar_math.store.run import Run

STAGES = (
    # MCTS by the last round's policy and PPM, the first time by the base alone: step-by-step verified trajectories
    Stage("search", search_stage, lambda this: (this.trees, this.held_out_trees)),
    # the two best trajectories of each solved problem, and pairs of steps with high and with low Q
    Stage(
        "select",
        select_stage,
        lambda this: (
            *(this.suspect_references, this.trajectories, this.pairs, this.held_out_pairs),
            this.search_cost,
        ),
    ),
    # SFT of the base on the trajectories
    Stage("policy", policy_stage, lambda this: (this.policy,)),
    # the policy with a scalar head, on the pairs; `ppm.json` is noted when it is calibrated: a kill may come between
    Stage("ppm", ppm_stage, lambda this: (path for path in this.ppm.iterdir() if path.name != PPM_FILE)),
    # beyond the paper: a step's value as a probability, and which questions are familiar
    Stage(
        "calibrate",
        calibrate_stage,
        lambda this: (this.calibration, this.ppm / PPM_FILE, this.folder / FAMILIARITY_FILE),
    ),
    # the policy alone, and policy and PPM together, on held-out problems
    Stage("evaluate", evaluate_stage, lambda this: (this.evaluation, this.answering)),
)
"""The stages of a round in their order, with what each leaves in the round's folder."""

OF_THE_PPM = ("ppm", "calibrate")
"""The stages that a round without a PPM has not."""


def evolve(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Runs, or goes on with, all rounds of a recipe in a run folder.

    Raises:
      UserError: the recipe, its problems, its base model or the folder are unfit; nothing is lost.
    """
    problems, base = load_parts(recipe)
    for problem_set in (problems.training, problems.held_out):
        if left_out(problem_set):
            progress.say(left_out(problem_set))
    if recipe.runtime.deterministic:
        import torch

        torch.set_num_threads(1)  # sums of several threads differ in their last digits from run to run
    with Run(folder, recipe) as run, open_pool(recipe.runtime, folder, run.log) as pool:
        for part in parts_in(folder):
            Manifest(part).verify()
        work = Work(run, pool, base, problems, progress)
        evaluate_base(work)
        for this in run.rounds():
            evolve_round(work, this)
        control(work)


def evolve_round(work: Work, this: Round) -> None:
    """One round: search with the last models, keep what is verified, train the next models, measure them."""
    work.progress.say(f"Round {this.number} of {len(work.recipe.rounds)}")
    left_out = () if work.settings(this).train_ppm else OF_THE_PPM
    for stage in STAGES:
        if stage.name not in left_out:
            stage.run(work, this)
    write_round_card(work.recipe, work.base.policy_folder, work.problems, this)
