"""The optimisation loop of every training: SFT and reward models, 1 M or 7 B parameters, one process or several.

It is plain torch. What several processes do together is in `training.accelerated`, behind `training.processes`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from rstar_math.config import TrainingSettings
from rstar_math.errors import ModelError
from rstar_math.training.adapters import merged
from rstar_math.training.batches import Pass
from rstar_math.training.checkpoints import Checkpoints, LoopState
from rstar_math.training.processes import OtherProcess, Processes
from rstar_math.training.trackers import Log

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Progress(Protocol):
    """Hears of every optimiser step."""

    def __call__(self, step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        """`step` of `num_steps` is done (from 1), with this loss; `num_tokens` were read so far, without padding."""
        ...


class Watcher(Protocol):
    """Looks on after every optimiser step."""

    def after_step(self, step: int) -> bool:
        """`step` steps are done; True ends the training. The same in all processes."""
        ...

    def state(self) -> dict[str, Any]:
        """What it needs to go on from a checkpoint: tensors, numbers, lists, mappings."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` gave."""
        ...


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What the loop did: the loss of each optimiser step, and the tokens read, without padding."""

    losses: tuple[float, ...]
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Trainable:
    """A model, and what is trained of it.

    Attributes:
      model: in float32.
      module: what forward passes call: the model, or what computes with it.
      adapters: from `adapters.add_adapters`.
    """

    model: PreTrainedModel
    module: nn.Module
    adapters: Any


class Training:
    """A model that is ready to be trained: spread over the processes, with its optimiser.

    Attributes:
      module: what forward passes call.
      processes: that share the batches.
    """

    def __init__(self, trainable: Trainable, settings: TrainingSettings, processes: Processes) -> None:
        """Prepares a model.

        Args:
          trainable: the model, on `processes.loading_device`.
          settings: learning rate, schedule, weight decay, clipping, dropout, checkpointing.
          processes: that share the batches.
        """
        self.processes, self._trainable, self._settings = processes, trainable, settings
        self.module, self._optimiser = processes.prepare(
            trainable.module, optimiser_of(trainable.module, settings), settings.max_grad_norm
        )

    def optimise(
        self,
        num_steps: int,
        batches: Iterator[list[int]],
        passes: Callable[[list[int]], Sequence[Pass]],
        progress: Progress | None = None,
        watcher: Watcher | None = None,
        checkpoints: Checkpoints | None = None,
        log: Log | None = None,
    ) -> LoopReport:
        """Trains in place with AdamW for `num_steps` steps, or until the watcher says so.

        Args:
          num_steps: optimiser steps planned; the schedule ends there.
          batches: row indices of each step, the same in all processes.
          passes: this process's forward passes over a batch; their losses, of all processes, add up to the batch's.
          progress: hears of every step, in the first process.
          watcher: looks on after every step.
          checkpoints: taken up where there are any.
          log: hears of every step's metrics.

        Raises:
          ModelError: the loss is no longer a finite number.
        """
        settings, processes = self._settings, self.processes
        losses: list[float] = []
        num_tokens = 0
        taken_up = checkpoints.load(processes, self.module, self._optimiser) if checkpoints else None
        if taken_up is not None:
            losses, num_tokens = taken_up.losses, taken_up.num_tokens
            if watcher is not None:
                watcher.restore(taken_up.watcher)
            for _ in losses:
                next(batches)
        self.module.train()
        model = self._trainable.model
        with residual_dropout(model, settings.dropout), _recomputing(model, settings.gradient_checkpointing):
            for step in range(len(losses), num_steps):
                rate = settings.learning_rate * learning_rate_factor(step, num_steps, settings)
                for group in self._optimiser.param_groups:
                    group["lr"] = rate
                loss, read = self._gradients(passes(next(batches)))
                num_tokens += read
                if not math.isfinite(loss):
                    raise ModelError(
                        f"the loss is {loss} at step {step + 1} of {num_steps}; lower learning_rate "
                        f"({settings.learning_rate}) or raise warmup_steps ({settings.warmup_steps})"
                    )
                norm = processes.clip(self.module, settings.max_grad_norm)
                self._optimiser.step()
                self._optimiser.zero_grad()
                losses.append(loss)
                if progress is not None and processes.is_first:
                    progress(step + 1, num_steps, loss, num_tokens)
                if log is not None:
                    measured = {"loss": loss, "learning_rate": rate, "gradient_norm": float(norm)}
                    log(step + 1, measured | {"num_tokens": float(num_tokens)})
                is_over = watcher is not None and watcher.after_step(step + 1)
                if checkpoints is not None:
                    state = LoopState(step + 1, losses, num_tokens, watcher.state() if watcher else {})
                    checkpoints.save(state, processes, self.module, self._optimiser)
                if is_over:
                    break
        self.module.eval()
        return LoopReport(tuple(losses), num_tokens)

    def weights(self) -> dict[str, Tensor]:
        """Copies of the weights that are trained, gathered in the first process; empty in the others."""
        return self.processes.whole_weights(self.module)

    def whole(self, fresh: Callable[[], Trainable], weights: dict[str, Tensor] | None = None) -> PreTrainedModel:
        """The trained model in the first process, with its adapters merged.

        Args:
          fresh: makes the same model anew, for weights that are sharded here.
          weights: from `weights`, to take in place of the last ones; empty in the other processes.

        Raises:
          OtherProcess: this is not the first process.
        """
        if self.processes.sharded and weights is None:
            weights = self.weights()
        if not self.processes.is_first:
            raise OtherProcess
        trained = fresh() if self.processes.sharded else self._trainable
        if weights is not None:
            trained.module.load_state_dict(weights, strict=self.processes.sharded)
        trained.module.eval()
        return merged(trained.model, trained.adapters)

    def _gradients(self, passes: Sequence[Pass]) -> tuple[float, int]:
        """Adds up the gradients of a batch; its loss, and the tokens read."""
        loss, num_tokens = 0.0, 0
        for i, run in enumerate(passes):
            is_last = i == len(passes) - 1
            with self.processes.accumulating(self.module, is_last):
                micro = run()
                self.processes.backward(micro.loss, is_last)
            loss += micro.loss.item()
            num_tokens += micro.num_tokens
        return self.processes.total(loss, num_tokens)


def optimiser_of(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW. Gains and biases have no scale for decay to hold: only matrices decay."""
    decayed = [p for p in module.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in module.parameters() if p.requires_grad and p.dim() < 2]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        fused=True,
    )


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


@contextlib.contextmanager
def _recomputing(model: PreTrainedModel, is_on: bool) -> Iterator[None]:
    """Gradient checkpointing."""
    if not is_on:
        yield
        return
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    try:
        yield
    finally:
        model.gradient_checkpointing_disable()


def _decoder_layers(model: PreTrainedModel) -> Sequence[nn.Module]:
    num_layers = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.children():
        if isinstance(module, nn.ModuleList) and len(module) == num_layers:
            return list(module)
    raise ModelError(
        f"cannot find the {num_layers} decoder layers of a {model.config.model_type} model; "
        "set dropout to 0 for this architecture"
    )
