"""Fits what a model says of itself: `evaluate_step` as a probability, and when an answer may be called sure.

On problems that the model was not trained on, each stored beside the model: the map from logits of its reward model to
probabilities, from fresh rollouts of the policy; the model of its questions, outside of which it is never sure; how
much the policy's word counts where the choice is `fitted`; and the confidence from which an answer is sure. `rstar
evolve` does it in every round, `rstar calibrate` for a model that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rstar_math.checkpoints.ppm_file import FILE_NAME as PPM_FILE
from rstar_math.checkpoints.ppm_file import Calibration, read_ppm_file
from rstar_math.config import AnsweringSettings, CalibrationSettings, Recipe, SearchSettings
from rstar_math.errors import ConfigError, DataError
from rstar_math.evaluation.rows import evaluate
from rstar_math.metrics import confidence_threshold
from rstar_math.models import ModelFolders, Policy, default_answering, write_answering
from rstar_math.problems.familiarity import FILE_NAME as FAMILIARITY_FILE
from rstar_math.problems.familiarity import Familiarity, fit_familiarity, write_familiarity
from rstar_math.problems.load import ProblemSet, load_problems
from rstar_math.progress import Progress
from rstar_math.stages.base import Made, Work
from rstar_math.stages.search import grow_all
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import TreeStore, read_trees
from rstar_math.store.round import ANSWERING_FILE, Round
from rstar_math.training.calibration import Drawn
from rstar_math.training.prefixes import prefixes
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.jobs import SearchJob, Task
from rstar_math.workers.pool import Pool


def calibrate_stage(work: Work, this: Round) -> Made:
    """Makes `evaluate_step` a probability, and says which questions are familiar, on problems held out."""
    settings, answering = work.recipe.calibration, answers_as(work.recipe)
    problems = work.problems.calibration or work.problems.held_out
    familiarity = familiarity_of(work.problems.training, problems, settings)
    write_familiarity(this.folder, familiarity)
    made: dict[str, Any] = {"ppm": None, "familiarity_limit": familiarity.limit}
    if len(problems.problems) < 2:  # a fit that is judged by another problem needs two
        return made
    draw_solutions(
        work.pool,
        this.policy,
        problems.problems,
        answering,
        settings,
        this.calibration,
        work.seed(this),
        work.progress,
        f"{this.name}, calibration",
    )
    return made | {"ppm": measured(calibrate_reward_model(this.ppm, this.calibration, answering, settings))}


def draw_solutions(
    pool: Pool,
    policy: Policy,
    problems: Sequence[Problem],
    answering: AnsweringSettings,
    settings: CalibrationSettings,
    folder: Path,
    seed: int,
    progress: Progress,
    stage: str,
) -> None:
    """Draws `num_rollouts` solutions of each problem from the policy as it answers; goes on where it was stopped.

    Args:
      pool: where the work is done.
      policy: whose rollouts count.
      problems: held out, with references.
      answering: whose temperature and limits hold.
      settings: how many.
      folder: of the trees, one for each problem.
      seed: of the draws.
      progress: hears of every problem.
      stage: what progress calls it.
    """
    sampling = sampling_settings(answering.search, settings)
    with TreeStore(folder) as store:
        grow_all(
            pool, SearchJob(policy, None, "sample", sampling), [Task(p, seed) for p in problems], store, progress, stage
        )


def sampling_settings(search: SearchSettings, settings: CalibrationSettings) -> SearchSettings:
    """Independent solutions at the temperature, and in the form, in which the model answers."""
    return search.model_copy(
        update={"num_rollouts": settings.num_rollouts, "use_ppm": False, "terminal_value": "reference"}
    )


def calibrate_reward_model(
    reward_model: Path, trees: Path, answering: AnsweringSettings, settings: CalibrationSettings
) -> Calibration:
    """Fits the map of a reward model's folder on the solutions in a folder of trees, and stores it in its `ppm.json`.

    Raises:
      ModelError: `reward_model` is not a reward model's folder.
      DataError: there are solutions of fewer than two problems, or one is longer than the reward model's context.
    """
    from rstar_math.training.ppm import calibrate

    solutions = drawn_solutions(read_trees(trees))
    return calibrate(reward_model, solutions, answering.search.temperature, settings.num_rollouts)


def drawn_solutions(trees: Iterable[Tree]) -> list[Drawn]:
    """The solutions of trees of samples, step by step; one that failed or did not end is a wrong one."""
    return [
        Drawn(tree.problem.id, tuple(prefixes(tree.prefix(tree.root), tree.steps(end))), bool(end.correct))
        for tree in trees
        for end in (tree.nodes[i] for i in tree.rollouts)
    ]


def familiarity_of(trained: ProblemSet, held_out: ProblemSet, settings: CalibrationSettings) -> Familiarity:
    """What is known of the questions of a model: those it was trained on and `known`, with a limit from `held_out`."""
    sets = [trained, *map(load_problems, settings.known)]
    return fit_familiarity(
        [p.question for s in sets for p in s.problems],
        [p.question for p in held_out.problems],
        trained_on=", ".join(s.name for s in sets),
        limit_from=held_out.name,
        share_outside=settings.share_outside,
    )


def threshold_of(rows: Iterable[dict[str, Any]], target_precision: float) -> float | None:
    """The confidence from which answers to familiar questions are shown to be right often enough, from result rows."""
    graded = [row for row in rows if row["correct"] is not None and not row["outside"]]
    return confidence_threshold([r["confidence"] for r in graded], [r["correct"] for r in graded], target_precision)


def fitted_answering(
    pool: Pool,
    model: ModelFolders,
    answering: AnsweringSettings,
    problems: ProblemSet,
    path: Path,
    seed: int,
    progress: Progress,
) -> AnsweringSettings:
    """The answering settings with the fitted choice of a model; as they are where it chooses otherwise.

    Answers the problems as the model does, but with every tree: a vote that is settled by a choice which was not
    fitted yet says nothing. `training.posterior` fits what was found.

    Args:
      pool: where the work is done.
      model: policy and reward model.
      answering: how it answers.
      problems: with references, that it was not trained on.
      path: file of the result rows; those that are there are not made again.
      seed: of the searches.
      progress: hears of every problem.
    """
    if answering.selector != "fitted" or model.reward_model is None:
        return answering
    from rstar_math.training.posterior import fit_posterior, found_in

    start = answering.fitted.model_copy(update={"score_scale": read_ppm_file(model.reward_model).scale})
    whole = answering.model_copy(update={"fitted": start, "settled": None})
    rows = evaluate(pool, model, whole, problems.problems, path, seed, problems.name, progress)
    found = [trajectories for row in rows if (trajectories := found_in(row)) is not None]
    return answering.model_copy(update={"fitted": fit_posterior(found, start)})


def answers_as(recipe: Recipe) -> AnsweringSettings:
    """How the models of a recipe answer: `evaluation.system`, or as the last round searches where it has none."""
    return recipe.evaluation.system or AnsweringSettings(search=recipe.rounds[-1].search)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What `calibrate_model` found.

    Attributes:
      calibration: of `evaluate_step`; None for a model without a PPM.
      familiarity: of its questions.
      threshold: confidence from which an answer is sure; None where none is good enough.
      accuracy: share of right answers on the problems that the threshold was chosen on, in [0, 1].
      coverage: share of them that would count as sure.
      answering: how the model answers, with what was fitted.
    """

    calibration: Calibration | None
    familiarity: Familiarity
    threshold: float | None
    accuracy: float
    coverage: float
    answering: AnsweringSettings


