"""The optimisation loop that SFT and reward-model training share: plain torch, one process, any Hugging Face model.

Not distributed, and no gradient checkpointing: it is made for models that fit one device with room to spare.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from rstar_math.config import TrainingSettings
from rstar_math.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)

WIDTH_STEP = 32
"""Rows are padded to a multiple of this many tokens: few shapes, or the kernel caches of CPU back ends grow."""

PASS_OVERHEAD_TOKENS = 256
"""What one more forward and backward pass costs, in tokens of a longer one (about 40 ms at 1 M parameters)."""


class Progress(Protocol):
    """Hears of every optimiser step."""

    def __call__(self, step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        """`step` of `num_steps` is done (from 1), with this loss; `num_tokens` were read so far, without padding."""
        ...


@dataclass(frozen=True, slots=True)
class MicroLoss:
    """One forward pass's share of a batch's loss (shares add up to it), and the tokens it read."""

    loss: Tensor
    num_tokens: int


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What the loop did: the loss of each optimiser step, and the tokens read, without padding."""

    losses: tuple[float, ...]
    num_tokens: int


def default_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def arithmetic_dtype(settings: TrainingSettings, device: torch.device) -> torch.dtype:
    """The arithmetic of forward and backward passes: the settings' dtype, where the device has it.

    A CPU without bfloat16 instructions emulates them (measured with 1.2 M parameters on an AVX2 machine: 547 tokens
    per second against 7,320 in float32), so such a CPU gets float32; the first time, a warning says so.
    """
    if settings.dtype == "float32":
        return torch.float32
    if device.type == "cpu" and not _cpu_has_bfloat16():
        _tell_of_float32()
        return torch.float32
    return torch.bfloat16


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """The context of a forward pass: weights stay float32, matrix products run in `dtype`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators (dropout, initialisation) started from `seed`, and put back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def residual_dropout(model: PreTrainedModel, probability: float) -> Iterator[None]:
    """Dropout on the residual stream after every decoder layer, while the model is in training mode.

    Raises:
      ModelError: the decoder layers of this architecture cannot be found.
    """
    if probability == 0:
        yield
        return

    def drop(layer: nn.Module, args: Any, output: Any) -> Any:
        if not layer.training:
            return output
        if isinstance(output, tuple):  # some architectures return (hidden states, attention weights)
            return (nn.functional.dropout(output[0], probability), *output[1:])
        return nn.functional.dropout(output, probability)

    handles = [layer.register_forward_hook(drop) for layer in _decoder_layers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def learning_rate_factor(step: int, num_steps: int, settings: TrainingSettings) -> float:
    """Share of the peak learning rate at optimiser step `step` (from 0) of `num_steps`: in (0, 1]."""
    warmup = min(settings.warmup_steps, num_steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    left = (num_steps - step) / (num_steps - warmup)  # 1 at the end of the warm-up; the last step still moves
    if settings.schedule == "linear":
        return left
    if settings.schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * left))
    return 1.0


def num_optimiser_steps(settings: TrainingSettings, num_rows: int) -> int:
    """Optimiser steps of a training: as set, or as many as the epochs take."""
    if settings.num_steps is not None:
        return settings.num_steps
    assert settings.num_epochs is not None  # checked by the settings
    return max(1, round(settings.num_epochs * math.ceil(num_rows / settings.batch_size)))


def shuffled_batches(num_rows: int, batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Batches of row indices without end: each epoch a new order; its last batch may be smaller."""
    while True:
        order = torch.randperm(num_rows, generator=generator).tolist()
        for start in range(0, num_rows, batch_size):
            yield order[start : start + batch_size]


