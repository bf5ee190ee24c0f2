"""What the tests of several processes run in each of them: all kinds of training, one after another."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tests.training.test_orm_pqm import make_texts
from tests.training.test_ppm import make_pairs
from tests.training.test_sft import make_examples

from rstar_math.config import PPMSettings, SFTSettings
from rstar_math.training.checkpoints import Checkpoints
from rstar_math.training.loop import Progress
from rstar_math.training.orm_pqm import train_orm
from rstar_math.training.ppm import train_ppm
from rstar_math.training.processes import OtherProcess
from rstar_math.training.sft import train_sft

CPU = torch.device("cpu")
PLAIN: dict[str, Any] = {"max_length": 240, "dtype": "float32"}
SFT = PLAIN | {"learning_rate": 3e-3, "num_steps": 4, "batch_size": 5, "warmup_steps": 2, "weight_decay": 0.1}
REWARD = PLAIN | {"learning_rate": 1e-3, "num_epochs": 1, "batch_size": 3, "early_stopping": True}

Losses = dict[str, list[float]]


def sft(base: Path, out: Path, settings: dict[str, Any], progress: Progress | None = None) -> list[float]:
    """Fine-tunes a policy; the loss of every step."""
    return _heard(
        lambda hear: train_sft(base, make_examples(7), SFTSettings.model_validate(SFT | settings), out, 3, hear, CPU),
        progress,
    )


def resumed(base: Path, out: Path, settings: dict[str, Any], progress: Progress | None = None) -> list[float]:
    """Fine-tunes twice; the second time from the last checkpoint of the first, which was left there."""
    with mock.patch.object(Checkpoints, "remove"):
        losses = sft(base, out, settings, progress)
    return losses + sft(base, out, settings, progress)


def ppm(base: Path, out: Path, settings: dict[str, Any], progress: Progress | None = None) -> list[float]:
    """Trains a PPM, with early stopping; the loss of every step."""
    pairs, held_out = make_pairs(range(10, 17)), make_pairs(range(40, 42))
    chosen = PPMSettings.model_validate(REWARD | settings)
    return _heard(lambda hear: train_ppm(base, pairs, held_out, chosen, out, 3, hear, CPU), progress)


def orm(base: Path, out: Path, settings: dict[str, Any], progress: Progress | None = None) -> list[float]:
    """The same for an ORM."""
    texts, held_out = make_texts(range(10, 17), "outcome"), make_texts(range(40, 42), "outcome")
    chosen = PPMSettings.model_validate(REWARD | settings)
    return _heard(lambda hear: train_orm(base, texts, held_out, chosen, out, 3, hear, CPU), progress)


def train_all(
    base: Path, folder: Path, settings: dict[str, dict[str, Any]], forced: bool, progress: Progress | None
) -> tuple[Losses, list[str]]:
    """Trains all kinds that are named, into folders of their names.

    Args:
      base: folder of the model to start from.
      folder: to write into.
      settings: what differs from the settings above, by kind, or by `kind-anything`.
      forced: shard, although it is a CPU: accelerate takes plain data parallelism there. What shards, gathers and saves
        is the real thing, over gloo.
      progress: hears of every step.

    Returns:
      The losses, and the classes of modules that were sharded.
    """
    sharded: set[str] = set()
    if forced:
        _force_fsdp(sharded)
    kinds = {"sft": sft, "resumed": resumed, "ppm": ppm, "orm": orm}
    made = {name: kinds[name.partition("-")[0]](base, folder / name, s, progress) for name, s in settings.items()}
    return made, sorted(sharded)


def _heard(train: Callable[[Progress], object], progress: Progress | None) -> list[float]:
    losses: list[float] = []

    def hear(step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        losses.append(loss)
        if progress is not None:
            progress(step, num_steps, loss, num_tokens)

    with contextlib.suppress(OtherProcess):
        train(hear)
    return losses


@functools.cache
def _patched_once() -> None:
    assert "RANK" in os.environ  # never in the process of the tests


def _force_fsdp(sharded: set[str]) -> None:
    """Makes every accelerator of this process shard, and notes what it shards."""
    _patched_once()
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedType
    from torch.distributed import fsdp

    plain_shard, plain_init = fsdp.fully_shard, AcceleratorState.__init__

    def shard(module: Any, *arguments: Any, **options: Any) -> Any:
        sharded.update(type(m).__name__ for m in (module if isinstance(module, list | tuple) else [module]))
        return plain_shard(module, *arguments, **options)

    def init(self: AcceleratorState, *arguments: Any, **options: Any) -> None:
        plain_init(self, *arguments, **options)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = FullyShardedDataParallelPlugin(
                fsdp_version=2, auto_wrap_policy="transformer_based_wrap", state_dict_type="FULL_STATE_DICT"
            )

    fsdp.fully_shard = shard
    AcceleratorState.__init__ = init
