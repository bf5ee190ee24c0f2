"""Checkpoints inside a training, from which the same training goes on after it was killed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rstar_math.config import TrainingSettings
from rstar_math.store.files import fingerprint, make_folder
from rstar_math.store.paths import writing
from rstar_math.training.processes import Processes

_STATE = "state.pt"


@dataclass(frozen=True, slots=True)
class LoopState:
    """Where the loop stands.

    Attributes:
      step: optimiser steps done.
      losses: of each of them.
      num_tokens: read so far.
      watcher: what the caller's `loop.Watcher` keeps.
    """

    step: int
    losses: list[float]
    num_tokens: int
    watcher: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training. Only the last one is kept; it appears only when it is whole.

    Attributes:
      folder: where they lie; it is made for the first of them.
    """

    def __init__(self, folder: Path, every: int | None) -> None:
        """Takes the folder, and after how many optimiser steps one is made; None for none."""
        self.folder, self._every = folder, every

    def load(self, processes: Processes, module: nn.Module, optimiser: torch.optim.Optimizer) -> LoopState | None:
        """Takes up the last checkpoint; None where there is none."""
        found = sorted(self.folder.glob("step-*[0-9]"), key=_step) if self._every is not None else []
        name = processes.agreed(found[-1].name if found else None)
        if name is None:
            return None
        processes.load(self.folder / name, module, optimiser)
        return LoopState(**torch.load(self.folder / name / _STATE, map_location="cpu"))

    def save(self, state: LoopState, processes: Processes, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Makes a checkpoint where one is due.

        Raises:
          PathError: the folder cannot be written to.
          DiskFullError: there is no room.
        """
        if self._every is None or state.step % self._every:
            return
        whole = self.folder / f"step-{state.step}"
        partial = whole.with_suffix(".partial")
        with writing(self.folder):
            if processes.is_first:
                shutil.rmtree(partial, ignore_errors=True)
                make_folder(partial)
                torch.save(asdict(state), partial / _STATE)
            processes.wait()
            processes.save(partial, module, optimiser)
            processes.wait()
            if processes.is_first:
                partial.rename(whole)
                for other in self.folder.iterdir():
                    if other != whole:
                        shutil.rmtree(other)

    def remove(self) -> None:
        """Removes them all: the training is over."""
        shutil.rmtree(self.folder, ignore_errors=True)


def checkpoint_folder(
    out: Path, settings: TrainingSettings, base: Path, rows: Iterable[object], *identity: object
) -> Path:
    """Where a training keeps its checkpoints: beside `out`, and apart from those of any other training.

    Args:
      out: what the training makes.
      settings: of the training.
      base: folder of the model that is trained, known by the names, sizes and times of its weights.
      rows: what it is trained on, known by their `repr`.
      identity: whatever else makes it another training.
    """
    data = hashlib.sha256()
    for row in rows:
        data.update(repr(row).encode())
    weights = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(base.glob("*.safetensors"))]
    value = [settings.model_dump(mode="json"), str(base.resolve()), weights, data.hexdigest(), *map(str, identity)]
    return out.parent / f".{out.name}.{fingerprint(value)}.checkpoints"


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))