def padded_width(num_tokens: int) -> int:
    """`num_tokens` rounded up to a width that rows are padded to."""
    return -(-num_tokens // WIDTH_STEP) * WIDTH_STEP


def groups_of_like_width(rows: Iterable[int], widths: Sequence[int], max_rows: int | None) -> list[list[int]]:
    """Splits a batch into forward passes of rows that are about equally long, the longest first.

    Padding is weighed against `PASS_OVERHEAD_TOKENS` for every pass, and the cheapest split is taken. So batches can
    stay random draws (sorting whole epochs by length would make batches of one tier), and little is padded.

    Args:
      rows: indices of the batch's rows.
      widths: tokens of every row, by index.
      max_rows: most rows of one forward pass; None for no limit.
    """
    ordered = sorted(rows, key=lambda row: (-widths[row], row))
    cheapest = [0] + [0] * len(ordered)  # padded tokens and overhead of the first i rows
    cut_before = [0] * (len(ordered) + 1)  # where the last of their groups starts
    for end in range(1, len(ordered) + 1):
        first = 0 if max_rows is None else max(0, end - max_rows)
        costs = [
            cheapest[start] + padded_width(widths[ordered[start]]) * (end - start) + PASS_OVERHEAD_TOKENS
            for start in range(first, end)
        ]
        cheapest[end] = min(costs)
        cut_before[end] = first + costs.index(cheapest[end])
    groups: list[list[int]] = []
    end = len(ordered)
    while end:
        groups.append(ordered[cut_before[end] : end])
        end = cut_before[end]
    return groups[::-1]


def optimise(
    model: PreTrainedModel,
    settings: TrainingSettings,
    num_steps: int,
    batches: Iterator[list[int]],
    micro_losses: Callable[[list[int]], Iterable[MicroLoss]],
    progress: Progress | None = None,
    after_step: Callable[[int], bool] | None = None,
) -> LoopReport:
    """Trains `model` in place with AdamW for `num_steps` steps, or until `after_step` says so.

    Args:
      model: in float32, on its device.
      settings: learning rate, schedule, weight decay, clipping, dropout.
      num_steps: optimiser steps planned; the schedule ends there.
      batches: row indices of each step.
      micro_losses: the loss of a batch in shares, each from one forward pass.
      progress: hears of every step.
      after_step: called with the number of steps done; True ends the training.

    Raises:
      ModelError: the loss is no longer a finite number.
    """
    # Gains and biases have no scale for decay to hold: only matrices decay.
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        fused=True,
    )
    losses: list[float] = []
    num_tokens = 0
    model.train()
    with residual_dropout(model, settings.dropout):
        for step in range(num_steps):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, num_steps, settings)
            loss = 0.0
            for micro in micro_losses(next(batches)):
                micro.loss.backward()
                loss += micro.loss.item()
                num_tokens += micro.num_tokens
            if not math.isfinite(loss):
                raise ModelError(
                    f"the loss is {loss} at step {step + 1} of {num_steps}; lower learning_rate "
                    f"({settings.learning_rate}) or raise warmup_steps ({settings.warmup_steps})"
                )
            nn.utils.clip_grad_norm_(decayed + others, settings.max_grad_norm)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss)
            if progress is not None:
                progress(step + 1, num_steps, loss, num_tokens)
            if after_step is not None and after_step(step + 1):
                break
    model.eval()
    return LoopReport(tuple(losses), num_tokens)


def _decoder_layers(model: PreTrainedModel) -> Sequence[nn.Module]:
    num_layers = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.children():
        if isinstance(module, nn.ModuleList) and len(module) == num_layers:
            return list(module)
    raise ModelError(
        f"cannot find the {num_layers} decoder layers of a {model.config.model_type} model; "
        "set dropout to 0 for this architecture"
    )


@functools.cache
def _tell_of_float32() -> None:
    """Once in a process, and in the first of a launch only."""
    if int(os.environ.get("RANK", "0")) == 0:
        _log.warning(
            "dtype is bfloat16, which this CPU would emulate, some 15 times slower: training in float32 instead. "
            "Set dtype: float32 to have it said in the recipe"
        )


def _cpu_has_bfloat16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
