"""Training of reward models: one scalar at the last token of a text, under any loss over the texts of a problem.

The process preference model (`training.ppm`) is one use of it: pairs of texts and a ranking loss. An outcome reward
model (whole trajectories, correct or not) and a Q-value model (steps, their Q) are single texts with another loss.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rstar_math.checkpoints.folder import (
    load_reward_model,
    load_tokenizer,
    pad_token_id_of,
    quiet_transformers,
    reward_model_from_policy,
    save_model,
)
from rstar_math.config import PPMSettings
from rstar_math.errors import DataError
from rstar_math.training import batches, loop
from rstar_math.training.adapters import add_adapters
from rstar_math.training.checkpoints import Checkpoints, checkpoint_folder
from rstar_math.training.device import arithmetic_dtype, default_device, name_of, seeded
from rstar_math.training.examples import RewardExample, RewardLoss
from rstar_math.training.held_out import HeldOut
from rstar_math.training.launch import launch, must_launch, processes_of
from rstar_math.training.processes import unwrapped
from rstar_math.training.reports import TrainedRewardModel
from rstar_math.training.scoring import Scorer, all_logits, share_ranked_right, takes_packed_rows, unit_logits
from rstar_math.training.trackers import tracked
from rstar_math.training.units import prepare


def train_reward_model(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    out: Path,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> TrainedRewardModel:
    """Trains a reward model from a policy's weights; a batch is `settings.batch_size` problems.

    Differs from the paper, which does not say when to stop: with `settings.early_stopping` the weights with the lowest
    held-out loss are kept, and training ends after `settings.patience` evaluations without a lower one. Without
    held-out examples it runs to its planned end.

    Args:
      policy: folder of the policy.
      examples: to train on.
      held_out: of other problems.
      settings: length and hyper-parameters.
      loss: of a batch; it can be pickled.
      out: where the caller writes the model: checkpoints and logs lie beside it.
      seed: initial head, order of the problems, dropout.
      progress: hears of every optimiser step.
      device: None for the first GPU, or the CPU where there is none.

    Raises:
      ModelError: the policy cannot be loaded or made a reward model, or the training diverged.
      DataError: no example is left to train on, or a problem is both trained on and held out.
    """
    shared = {example.problem for example in examples} & {example.problem for example in held_out}
    if shared:
        raise DataError(f"{len(shared)} problems are both trained on and held out, for example {min(shared)!r}")
    device = device or default_device()
    if not must_launch(settings, device):
        return _train(policy, examples, held_out, settings, loss, out, seed, device, progress)
    with tempfile.TemporaryDirectory(prefix="rstar-reward-") as folder:
        arguments = (policy, list(examples), list(held_out), settings, loss, out, seed, device, Path(folder))
        made = launch(_train_into, arguments, settings, device, progress)
        model = load_reward_model(Path(folder), device).eval()
    return TrainedRewardModel(model=model, tokenizer=load_tokenizer(policy), **made)


def _train_into(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    out: Path,
    seed: int,
    device: torch.device,
    folder: Path,
    progress: loop.Progress | None,
) -> dict[str, Any]:
    """Trains, saves the model, and returns everything of the result that is no model."""
    trained = _train(policy, examples, held_out, settings, loss, out, seed, device, progress)
    with quiet_transformers():
        save_model(trained.model, trained.tokenizer, folder)
    return {f.name: getattr(trained, f.name) for f in fields(trained) if f.name not in ("model", "tokenizer")}


def _train(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    out: Path,
    seed: int,
    device: torch.device,
    progress: loop.Progress | None,
) -> TrainedRewardModel:
    """`train_reward_model` in this process: the only one, or one of a launch."""
    start, cpu_start = time.perf_counter(), time.process_time()
    processes = processes_of(device)
    device = processes.device
    tokenizer = load_tokenizer(policy)
    pad_token_id = pad_token_id_of(tokenizer)
    dtype = arithmetic_dtype(settings, device)

    def trainable() -> loop.Trainable:
        model = reward_model_from_policy(policy, pad_token_id, processes.loading_device)
        return loop.Trainable(model, Scorer(model), add_adapters(model, settings.lora, "SEQ_CLS", False))

    with seeded(seed, device), tracked(settings, out, processes) as log:
        made = trainable()
        packed = takes_packed_rows(made.model, settings.max_length)
        train = prepare(tokenizer, examples, settings.max_length, packed)
        test = prepare(tokenizer, held_out, settings.max_length, packed)
        if train.num_examples == 0:
            raise DataError(
                f"no example is left of {len(examples)} to train a reward model on "
                f"({train.num_too_long} have a text longer than max_length = {settings.max_length} tokens)"
            )
        training = loop.Training(made, settings, processes)
        module = training.module
        widths, units_of = [unit.width for unit in train.units], train.units_of

        def micro_loss(total_weight: float, group: list[int]) -> batches.MicroLoss:
            units = [train.units[i] for i in group]
            logits = unit_logits(module, units, packed, pad_token_id, dtype, device)
            target = torch.from_numpy(np.concatenate([unit.target for unit in units])).to(device)
            weight = torch.from_numpy(np.concatenate([unit.weight for unit in units])).to(device)
            share = loss(logits, target, weight) * (weight.sum() / total_weight)
            return batches.MicroLoss(share, sum(unit.num_tokens for unit in units))

        def groups(share: list[int]) -> list[list[int]]:
            return batches.groups_of_like_width(share, widths, settings.micro_batch_size)

        def passes(batch: list[int]) -> list[batches.Pass]:
            members = [i for problem in batch for i in units_of[problem]]
            total_weight = sum(float(train.units[i].weight.sum()) for i in members)
            run = partial(micro_loss, total_weight)
            return batches.passes(members, widths, (processes.index, processes.number), groups, run)

        def measure() -> tuple[float, float | None]:
            logits, target, weight = all_logits(unwrapped(module), test.units, packed, pad_token_id, device)
            module.train()
            return processes.agreed((loss(logits, target, weight).item(), share_ranked_right(logits)))

        num_steps = batches.num_optimiser_steps(settings, train.num_problems)
        watcher = HeldOut(
            settings, train.num_problems, num_steps, measure if test.units else None, training.weights, log
        )
        name = f"{loss.__module__}.{getattr(loss, '__qualname__', repr(loss))}"
        identity = (seed, processes.number, name, list(held_out))
        checkpoints = Checkpoints(checkpoint_folder(out, settings, policy, examples, *identity), settings.save_steps)
        drawn = batches.shuffled_batches(train.num_problems, settings.batch_size, torch.Generator().manual_seed(seed))
        report = training.optimise(num_steps, drawn, passes, progress, watcher, checkpoints, log)
        model = training.whole(trainable, watcher.best_weights)
    checkpoints.remove()
    return TrainedRewardModel(
        model=model,
        tokenizer=tokenizer,
        num_problems=train.num_problems,
        num_examples=train.num_examples,
        num_held_out=test.num_examples,
        num_too_long=train.num_too_long + test.num_too_long,
        num_steps=len(report.losses),
        num_planned_steps=num_steps,
        num_tokens=report.num_tokens,
        losses=report.losses,
        evaluations=tuple(watcher.evaluations),
        best=watcher.best,
        packed=packed,
        dtype=name_of(dtype),
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )
