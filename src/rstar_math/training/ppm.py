"""The process preference model: a ranking of steps, learned from pairs (rStar-Math, section 3.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

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
from rstar_math.checkpoints.ppm_file import Calibration, PPMFile, Probe, read_ppm_file, write_ppm_file
from rstar_math.config import PPMSettings
from rstar_math.metrics import ranking_credit
from rstar_math.training import loop, reward_model, scoring
from rstar_math.training.calibration import Drawn, examples_of, fit_calibration
from rstar_math.training.device import default_device
from rstar_math.training.examples import RewardExample
from rstar_math.training.reports import PPMReport
from rstar_math.types import PreferencePair

NUM_PROBES = 6


def ppm_loss(chosen: Tensor, rejected: Tensor, weight: Tensor) -> Tensor:
    """Pairwise ranking loss of the process preference model (rStar-Math, section 3.3).

    Differs from the paper's text, which ranks scores after tanh: raw logits, as in the released code, because the
    margin of two tanh values cannot pass 2.

    Args:
      chosen: `[B]` raw logits of the preferred steps, unbounded.
      rejected: `[B]` raw logits of the dispreferred steps, unbounded.
      weight: `[B]` pair weights, 1 / (n_pos * n_neg) of the node a pair comes from.

    Returns:
      Scalar loss, >= 0: the weighted mean of -log sigmoid(chosen - rejected), so that every node counts the same.
    """
    return -(weight * functional.logsigmoid(chosen - rejected)).sum() / weight.sum()


def train_ppm(
    policy: Path,
    pairs: Sequence[PreferencePair],
    held_out: Sequence[PreferencePair],
    settings: PPMSettings,
    out: Path,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> PPMReport:
    """Trains a PPM from the round's policy and writes it to `out`: a Hugging Face folder with `ppm.json`.

    On a CPU, with the same number of threads, the same arguments give the same weights.

    Args:
      policy: folder of the policy that was fine-tuned in the same round.
      pairs: to train on; a side is scored at the last token of its prefix and text.
      held_out: pairs of other problems: early stopping, pair accuracy.
      settings: length and hyper-parameters; a batch is `batch_size` problems.
      out: folder to write; it appears, or replaces what was there, only when it is whole.
      seed: initial head, order of the problems, dropout.
      progress: hears of every optimiser step.
      device: None for the first GPU, or the CPU where there is none.

    Raises:
      ModelError: the policy cannot be loaded or made a reward model, or the training diverged.
      DataError: no pair is left to train on, or a problem is both trained on and held out.
    """
    trained = reward_model.train_reward_model(
        policy,
        [reward_example(pair) for pair in pairs],
        [reward_example(pair) for pair in held_out],
        settings,
        _pair_loss,
        out,
        seed,
        progress,
        device,
    )
    texts = _probe_texts(held_out or pairs)
    logits = scoring.score_texts(trained.model, trained.tokenizer, texts)
    pair_accuracy = trained.best.pair_accuracy if trained.best else None
    with whole_folder(out) as folder, quiet_transformers():
        save_model(trained.model, trained.tokenizer, folder)
        probes = tuple(Probe(text, logit) for text, logit in zip(texts, logits, strict=True))
        write_ppm_file(folder, PPMFile(settings.scale, probes, pair_accuracy=pair_accuracy))
    tenth = max(1, trained.num_steps // 10)
    return PPMReport(
        num_problems=trained.num_problems,
        num_pairs=trained.num_examples,
        num_held_out_pairs=trained.num_held_out,
        num_too_long=trained.num_too_long,
        num_steps=trained.num_steps,
        num_planned_steps=trained.num_planned_steps,
        num_tokens=trained.num_tokens,
        first_loss=sum(trained.losses[:tenth]) / tenth,
        last_loss=sum(trained.losses[-tenth:]) / tenth,
        evaluations=trained.evaluations,
        best_step=trained.best.step if trained.best else trained.num_steps,
        held_out_loss=trained.best.loss if trained.best else None,
        pair_accuracy=pair_accuracy,
        packed=trained.packed,
        dtype=trained.dtype,
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
    )


def pair_accuracy(ppm: Path, pairs: Sequence[PreferencePair], device: torch.device | None = None) -> float:
    """Share of pairs that the PPM ranks right, in [0, 1]: unweighted, a tie counts half; nan without pairs.

    Raises: as `pair_margins`.
    """
    if not pairs:
        return float("nan")
    margins = pair_margins(ppm, pairs, device)
    return sum(map(ranking_credit, margins)) / len(margins)


def pair_margins(ppm: Path, pairs: Sequence[PreferencePair], device: torch.device | None = None) -> list[float]:
    """By how much the PPM's logit of each pair's better side lies above that of the other.

    Raises:
      ModelError: `ppm` is not a reward model's folder.
      DataError: a side of a pair is longer than the model's context.
    """
    model = load_reward_model(ppm, device or default_device())
    logits = scoring.example_logits(model, load_tokenizer(ppm), [reward_example(pair) for pair in pairs])
    return [float(margin) for margin in logits[:, 0] - logits[:, 1]]


def calibrate(
    folder: Path, solutions: Sequence[Drawn], temperature: float, num_rollouts: int, device: torch.device | None = None
) -> Calibration:
    """Fits a reward model's calibration on solutions of held-out problems, and stores it in its `ppm.json`.

    The order of the solutions has no influence, not on the last digit either: trees are stored in the order in which
    their searches end, which is another one in a run that was resumed.

    Args:
      folder: of a trained reward model.
      solutions: drawn by the policy for problems that neither the policy nor the reward model was trained on.
      temperature, num_rollouts: how they were drawn, for the record.
      device: None for the first GPU, or the CPU where there is none.

    Raises:
      ModelError: `folder` is not a reward model's.
      DataError: solutions of fewer than two problems, or a text longer than the model's context.
    """
    content = read_ppm_file(folder)
    logits = prefix_logits(folder, solutions, device)
    calibration = fit_calibration(examples_of(solutions, logits), temperature, num_rollouts)
    write_ppm_file(folder, dataclasses.replace(content, calibration=calibration))
    return calibration


def prefix_logits(folder: Path, solutions: Sequence[Drawn], device: torch.device | None = None) -> dict[str, float]:
    """The logit of every prefix of the solutions, by its text; each distinct one is read once."""
    # who stands beside whom in a batch moves a logit's eighth digit
    texts = sorted({prefix.text for solution in solutions for prefix in solution.prefixes})
    model = load_reward_model(folder, device or default_device())
    return dict(zip(texts, scoring.score_texts(model, load_tokenizer(folder), texts), strict=True))


def reward_example(pair: PreferencePair) -> RewardExample:
    """A pair as the texts whose logits are compared: (chosen, rejected), each behind the prefix."""
    return RewardExample(pair.problem, (pair.prefix + pair.chosen, pair.prefix + pair.rejected), weight=pair.weight)


def _pair_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return ppm_loss(logits[:, 0], logits[:, 1], weight)


def _probe_texts(pairs: Sequence[PreferencePair]) -> list[str]:
    """Both sides of pairs, of as many problems as there are, until there are enough."""
    first_of_problem = {pair.problem: pair for pair in reversed(pairs)}
    ordered = [pair for pair in pairs if first_of_problem[pair.problem] is pair]
    ordered += [pair for pair in pairs if first_of_problem[pair.problem] is not pair]
    texts = dict.fromkeys(text for pair in ordered[: 4 * NUM_PROBES] for text in reward_example(pair).texts)
    return list(texts)[:NUM_PROBES]
