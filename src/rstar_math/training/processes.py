"""The processes that a training runs in: one, with nothing but torch, or several (`training.accelerated`).

The loop is the same for both. What it asks for, one process does by itself, and several do together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Value = TypeVar("Value")


class OtherProcess(Exception):
    """Raised in all processes but the first when the training is over: there is nothing left to do."""


class Processes:
    """One process on one device.

    Attributes:
      device: where it computes.
      index: of this process, from 0.
      number: of processes.
      sharded: whether a process holds only a part of the weights.
    """

    index = 0
    number = 1
    sharded = False

    def __init__(self, device: torch.device) -> None:
        """Takes the device."""
        self.device = device

    @property
    def loading_device(self) -> torch.device:
        """Where a model is to lie before it is prepared."""
        return self.device

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all."""
        return self.index == 0

    def prepare(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, max_grad_norm: float
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The module and its optimiser, spread over the processes."""
        return module, optimiser

    @contextlib.contextmanager
    def accumulating(self, module: nn.Module, is_last: bool) -> Iterator[None]:
        """A forward and backward pass whose gradients stay here, unless it `is_last` of its optimiser step."""
        yield

    def backward(self, loss: Tensor, is_last: bool) -> None:
        """Adds the gradients of a share of the batch's loss; those of all processes are added up."""
        loss.backward()

    def clip(self, module: nn.Module, max_norm: float) -> Tensor:
        """Clips the norm of all gradients together; returns what it was."""
        trained = [p for p in module.parameters() if p.requires_grad]
        # in the order of the optimiser's groups: a norm is a sum, which rounds by its order
        ordered = [p for p in trained if p.dim() >= 2] + [p for p in trained if p.dim() < 2]
        return nn.utils.clip_grad_norm_(ordered, max_norm)

    def total(self, loss: float, num_tokens: int) -> tuple[float, int]:
        """Sums over the processes."""
        return loss, num_tokens

    def agreed(self, value: Value) -> Value:
        """The first process's value, in all of them."""
        return value

    def wait(self) -> None:
        """Until all processes are here."""

    def whole_weights(self, module: nn.Module) -> dict[str, Tensor]:
        """Copies of the weights that are trained, gathered in the first process; empty in the others."""
        return trained_weights(module)

    def save(self, folder: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Writes weights, state of the optimiser, and of the random numbers of each process."""
        if self.is_first:
            plain = unwrapped(module)
            torch.save({"weights": trained_weights(plain), "optimiser": optimiser.state_dict()}, folder / "model.pt")
        torch.save(self._random_state(), folder / f"random-{self.index}.pt")

    def load(self, folder: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Takes up what `save` wrote."""
        saved = torch.load(folder / "model.pt", map_location="cpu")  # copied from there to where they belong
        unwrapped(module).load_state_dict(saved["weights"], strict=False)
        optimiser.load_state_dict(saved["optimiser"])
        random_state = torch.load(folder / f"random-{self.index}.pt", map_location="cpu")
        torch.set_rng_state(random_state["cpu"])
        if "cuda" in random_state:
            torch.cuda.set_rng_state(random_state["cuda"], self.device)

    def _random_state(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        return state | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {})


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters that are trained, by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters() if value.requires_grad}


def unwrapped(module: nn.Module) -> nn.Module:
    """The module that data parallelism was wrapped around."""
    inner: Any = module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module
    plain: nn.Module = inner
    return plain
