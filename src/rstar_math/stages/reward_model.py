"""The reward models of a round: its PPM, and the ORM and the PQM that the PPM is held against.

All three start from the round's policy and see the same trees, the same held-out problems and the same settings, so
that a difference between them is one of what they are asked to learn (rStar-Math, section 4.3, table 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from rstar_math.checkpoints.ppm_file import Kind
from rstar_math.config import AnsweringSettings, PPMSettings, Recipe
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError, DataError
from rstar_math.problems.load import ProblemSet, load_problems, with_references
from rstar_math.progress import Progress, Steps
from rstar_math.selection.scored_texts import ScoredText, outcomes, step_values
from rstar_math.selection.values import valued
from rstar_math.stages.base import Made, Work
from rstar_math.stages.calibrate import answers_as, calibrate_reward_model
from rstar_math.stages.pair_rules import pair_length_accuracy, pair_logprob_accuracy
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import read_pairs, read_trees
from rstar_math.store.round import Halves, Round
from rstar_math.store.run import require_run
from rstar_math.training.reports import PPMReport, ScoredTextsReport
from rstar_math.tree import Tree
from rstar_math.types import PreferencePair


class TrainedRound:
    """A round whose policy is trained, with what its reward models are trained, steered and measured on.

    Attributes:
      round: where its parts lie.
      recipe: of the run.
    """

    def __init__(self, this: Round, recipe: Recipe, held_out: ProblemSet) -> None:
        """Takes a round of a run.

        Args:
          this: the round.
          recipe: of the run.
          held_out: the problems that steer (every second one) and measure, as the run took them.
        """
        self.round, self.recipe = this, recipe
        self._rounds = this.since(1 if recipe.accumulate_pairs else this.number)
        self._halves = Halves([p.id for p in held_out.problems])

    @classmethod
    def of_run(cls, run: Path, number: int | None = None) -> Self:
        """Opens a round of a run, whose files are held against their checksums.

        Args:
          run: folder of a run.
          number: of the round, from 1; None: the last one with a policy.

        Raises:
          DataError: it is no run, or the round has no policy.
          ConfigError: the run has no round of this number.
          RunError: a file of the round was changed since it was made.
        """
        recipe = load_recipe(str(require_run(run)))
        last = Round(run, len(recipe.rounds))
        whole = [each.number for each in last.since(1) if "policy" in Manifest(each.folder)]
        if not whole:
            raise DataError(f"{run} has no round with a trained policy yet; let `rstar evolve` finish one first")
        if number is not None and not 1 <= number <= last.number:
            raise ConfigError(f"--round is {number}; {run} has rounds 1 to {last.number}")
        if number is not None and number not in whole:
            raise DataError(f"round {number} of {run} has no trained policy yet; its rounds with one: {whole}")
        this = Round(run, whole[-1] if number is None else number)
        found = cls(this, recipe, with_references(load_problems(recipe.held_out.problems)))
        for each in found._rounds:
            data = (each.trees, each.held_out_trees, each.pairs, each.held_out_pairs)
            Manifest(each.folder).verify([path.name for path in data])
        Manifest(this.folder).verify([this.policy.name])
        return found

    @property
    def settings(self) -> PPMSettings:
        """How the round's PPM is trained."""
        return self.recipe.rounds[self.round.number - 1].ppm

    @property
    def seed(self) -> int:
        """That the round's PPM is trained with."""
        return self.round.seed(self.recipe.seed)

    @property
    def answering(self) -> AnsweringSettings:
        """How the round's model answers."""
        return answers_as(self.recipe)

    def pairs(self) -> list[PreferencePair]:
        """The preference pairs that the round's PPM is trained on."""
        return [pair for each in self._rounds for pair in read_pairs(each.pairs)]

    def texts(self, kind: Kind) -> list[ScoredText]:
        """What an ORM or a PQM is trained on, from the trees that those pairs come from."""
        trees = (tree for each in self._rounds for tree in read_trees(each.trees))
        return self._texts(kind, trees)

    def held_out_pairs(self, steering: bool) -> list[PreferencePair]:
        """Pairs of the held-out problems that steer training, or of those that measure its result."""
        return [p for p in read_pairs(self.round.held_out_pairs) if self._halves.steers(p.problem) == steering]

    def held_out_texts(self, kind: Kind, steering: bool) -> list[ScoredText]:
        """The same as texts with targets."""
        trees = [t for t in read_trees(self.round.held_out_trees) if self._halves.steers(t.problem.id) == steering]
        return self._texts(kind, trees)

    def _texts(self, kind: Kind, trees: Iterable[Tree]) -> list[ScoredText]:
        if kind == "orm":
            return outcomes(trees)
        return step_values(valued(tree, self.recipe.selection.values) for tree in trees)

    @property
    def drawn(self) -> Path | None:
        """Folder of the solutions that the round's PPM was calibrated on; None in a run of an earlier version."""
        return self.round.calibration if "calibrate" in Manifest(self.round.folder) else None


