"""The optimiser steps of a TRL training as `training.loop` takes them, each with its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from rstar_math.errors import ModelError
from rstar_math.training import trl_launch


class MeasuredSteps:
    """Mixed into a transformers trainer: order, optimiser and schedule of `training.loop`; the loss of every step."""

    rstar_settings: Any
    rstar_seed: int
    rstar_progress: Callable[..., None] | None
    args: Any
    accelerator: Any
    optimizer: Any
    lr_scheduler: Any
    state: Any
    model: Any
    train_dataset: Any
    current_gradient_accumulation_steps: int

    losses: list[float]
    """Loss of every optimiser step of this process's run (a training that goes on starts anew)."""

    def train(self, *arguments: Any, **options: Any) -> Any:
        self.losses = []
        self._parts: list[torch.Tensor] = []
        return super().train(*arguments, **options)  # type: ignore[misc]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return trl_launch.EpochOrder(self.train_dataset if train_dataset is None else train_dataset, self.rstar_seed)

    def create_optimizer(self, model: Any = None) -> Any:
        if self.optimizer is None:
            self.optimizer = trl_launch.optimiser_of(self.model if model is None else model, self.rstar_settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            self.lr_scheduler = trl_launch.schedule_of(
                self.optimizer if optimizer is None else optimizer, self.rstar_settings, num_training_steps
            )
        return self.lr_scheduler

    def _send_telemetry(self) -> None:
        """Nothing: TRL would report every training to the hub, and ours take place on this machine."""

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*arguments, **options)  # type: ignore[misc]
        self._parts.append(loss.detach())
        if len(self._parts) == self.current_gradient_accumulation_steps:
            self._end_step()
        return loss

    def _end_step(self) -> None:
        together = self.accelerator.reduce(torch.stack(self._parts).sum(), reduction="mean")
        self._parts = []
        value = float(together)
        step = self.state.global_step + 1
        if value != value or value in (float("inf"), float("-inf")):
            settings = self.rstar_settings
            raise ModelError(
                f"the loss is {value} at step {step} of {self.args.max_steps}; lower learning_rate "
                f"({settings.learning_rate}) or raise warmup_steps ({settings.warmup_steps})"
            )
        self.losses.append(value)
        if self.rstar_progress is not None and self.accelerator.is_main_process:
            self.rstar_progress(step, self.args.max_steps, value, 0)
