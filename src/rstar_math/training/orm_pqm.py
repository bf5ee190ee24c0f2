"""The reward models that a PPM is held against, trained on single texts (rStar-Math, section 4.3, table 8).

An outcome reward model (ORM) learns whether a finished trajectory is right, a process Q-value model (PQM) the Q value
of every step. Both start from the policy and are loaded and scored as a PPM is; `ppm.json` says which of them it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rstar_math.checkpoints.folder import (
    load_reward_model,
    load_tokenizer,
    quiet_transformers,
    save_model,
    whole_folder,
)
from rstar_math.checkpoints.ppm_file import PPMFile, Probe, write_ppm_file
from rstar_math.config import PPMSettings
from rstar_math.errors import DataError
from rstar_math.selection.scored_texts import ScoredText
from rstar_math.training import loop, reward_model, scoring
from rstar_math.training.device import default_device
from rstar_math.training.examples import RewardExample, RewardLoss
from rstar_math.training.reports import ScoredTextsReport

NUM_PROBES = 6

ORM_SCALE = 2.0
"""tanh(logit / 2) = 2 sigmoid(logit) - 1: an ORM's score s means that the answer is right with p = (1 + s) / 2."""


def orm_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy of an outcome reward model on finished trajectories.

    Args:
      logits: `[E, 1]` raw logits, unbounded.
      target: `[E]` 1 where the answer is right, 0 where it is wrong.
      weight: `[E]`, > 0.

    Returns:
      Scalar loss, >= 0: the weighted mean.
    """
    each = functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")  # [E]
    return (weight * each).sum() / weight.sum()


@dataclass(frozen=True, slots=True)
class PQMLoss:
    """Squared error of a process Q-value model: its score tanh(logit / scale), as it is used, against Q.

    Attributes:
      scale: of the score.
    """

    scale: float

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """From raw logits `[E, 1]`, Q values `[E]` in [-1, 1] and weights `[E]` to their weighted mean, in [0, 4]."""
        each = (torch.tanh(logits[:, 0] / self.scale) - target) ** 2  # [E]
        return (weight * each).sum() / weight.sum()


def train_orm(
    policy: Path,
    texts: Sequence[ScoredText],
    held_out: Sequence[ScoredText],
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> ScoredTextsReport:
    """Trains an outcome reward model on finished trajectories and writes it to `out`, a folder like a PPM's.

    `settings.scale` is not used: the score is 2 p - 1. It ranks finished solutions, and knows nothing of prefixes.

    Args:
      policy: folder of the policy that it starts from.
      texts: outcomes (`scored_texts.outcomes`).
      held_out: outcomes of other problems: early stopping, accuracy.
      settings: length and hyper-parameters; a batch is `batch_size` problems.
      out: folder to write; it appears, or replaces what was there, only when it is whole.
      seed: initial head, order of the problems, dropout.
      progress: hears of every optimiser step.
      device: None for the first GPU, or the CPU where there is none.

    Raises:
      ModelError: the policy cannot be loaded or made a reward model, or the training diverged.
      DataError: texts of another kind, of one outcome only, or none; or a problem is both trained on and held out.
    """
    _require(texts, held_out, "outcome", "an ORM", (0.0, 1.0))
    if texts and len({row.target for row in texts}) == 1:
        raise DataError(
            f"all {len(texts)} trajectories are {'right' if texts[0].target else 'wrong'}; an ORM needs both kinds: "
            "search more, or harder, problems"
        )
    return _train("orm", ORM_SCALE, orm_loss, policy, texts, held_out, settings, out, seed, progress, device)


def train_pqm(
    policy: Path,
    texts: Sequence[ScoredText],
    held_out: Sequence[ScoredText],
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> ScoredTextsReport:
    """Trains a process Q-value model on the Q of every step and writes it to `out`, a folder like a PPM's.

    The same arguments as `train_orm`, with Q values (`scored_texts.step_values`) for outcomes, and `settings.scale`.

    Raises:
      ModelError, DataError: as `train_orm`.
    """
    _require(texts, held_out, "q_value", "a PQM", (-1.0, 1.0))
    scale = settings.scale
    return _train("pqm", scale, PQMLoss(scale), policy, texts, held_out, settings, out, seed, progress, device)


def ranked_right(
    folder: Path, texts: Sequence[ScoredText], max_length: int | None = None, device: torch.device | None = None
) -> float:
    """Share of pairs of texts of one problem, the first with the higher target, whose first scores higher.

    Averaged over the problems that have such pairs; a tie counts half; nan where there is none.

    Raises:
      ModelError: `folder` is not a reward model's folder.
      DataError: a text is longer than the model's context; with `max_length`, longer texts are left out instead.
    """
    if not texts:
        return float("nan")
    model = load_reward_model(folder, device or default_device())
    examples = [_example(row) for row in texts]
    logits = scoring.example_logits(model, load_tokenizer(folder), examples, max_length=max_length)[:, 0]
    return _ranked_right(texts, logits)


def _train(
    kind: Literal["orm", "pqm"],
    scale: float,
    loss: RewardLoss,
    policy: Path,
    texts: Sequence[ScoredText],
    held_out: Sequence[ScoredText],
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: loop.Progress | None,
    device: torch.device | None,
) -> ScoredTextsReport:
    examples, held_out_examples = [_example(row) for row in texts], [_example(row) for row in held_out]
    trained = reward_model.train_reward_model(
        policy, examples, held_out_examples, settings, loss, out, seed, progress, device
    )
    probe_texts = _probe_texts(held_out or texts)
    logits = scoring.score_texts(trained.model, trained.tokenizer, probe_texts)
    accuracy = None
    if trained.num_held_out:
        found = scoring.example_logits(
            trained.model, trained.tokenizer, held_out_examples, max_length=settings.max_length
        )
        share = _ranked_right(held_out, found[:, 0])
        accuracy = None if np.isnan(share) else share
    with whole_folder(out) as folder, quiet_transformers():
        save_model(trained.model, trained.tokenizer, folder)
        probes = tuple(Probe(text, logit) for text, logit in zip(probe_texts, logits, strict=True))
        write_ppm_file(folder, PPMFile(scale, probes, pair_accuracy=accuracy, kind=kind))
    tenth = max(1, trained.num_steps // 10)
    return ScoredTextsReport(
        num_problems=trained.num_problems,
        num_texts=trained.num_examples,
        num_held_out_texts=trained.num_held_out,
        num_too_long=trained.num_too_long,
        num_steps=trained.num_steps,
        num_planned_steps=trained.num_planned_steps,
        num_tokens=trained.num_tokens,
        first_loss=sum(trained.losses[:tenth]) / tenth,
        last_loss=sum(trained.losses[-tenth:]) / tenth,
        evaluations=trained.evaluations,
        best_step=trained.best.step if trained.best else trained.num_steps,
        held_out_loss=trained.best.loss if trained.best else None,
        constant_loss=_constant_loss(kind, held_out) if trained.best else None,
        pair_accuracy=accuracy,
        packed=trained.packed,
        dtype=trained.dtype,
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
    )


def _require(
    texts: Sequence[ScoredText],
    held_out: Sequence[ScoredText],
    kind: str,
    model: str,
    between: tuple[float, float],
) -> None:
    low, high = between
    for row in (*texts, *held_out):
        if row.kind != kind:
            raise DataError(f"{model} is trained on rows of kind {kind!r}; problem {row.problem} has a {row.kind!r}")
        if not low <= row.target <= high:
            raise DataError(f"{model} needs targets in [{low:g}, {high:g}]; problem {row.problem} has {row.target}")


def _example(row: ScoredText) -> RewardExample:
    return RewardExample(row.problem, (row.text,), row.target, row.weight)


def _ranked_right(texts: Sequence[ScoredText], logits: np.ndarray) -> float:
    members: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(texts):
        if not np.isnan(logits[i]):
            members[row.problem].append(i)
    shares = []
    for indices in members.values():
        target = np.array([texts[i].target for i in indices])
        margin = logits[indices][:, None] - logits[indices][None, :]  # [N, N]
        ordered = target[:, None] > target[None, :]
        if ordered.any():
            shares.append(float(((margin > 0) + 0.5 * (margin == 0))[ordered].mean()))
    return float(np.mean(shares)) if shares else float("nan")


def _constant_loss(kind: Literal["orm", "pqm"], texts: Sequence[ScoredText]) -> float:
    """The loss of one and the same value for every text: the entropy of the outcomes, the variance of the Q values."""
    target, weight = np.array([row.target for row in texts]), np.array([row.weight for row in texts])
    mean = float(np.average(target, weights=weight))
    if kind == "pqm":
        return float(np.average((target - mean) ** 2, weights=weight))
    return -sum(p * float(np.log(p)) for p in (mean, 1 - mean) if p > 0)


def _probe_texts(rows: Sequence[ScoredText]) -> list[str]:
    """The texts with the highest and the lowest target of as many problems as there are, until there are enough."""
    members: dict[str, list[ScoredText]] = defaultdict(list)
    for row in rows:
        members[row.problem].append(row)
    ends = [(max(group, key=lambda r: r.target), min(group, key=lambda r: r.target)) for group in members.values()]
    ends.sort(key=lambda pair: pair[1].target - pair[0].target)  # problems with both first
    return list(dict.fromkeys(row.text for pair in ends for row in pair))[:NUM_PROBES]
