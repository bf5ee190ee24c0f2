"""Makes the weak base models that self-evolution starts from, out of nothing: `pocket-base`, and the composed world's.

A small language model is trained on demonstrations of the base split: in the pocket world with their authors'
misconceptions, in the composed world all right and of depth 1 and 2. Every demonstration is new, so one pass over the
corpus is the whole of it. The shipped base is a Llama; other architectures
and sizes are for applying the same recipe to other bases (table 10). This is not fine-tuning: that is in
`rstar_math.training`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rstar_math import steps
from rstar_math.config import Settings
from rstar_math.pocket.composed import corpus
from rstar_math.pocket.demonstrations import demonstration
from rstar_math.pocket.splits import exercises
from rstar_math.pocket.tokenizer import Architecture, save_tokenizer, train_tokenizer
from rstar_math.store.files import make_folder
from rstar_math.store.paths import writing
from rstar_math.types import Step

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_WIDTH_MULTIPLE = 16
"""Batches are padded to a multiple of this: with a new shape at every step, bfloat16 kernels hoard memory."""

_POOL_BATCHES = 32
"""Rows of so many batches are sorted by length before they are cut into batches."""

_REPORT_EVERY = 50


class PretrainSettings(Settings):
    """Size, data and optimisation of the base model. The values were measured at the pocket scale (docs/log.md)."""

    world: Literal["pocket", "composed"] = Field(default="pocket", description="whose base split is demonstrated")
    architecture: Architecture = Field(default="llama", description="as transformers names it (`model_type`)")
    hidden_size: int = Field(default=128, ge=8, description="width of the residual stream")
    num_layers: int = Field(default=4, ge=1, description="transformer layers")
    num_heads: int = Field(default=4, ge=1, description="attention heads; divides hidden_size")
    intermediate_size: int = Field(default=384, ge=8, description="width inside the feed-forward layers")
    max_position_embeddings: int = Field(default=1024, ge=128, description="longest sequence, in tokens")
    num_demonstrations: int = Field(
        default=44_800, ge=1, description="demonstrations, each seen once; about 80 tokens each"
    )
    mix: tuple[float, float, float] = Field(
        default=(0.30, 0.30, 0.40), description="shares of gsm, math and olympiad; pocket alone"
    )
    batch_size: int = Field(default=32, ge=1, description="demonstrations per optimiser step")
    learning_rate: float = Field(default=3e-3, gt=0, description="peak learning rate")
    warmup_steps: int = Field(default=60, ge=0, description="steps of linear warm-up; linear decay to zero follows")
    weight_decay: float = Field(default=0.05, ge=0, description="decoupled weight decay")
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradient norm is clipped to this")
    max_length: int = Field(default=256, ge=32, description="longer demonstrations are dropped, and counted")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16 pays on CPUs that have it alone"
    )
    num_threads: int = Field(default=2, ge=1, description="CPU threads; the weights depend on it in their last digits")
    seed: int = Field(default=0, ge=0, description="seeds the corpus, the initial weights and the order of batches")


@dataclass(frozen=True, slots=True)
class PretrainProgress:
    """Where pretraining stands.

    Attributes:
      step: optimiser steps done.
      num_steps: steps in all.
      loss: mean cross-entropy per trained token since the last report, in nats.
      num_tokens: tokens read so far, without padding.
      seconds: wall seconds of training so far, the making of the corpus left out.
    """

    step: int
    num_steps: int
    loss: float
    num_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One training sequence: token ids, and for each whether the model learns to write it."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]


def pretrain(
    out: Path, settings: PretrainSettings | None = None, progress: Callable[[PretrainProgress], None] | None = None
) -> int:
    """Trains the base model and writes it to `out` as a Hugging Face folder.

    Args:
      out: folder, made if missing.
      settings: None: the settings of the shipped base.
      progress: called every few steps.

    Returns:
      The number of demonstrations that were dropped for their length.
    """
    import torch

    settings = settings or PretrainSettings()
    torch.set_num_threads(settings.num_threads)
    if settings.world == "composed":
        tokenizer = corpus.tokenizer(settings.architecture)
    else:
        tokenizer = train_tokenizer(architecture=settings.architecture)
    rows, num_dropped = corpus_rows(tokenizer, settings)
    model = new_model(settings, tokenizer)
    _train(model, rows, settings, tokenizer.pad_token_id, progress)
    make_folder(out)
    with writing(out):
        model.save_pretrained(out)
        save_tokenizer(tokenizer, out)
    return num_dropped


def corpus_rows(tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings) -> tuple[list[Row], int]:
    """The corpus as rows, and how many demonstrations were dropped for their length."""
    solved = corpus.demonstrations(settings.seed + 1) if settings.world == "composed" else _demonstrations(settings)
    rows = [encoded(tokenizer, question, done) for question, done in islice(solved, settings.num_demonstrations)]
    kept = [row for row in rows if len(row.ids) <= settings.max_length]
    return kept, len(rows) - len(kept)


def _demonstrations(settings: PretrainSettings) -> Iterator[tuple[str, Sequence[Step]]]:
    rng = random.Random(f"pocket corpus {settings.seed}")
    for exercise in exercises("base", settings.seed + 1, settings.mix, unique=False):
        yield exercise.question, demonstration(exercise, rng)


def encoded(tokenizer: PreTrainedTokenizerFast, question: str, solution: Sequence[Step]) -> Row:
    """A solution as a training row: neither the prompt nor what the executor wrote is trained.

    A finished solution ends with the end-of-sequence token, which is trained.
    """
    pieces = [(steps.prompt(question), False), *steps.loss_segments(solution)]
    if solution[-1].answer is not None:
        pieces.append((str(tokenizer.eos_token), True))
    backend = tokenizer.backend_tokenizer  # the same ids with a third of the overhead
    ids: list[int] = []
    trained: list[bool] = []
    for text, is_trained in pieces:
        piece = backend.encode(text, add_special_tokens=False).ids
        ids.extend(piece)
        trained.extend([is_trained] * len(piece))
    return Row(tuple(ids), tuple(trained))


def new_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model with random weights, seeded by the settings."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    own: dict[str, Any] = {"original_max_position_embeddings": settings.max_position_embeddings}
    torch.manual_seed(settings.seed)
    config = AutoConfig.for_model(
        settings.architecture,
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=settings.max_position_embeddings,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **(own if settings.architecture == "phi3" else {}),
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model


def _train(
    model: Any,
    rows: Sequence[Row],
    settings: PretrainSettings,
    pad_token_id: int,
    progress: Callable[[PretrainProgress], None] | None,
) -> None:
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=settings.weight_decay, fused=True
    )
    batches = _batches(rows, settings)
    model.train()
    start, num_tokens, losses = time.perf_counter(), 0, []
    for step, batch in enumerate(batches):
        learning_rate = settings.learning_rate * _schedule(step, len(batches), settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        ids, trained = _padded(batch, pad_token_id)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.dtype == "bfloat16"):
            loss = solution_loss(model, ids, trained)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        num_tokens += sum(len(row.ids) for row in batch)
        losses.append(loss.item())
        if progress is not None and ((step + 1) % _REPORT_EVERY == 0 or step + 1 == len(batches)):
            mean = sum(losses) / len(losses)
            progress(PretrainProgress(step + 1, len(batches), mean, num_tokens, time.perf_counter() - start))
            losses = []
    model.eval()


def solution_loss(model: Any, ids: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the trained tokens.

    Padding stands on the right and is never trained, so that causal attention needs no mask.

    Args:
      model: the language model.
      ids: `[B, T]` token ids.
      trained: `[B, T]` whether a token is to be learned.

    Returns:
      Scalar loss, >= 0, in nats.
    """
    import torch

    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state  # [B, T - 1, D]
    learned = trained[:, 1:]  # [B, T - 1]
    logits = model.lm_head(hidden[learned])  # [num_trained, V]
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][learned])


def _batches(rows: Sequence[Row], settings: PretrainSettings) -> list[list[Row]]:
    """All rows once, in batches of like lengths and random order; the last few rows are left out."""
    rng = random.Random(f"pocket batches {settings.seed}")
    batches: list[list[Row]] = []
    for pool in _chunks(rows, _POOL_BATCHES * settings.batch_size):
        by_length = sorted(pool, key=lambda row: len(row.ids))
        cut = [batch for batch in _chunks(by_length, settings.batch_size) if len(batch) == settings.batch_size]
        rng.shuffle(cut)
        batches.extend(cut)
    return batches or [list(rows)]


def _chunks(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def _schedule(step: int, num_steps: int, warmup_steps: int) -> float:
    """The share of the peak learning rate: linear up, then linear down to zero."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return (num_steps - step) / max(1, num_steps - warmup_steps)


def _padded(rows: Sequence[Row], pad_token_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and whether they are trained, `[B, T]` each, padded on the right."""
    import torch

    longest = max(len(row.ids) for row in rows)
    width = -(-longest // _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE + 1  # the last token is a target only
    ids = torch.full((len(rows), width), pad_token_id)
    trained = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        trained[i, : len(row.ids)] = torch.tensor(row.trained)
    return ids, trained
