"""Reward models from a finished round of `rstar evolve`: the PPM once more, and the ORM and PQM it is held against.

All three start from the round's policy and see the same trees, the same held-out problems and the same settings, so
that a difference between them is one of what they are asked to learn (rStar-Math, section 4.3, table 8).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rstar_math.checkpoints.ppm_file import Kind
from rstar_math.config import AnsweringSettings, PPMSettings, Recipe
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError, DataError
from rstar_math.problems.load import load_problems, with_references
from rstar_math.progress import Progress, Steps
from rstar_math.selection.scored_texts import ScoredText, outcomes, step_values
from rstar_math.stages.calibrate import answers_as, calibrate_reward_model
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import read_pairs, read_trees
from rstar_math.store.round import Halves, Round
from rstar_math.store.run import require_run
from rstar_math.types import PreferencePair


class FinishedRound:
    """A round of a run whose policy is trained, with what its reward models are trained, steered and measured on.

    Attributes:
      recipe: of the run.
      round: where its parts lie.
      settings: how the round's PPM was trained.
      seed: that the round's PPM was trained with.
      answering: how the round's model answers.
    """

    def __init__(self, run: Path, number: int | None = None) -> None:
        """Opens a round.

        Args:
          run: folder of a run.
          number: of the round, from 1; None: the last one with a policy.

        Raises:
          DataError: it is no run, or the round has no policy.
          ConfigError: the run has no round of this number.
        """
        self.recipe: Recipe = load_recipe(str(require_run(run)))
        last = Round(run, len(self.recipe.rounds))
        whole = [each.number for each in last.since(1) if "policy" in Manifest(each.folder)]
        if not whole:
            raise DataError(f"{run} has no round with a trained policy yet; let `rstar evolve` finish one first")
        if number is not None and not 1 <= number <= len(self.recipe.rounds):
            raise ConfigError(f"--round is {number}; {run} has rounds 1 to {len(self.recipe.rounds)}")
        if number is not None and number not in whole:
            raise DataError(f"round {number} of {run} has no trained policy yet; its rounds with one: {whole}")
        self.round = Round(run, whole[-1] if number is None else number)
        self._rounds = self.round.since(1 if self.recipe.accumulate_pairs else self.round.number)
        for each in self._rounds:
            Manifest(each.folder).verify(("trees", "held-out", "pairs.parquet", "held-out-pairs.parquet"))
        Manifest(self.round.folder).verify(("policy",))
        self.settings: PPMSettings = self.recipe.rounds[self.round.number - 1].ppm
        self.seed = self.round.seed(self.recipe.seed)
        self.answering: AnsweringSettings = answers_as(self.recipe)
        held_out = with_references(load_problems(self.recipe.held_out.problems))  # as the run took them
        self._halves = Halves([p.id for p in held_out.problems])

    def pairs(self) -> list[PreferencePair]:
        """The preference pairs that the round's PPM was trained on."""
        return [pair for each in self._rounds for pair in read_pairs(each.pairs)]

    def texts(self, kind: Kind) -> list[ScoredText]:
        """What an ORM or a PQM is trained on, from the trees that those pairs come from."""
        trees = (tree for each in self._rounds for tree in read_trees(each.trees))
        return outcomes(trees) if kind == "orm" else step_values(trees)

    def held_out_pairs(self, steering: bool) -> list[PreferencePair]:
        """Pairs of the held-out problems that steer training, or of those that measure its result."""
        pairs = read_pairs(self.round.held_out_pairs)
        return [pair for pair in pairs if self._halves.steers(pair.problem) == steering]

    def held_out_texts(self, kind: Kind, steering: bool) -> list[ScoredText]:
        """The same as texts with targets."""
        trees = [t for t in read_trees(self.round.held_out_trees) if self._halves.steers(t.problem.id) == steering]
        return outcomes(trees) if kind == "orm" else step_values(trees)

    @property
    def drawn(self) -> Path | None:
        """Folder of the solutions that the round's PPM was calibrated on; None in a run of an earlier version."""
        return self.round.calibration if "calibrate" in Manifest(self.round.folder) else None


def train_from_round(
    kind: Kind, source: FinishedRound, settings: PPMSettings, out: Path, seed: int, progress: Progress
) -> dict[str, Any]:
    """Trains a reward model of a round as `rstar evolve` trains its PPM, calibrates it, and measures it.

    Args:
      kind: ppm (from pairs), pqm (Q values of steps) or orm (outcomes of finished trajectories).
      source: the round.
      settings: how; `source.settings` is how the round's PPM was trained.
      out: folder to write.
      seed: `source.seed` is that of the round's PPM.
      progress: hears of every optimiser step.

    Returns:
      What the training did, the calibration error, and the share of the measuring pairs ranked right: of all
      (`measured_pair_accuracy`; an ORM has no opinion on single steps: None), and of the pairs of whole trajectories
      (`measured_answer_pair_accuracy`).
    """
    from rstar_math.training.orm_pqm import train_orm, train_pqm
    from rstar_math.training.ppm import pair_accuracy, train_ppm

    policy = source.round.policy
    made: dict[str, Any]
    with Steps(progress, f"{source.round.name}, {kind.upper()}") as steps:
        if kind == "ppm":
            pairs, steering = source.pairs(), source.held_out_pairs(steering=True)
            made = asdict(train_ppm(policy, pairs, steering, settings, out, seed, steps))
        else:
            train = train_orm if kind == "orm" else train_pqm
            texts, held_out = source.texts(kind), source.held_out_texts(kind, steering=True)
            made = asdict(train(policy, texts, held_out, settings, out, seed, steps))
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