def calibrate_model(
    pool: Pool,
    model: ModelFolders,
    trained: ProblemSet,
    held_out: ProblemSet,
    settings: CalibrationSettings,
    target_precision: float,
    work: Path,
    seed: int,
    progress: Progress,
) -> Calibrated:
    """Fits all of it for a model that is there, and writes it beside it.

    The threshold is chosen on the problems that the choice was fitted on: three numbers leave little to overfit.

    Args:
      pool: where the work is done.
      model: a folder with `policy/`.
      trained: problems that it was trained on.
      held_out: problems of the same kind, with references, that it was not trained on.
      settings: how many solutions, and which share may count as outside.
      target_precision: of answers that are called sure.
      work: folder for solutions and answers; with the same one, a stopped calibration goes on.
      seed: of all draws.
      progress: hears of every problem.

    Raises:
      ConfigError: the model is no folder with `policy/`, or a question is both trained on and held out.
      DataError: there are too few problems.
    """
    if not isinstance(model.policy, Path) or model.policy.name != "policy":
        raise ConfigError(f"{model.name} is not a folder with policy/, beside which a calibration could be stored")
    folder = model.policy.parent
    known = {p.question.strip() for p in trained.problems}
    both = next((p.id for p in held_out.problems if p.question.strip() in known), None)
    if both is not None:
        raise ConfigError(f"problem {both} of {held_out.name} is also a problem of {trained.name}")
    answering = default_answering(model)
    calibration = None
    if model.reward_model is not None:
        drawn = work / "calibration"
        problems = held_out.problems
        draw_solutions(pool, model.policy, problems, answering, settings, drawn, seed, progress, "calibration")
        calibration = calibrate_reward_model(model.reward_model, drawn, answering, settings)
    familiarity = familiarity_of(trained, held_out, settings)
    write_familiarity(folder, familiarity)
    made = {"ppm": measured(calibration) if calibration else None, "familiarity_limit": familiarity.limit}
    _tell_manifest(folder, (f"ppm/{PPM_FILE}", FAMILIARITY_FILE), made)
    judged = replace(model, familiarity=folder)
    answering = fitted_answering(pool, judged, answering, held_out, work / "choice.jsonl", seed, progress)
    path = work / "threshold.jsonl"
    rows = evaluate(pool, judged, answering, held_out.problems, path, seed, held_out.name, progress)
    # rows of a stopped calibration may have been judged by another limit
    outside = {p.id: familiarity.is_outside(p.question) for p in held_out.problems}
    rows = [row | {"outside": outside[row["problem"]]} for row in rows if row["correct"] is not None]
    if not rows:
        raise DataError(f"{held_out.name} has no problem with a reference answer; a threshold needs some")
    threshold = threshold_of(rows, target_precision)
    sure = [r for r in rows if threshold is not None and r["confidence"] >= threshold and not r["outside"]]
    write_answering(
        folder / ANSWERING_FILE, answering, threshold, chosen_on=held_out.name, target_precision=target_precision
    )
    _tell_manifest(folder, (ANSWERING_FILE,), made)
    accuracy = sum(bool(r["correct"]) for r in rows) / len(rows)
    return Calibrated(calibration, familiarity, threshold, accuracy, len(sure) / len(rows), answering)


def _tell_manifest(folder: Path, files: Sequence[str], made: dict[str, Any]) -> None:
    """Renews the checksums of what was written again, where the model is the round of a run."""
    manifest = Manifest(folder)
    if manifest.path.exists():
        manifest.finish("calibrate", files, **made)


def measured(calibration: Calibration) -> dict[str, Any]:
    """The figures of a calibration, for a manifest or a terminal."""
    return asdict(calibration.measured) | {"num_rollouts": calibration.num_rollouts}