def ppm_stage(work: Work, this: Round) -> Made:
    """Trains the PPM from this round's policy; held-out problems steer it (first half) and measure it (second)."""
    from rstar_math.training.ppm import pair_accuracy

    source = TrainedRound(this, work.recipe, work.problems.held_out)
    report = train_reward_model("ppm", source, source.settings, this.ppm, source.seed, work.progress)
    assert isinstance(report, PPMReport)
    measuring = source.held_out_pairs(steering=False)
    return {
        "num_pairs": report.num_pairs,
        "num_too_long": report.num_too_long,
        "num_steps": report.num_steps,
        "pair_accuracy": pair_accuracy(this.ppm, measuring) if measuring else None,
        "pair_accuracy_by_length": pair_length_accuracy(measuring),
        "pair_accuracy_by_logprob": pair_logprob_accuracy(measuring, per_token=False),
        "pair_accuracy_by_logprob_per_token": pair_logprob_accuracy(measuring, per_token=True),
        "num_measuring_pairs": len(measuring),
    }


def train_reward_model(
    kind: Kind, source: TrainedRound, settings: PPMSettings, out: Path, seed: int, progress: Progress
) -> PPMReport | ScoredTextsReport:
    """Trains a reward model from a round's policy, on its data, steered by half of the held-out problems.

    Args:
      kind: ppm (from pairs), pqm (Q values of steps) or orm (outcomes of finished trajectories).
      source: the round.
      settings: how.
      out: folder to write.
      seed: of everything drawn.
      progress: hears of every optimiser step.

    Returns:
      What the training did: a `PPMReport` for a PPM, a `ScoredTextsReport` for the others.
    """
    from rstar_math.training.orm_pqm import train_orm, train_pqm
    from rstar_math.training.ppm import train_ppm

    policy = source.round.policy
    with Steps(progress, f"{source.round.name}, {kind.upper()}") as steps:
        if kind == "ppm":
            pairs, steering = source.pairs(), source.held_out_pairs(steering=True)
            return train_ppm(policy, pairs, steering, settings, out, seed, steps)
        train = train_orm if kind == "orm" else train_pqm
        return train(policy, source.texts(kind), source.held_out_texts(kind, steering=True), settings, out, seed, steps)


def train_from_round(
    kind: Kind, source: TrainedRound, settings: PPMSettings, out: Path, seed: int, progress: Progress
) -> dict[str, Any]:
    """Trains a reward model beside the round's PPM and in the same way, calibrates it, and measures it.

    Args:
      kind, settings, out, progress: as `train_reward_model`.
      source: the round; `source.settings` is how its PPM was trained.
      seed: `source.seed` is that of the round's PPM.

    Returns:
      What the training did, the calibration error, and the share of the measuring pairs ranked right: of all
      (`measured_pair_accuracy`; an ORM has no opinion on single steps: None), and of the pairs of whole trajectories
      (`measured_answer_pair_accuracy`).
    """
    from rstar_math.training.ppm import pair_accuracy

    made: dict[str, Any] = asdict(train_reward_model(kind, source, settings, out, seed, progress))
    calibration = None
    if source.drawn is not None:
        calibration = calibrate_reward_model(out, source.drawn, source.answering, source.recipe.calibration)
    made["calibration_error"] = calibration.measured.expected_calibration_error if calibration else None
    measuring = source.held_out_pairs(steering=False)
    answers = [pair for pair in measuring if pair.kind == "answer"]
    made["measured_pair_accuracy"] = pair_accuracy(out, measuring) if measuring and kind != "orm" else None
    made["measured_answer_pair_accuracy"] = pair_accuracy(out, answers) if answers else None
    made["num_measuring_pairs"] = len(measuring)
    return made
