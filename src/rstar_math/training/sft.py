"""Supervised fine-tuning of the policy on verified trajectories (rStar-Math, section 3.4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from rstar_math.checkpoints.folder import (
    load_causal_lm,
    load_tokenizer,
    pad_token_id_of,
    quiet_transformers,
    save_model,
    whole_folder,
)
from rstar_math.config import SFTSettings
from rstar_math.errors import DataError
from rstar_math.training import batches, loop
from rstar_math.training.adapters import add_adapters
from rstar_math.training.checkpoints import Checkpoints, checkpoint_folder
from rstar_math.training.device import arithmetic_dtype, autocast, default_device, name_of, seeded
from rstar_math.training.examples import IGNORED_LABEL, SFTExample, TokenisedExample, tokenise_all
from rstar_math.training.launch import launch, must_launch, processes_of
from rstar_math.training.markers import add_markers
from rstar_math.training.reports import SFTReport
from rstar_math.training.trackers import tracked

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def train_sft(
    base: Path,
    examples: Sequence[SFTExample],
    settings: SFTSettings,
    out: Path,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> SFTReport:
    """Fine-tunes a copy of `base` and writes it to `out`, an ordinary Hugging Face folder.

    Markers that the base does not know become tokens. On a CPU, with the same number of threads, the same arguments
    give the same weights. The loss is the mean over the trained tokens of a batch.

    Args:
      base: folder of any Hugging Face causal language model.
      examples: solutions to imitate.
      settings: length and hyper-parameters.
      out: folder to write; it appears, or replaces what was there, only when it is whole.
      seed: order of the examples, dropout.
      progress: hears of every optimiser step.
      device: None for the first GPU, or the CPU where there is none.

    Raises:
      ModelError: `base` cannot be loaded, or the training diverged.
      DataError: no example is left to train on.
    """
    device = device or default_device()
    if must_launch(settings, device):
        return launch(_train, (base, list(examples), settings, out, seed, device), settings, device, progress)
    return _train(base, examples, settings, out, seed, device, progress)


def _train(
    base: Path,
    examples: Sequence[SFTExample],
    settings: SFTSettings,
    out: Path,
    seed: int,
    device: torch.device,
    progress: loop.Progress | None,
) -> SFTReport:
    """`train_sft` in this process: the only one, or one of a launch."""
    start, cpu_start = time.perf_counter(), time.process_time()
    processes = processes_of(device)
    model, tokenizer, has_new_tokens = _with_markers(base)
    tokenised = tokenise_all(tokenizer, examples, settings.max_length)
    rows = tokenised.rows
    num_trained_tokens = sum(row.num_trained_tokens for row in rows)
    if num_trained_tokens == 0:
        raise DataError(
            f"no SFT example is left of {len(examples)} ({tokenised.num_too_long} are longer than "
            f"max_length = {settings.max_length} tokens)"
        )
    dtype = arithmetic_dtype(settings, processes.device)
    data = _Data(rows, settings, pad_token_id_of(tokenizer), processes.device, dtype)
    checkpoints = Checkpoints(checkpoint_folder(out, settings, base, rows, seed, processes.number), settings.save_steps)

    def trainable(plain: PreTrainedModel) -> loop.Trainable:
        return loop.Trainable(plain, plain, add_adapters(plain, settings.lora, "CAUSAL_LM", has_new_tokens))

    with seeded(seed, processes.device), tracked(settings, out, processes) as log:
        torch.nn.Module.to(model, processes.loading_device)
        training = loop.Training(trainable(model), settings, processes)

        def passes(batch: list[int]) -> list[batches.Pass]:
            num_trained = max(1, sum(rows[i].num_trained_tokens for i in batch))
            run = partial(data.micro_loss, training.module, num_trained)
            return batches.passes(batch, data.widths, (processes.index, processes.number), data.groups, run)

        num_steps = batches.num_optimiser_steps(settings, len(rows))
        drawn = batches.shuffled_batches(len(rows), settings.batch_size, torch.Generator().manual_seed(seed))
        report = training.optimise(num_steps, drawn, passes, progress, None, checkpoints, log)
        trained = training.whole(lambda: trainable(_with_markers(base)[0]))

    with whole_folder(out) as folder, quiet_transformers():
        save_model(trained, tokenizer, folder)
    checkpoints.remove()
    tenth = max(1, len(report.losses) // 10)
    return SFTReport(
        num_examples=len(rows),
        num_too_long=tokenised.num_too_long,
        num_steps=len(report.losses),
        num_epochs=report.num_tokens / sum(data.widths),
        num_tokens=report.num_tokens,
        num_trained_tokens=num_trained_tokens,
        first_loss=sum(report.losses[:tenth]) / tenth,
        last_loss=sum(report.losses[-tenth:]) / tenth,
        dtype=name_of(dtype),
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


class _Data:
    """The tokenised examples, and what of them goes through the model together: rows of one example or, packed, more.

    Attributes:
      widths: tokens of every example.
    """

    def __init__(
        self,
        rows: Sequence[TokenisedExample],
        settings: SFTSettings,
        pad_token_id: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._rows, self._settings, self._pad_token_id = rows, settings, pad_token_id
        self._device, self._dtype = device, dtype
        self.widths = [len(row.input_ids) for row in rows]

    def groups(self, share: list[int]) -> list[list[list[int]]]:
        """Examples cut into forward passes, each of rows of examples."""
        laid = [[i] for i in share]
        if self._settings.packing:
            laid = batches.best_fit(share, self.widths, self._settings.max_length)
        widths = [sum(self.widths[i] for i in row) for row in laid]
        groups = batches.groups_of_like_width(range(len(laid)), widths, self._settings.micro_batch_size)
        return [[laid[i] for i in group] for group in groups]

    def micro_loss(self, model: torch.nn.Module, num_trained: int, group: list[list[int]]) -> batches.MicroLoss:
        """The loss of a forward pass, as a share of that of a batch with `num_trained` trained tokens."""
        examples = [[self._rows[i] for i in row] for row in group]
        input_ids, targets, position_ids = _collate(examples, self._pad_token_id)
        # Where position ids begin anew, no token sees one before: transformers makes the mask of them.
        packed = {"position_ids": position_ids.to(self._device)} if self._settings.packing else {}
        with autocast(self._device, self._dtype):
            # Padding is on the right, where no token of a causal model sees it: no mask is needed.
            logits = model(input_ids=input_ids.to(self._device), use_cache=False, **packed).logits  # [B, T, V]
        targets = targets.to(self._device)
        trained = targets != IGNORED_LABEL  # [B, T - 1]
        total = functional.cross_entropy(logits[:, :-1][trained].float(), targets[trained], reduction="sum")
        return batches.MicroLoss(total / num_trained, sum(self.widths[i] for row in group for i in row))


def _with_markers(base: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """The base, which knows the markers then, and whether some of them are new to it."""
    model, tokenizer = load_causal_lm(base, torch.device("cpu")), load_tokenizer(base)
    new_tokens = add_markers(model, tokenizer)
    return model, tokenizer, bool(new_tokens)


def _collate(
    rows: Sequence[Sequence[TokenisedExample]], pad_token_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of examples laid end to end, padded on the right to a fixed width.

    Returns:
      Input ids `[B, T]`, the ids to predict from them `[B, T - 1]`, and each token's position in its own example
      `[B, T]`; the padding of a row counts as one more example.
    """
    width = batches.padded_width(max(sum(len(example.input_ids) for example in row) for row in rows))
    input_ids = torch.full((len(rows), width), pad_token_id)
    targets = torch.full((len(rows), width - 1), IGNORED_LABEL)
    position_ids = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example.input_ids)
            input_ids[i, start:end] = torch.tensor(example.input_ids)
            targets[i, start : end - 1] = torch.tensor(example.labels[1:])
            position_ids[i, start:end] = torch.arange(end - start)
            start = end
        position_ids[i, start:] = torch.arange(width - start)
    return input_ids, targets, position_ids
