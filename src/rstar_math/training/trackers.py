"""Metrics of a training for TensorBoard, wandb or trackio, by the trackers of accelerate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rstar_math.config import TrackerName, TrainingSettings
from rstar_math.errors import ModelError
from rstar_math.training.processes import Processes

Log = Callable[[int, dict[str, float]], None]
"""Takes metrics of an optimiser step, by name."""

PROJECT = "rstar-math"


@contextlib.contextmanager
def tracked(settings: TrainingSettings, out: Path, processes: Processes) -> Iterator[Log | None]:
    """What tells the trackers of a training; None where there are none, and in all processes but the first.

    TensorBoard's files go to `tensorboard/NAME` beside the folder that the training writes; wandb and trackio get the
    project "rstar-math" and the last three parts of the folder's path as the name of the run.

    Raises:
      ModelError: accelerate or a tracker's package is not installed.
    """
    if not settings.trackers or not processes.is_first:
        yield None
        return
    made = [_tracker(name, out.absolute(), processes.device) for name in settings.trackers]

    def log(step: int, values: dict[str, float]) -> None:
        for tracker in made:
            tracker.log(values, step=step)

    try:
        yield log
    finally:
        for tracker in made:
            tracker.finish()


def _tracker(name: TrackerName, out: Path, device: torch.device) -> Any:
    try:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState(cpu=device.type == "cpu")  # a tracker asks it which process it is in
        if name == "tensorboard":
            tracker = LOGGER_TYPE_TO_CLASS[name](out.name, logging_dir=str(out.parent / "tensorboard"))
        else:
            tracker = LOGGER_TYPE_TO_CLASS[name](PROJECT, name="/".join(out.parts[-3:]))
        tracker.start()
    except ImportError as error:
        raise ModelError(
            f"trackers: [{name}] needs the package {error.name}; pip install -c constraints.txt accelerate {name}"
        ) from error
    return tracker
