"""Supervised fine-tuning of the policy on verified trajectories (rStar-Math, section 3.4)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

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
from rstar_math.training import loop
from rstar_math.training.examples import IGNORED_LABEL, SFTExample, TokenisedExample, tokenise_all
from rstar_math.training.markers import add_markers
from rstar_math.training.reports import SFTReport


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
    if settings.backend == "trl":
        from rstar_math.training.trl_sft import train_sft_by_trl

        return train_sft_by_trl(base, examples, settings, out, seed, progress, device)
    device = device or loop.default_device()
    start, cpu_start = time.perf_counter(), time.process_time()
    model = load_causal_lm(base, torch.device("cpu"))
    tokenizer = load_tokenizer(base)
    add_markers(model, tokenizer)
    tokenised = tokenise_all(tokenizer, examples, settings.max_length)
    rows = tokenised.rows
    num_trained_tokens = sum(row.num_trained_tokens for row in rows)
    if num_trained_tokens == 0:
        raise DataError(
            f"no SFT example is left of {len(examples)} ({tokenised.num_too_long} are longer than "
            f"max_length = {settings.max_length} tokens)"
        )
    dtype = loop.arithmetic_dtype(settings, device)
    pad_token_id = pad_token_id_of(tokenizer)
    widths = [len(row.input_ids) for row in rows]

    with loop.seeded(seed, device):
        torch.nn.Module.to(model, device)

        def micro_losses(batch: list[int]) -> Iterator[loop.MicroLoss]:
            num_trained = max(1, sum(rows[i].num_trained_tokens for i in batch))
            for group in loop.groups_of_like_width(batch, widths, settings.micro_batch_size):
                input_ids, targets = _collate([rows[i] for i in group], pad_token_id, device)
                with loop.autocast(device, dtype):
                    # Padding is on the right, where no token of a causal model sees it: no mask is needed.
                    logits = model(input_ids=input_ids, use_cache=False).logits  # [B, T, V]
                trained = targets != IGNORED_LABEL  # [B, T - 1]
                total = functional.cross_entropy(logits[:, :-1][trained].float(), targets[trained], reduction="sum")
                yield loop.MicroLoss(total / num_trained, sum(widths[i] for i in group))

        num_steps = loop.num_optimiser_steps(settings, len(rows))
        batches = loop.shuffled_batches(len(rows), settings.batch_size, torch.Generator().manual_seed(seed))
        report = loop.optimise(model, settings, num_steps, batches, micro_losses, progress)

    with whole_folder(out) as folder, quiet_transformers():
        save_model(model, tokenizer, folder)
    tenth = max(1, len(report.losses) // 10)
    return SFTReport(
        num_examples=len(rows),
        num_too_long=tokenised.num_too_long,
        num_steps=len(report.losses),
        num_epochs=report.num_tokens / sum(widths),
        num_tokens=report.num_tokens,
        num_trained_tokens=num_trained_tokens,
        first_loss=sum(report.losses[:tenth]) / tenth,
        last_loss=sum(report.losses[-tenth:]) / tenth,
        dtype=str(dtype).removeprefix("torch."),
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def _collate(
    rows: Sequence[TokenisedExample], pad_token_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded on the right to a fixed width: input ids `[B, T]` and the ids to predict from them `[B, T - 1]`."""
    width = loop.padded_width(max(len(row.input_ids) for row in rows))
    input_ids = torch.full((len(rows), width), pad_token_id)
    targets = torch.full((len(rows), width - 1), IGNORED_LABEL)
    for i, row in enumerate(rows):
        input_ids[i, : len(row.input_ids)] = torch.tensor(row.input_ids)
        targets[i, : len(row.labels) - 1] = torch.tensor(row.labels[1:])
    return input_ids.to(device), targets.to(device)
