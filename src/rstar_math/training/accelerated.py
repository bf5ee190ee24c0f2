"""Several processes by accelerate: data parallelism, FSDP or ZeRO, as the launch chose.

Gradients of the processes are averaged there, and every loss is a share of the whole batch's, so each is multiplied by
the number of processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list
from torch import Tensor, nn

from rstar_math.training.processes import Processes, Value, trained_weights, unwrapped


class Accelerated(Processes):
    """The processes of a launch."""

    def __init__(self, device: torch.device) -> None:
        """Joins the others; on a GPU each process takes the one of its own."""
        self._accelerator = Accelerator(cpu=device.type == "cpu")
        super().__init__(self._accelerator.device)
        self.index, self.number = self._accelerator.process_index, self._accelerator.num_processes
        self._is_zero = self._accelerator.distributed_type == DistributedType.DEEPSPEED
        self.sharded = self._is_zero or self._accelerator.distributed_type == DistributedType.FSDP

    @property
    def loading_device(self) -> torch.device:
        """The CPU: no process needs room for the whole model on its GPU."""
        return torch.device("cpu")

    def prepare(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, max_grad_norm: float
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        if self._is_zero:  # its engine clips by itself, and wants to know a number of rows that nothing here depends on
            config = self._accelerator.state.deepspeed_plugin.deepspeed_config
            config |= {"gradient_clipping": max_grad_norm, "train_micro_batch_size_per_gpu": 1}
        if self.index:  # dropout of its own in each process; random numbers began alike, for weights drawn alike
            torch.manual_seed(torch.initial_seed() + self.index)
        prepared, spread = self._accelerator.prepare(module, optimiser)
        return prepared, spread

    @contextlib.contextmanager
    def accumulating(self, module: nn.Module, is_last: bool) -> Iterator[None]:
        """Sharded gradients are reduced after every pass all the same: whole ones would not fit."""
        if is_last or self.sharded:
            yield
            return
        with self._accelerator.no_sync(module):
            yield

    def backward(self, loss: Tensor, is_last: bool) -> None:
        if self._is_zero:
            self._accelerator.deepspeed_engine_wrapped.backward(loss * self.number, sync_gradients=is_last)
        else:
            self._accelerator.backward(loss * self.number)

    def clip(self, module: nn.Module, max_norm: float) -> Tensor:
        norm = self._accelerator.clip_grad_norm_(list(module.parameters()), max_norm)  # it looks for this very list
        return torch.as_tensor(float("nan") if norm is None else norm)

    def total(self, loss: float, num_tokens: int) -> tuple[float, int]:
        values = torch.tensor([loss, float(num_tokens)], dtype=torch.float64, device=self.device)
        total, tokens = cast(Tensor, self._accelerator.reduce(values, reduction="sum")).tolist()
        return total, round(tokens)

    def agreed(self, value: Value) -> Value:
        values = [value]
        broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()

    def whole_weights(self, module: nn.Module) -> dict[str, Tensor]:
        if self.sharded:  # gathered by all
            gathered: dict[str, Tensor] = self._accelerator.get_state_dict(module)
            return gathered if self.is_first else {}
        return trained_weights(unwrapped(module)) if self.is_first else {}

    def save(self, folder: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        if self.sharded:
            self._accelerator.save_state(str(folder))
        else:
            super().save(folder, module, optimiser)

    def load(self, folder: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        if self.sharded:
            self._accelerator.load_state(str(folder))
        else:
            super().load(folder, module, optimiser)
