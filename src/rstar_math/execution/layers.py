"""Layers of isolation as they are reported and required."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rstar_math.config import REQUIRED_LAYERS, ExecutionSettings
from rstar_math.errors import SandboxError


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer of isolation on this machine.

    Attributes:
      name: its name.
      active: whether it holds.
      required: whether execution refuses to run without it.
      detail: why it is not active; "" where it is.
    """

    name: str
    active: bool
    required: bool
    detail: str


@runtime_checkable
class HasLayers(Protocol):
    """An executor that can say what isolates the programs that it runs."""

    async def layers(self) -> list[LayerReport]:
        """The layers of isolation on this machine."""
        ...


def layer_reports(layers: dict[str, str], settings: ExecutionSettings) -> list[LayerReport]:
    """The layers of a zygote, as `rstar doctor` shows them."""
    return [
        LayerReport(name, not detail, name in REQUIRED_LAYERS and name not in settings.accept_missing, detail)
        for name, detail in layers.items()
    ]


def require(reports: Sequence[LayerReport]) -> None:
    """Checks that every required layer is active.

    Raises:
      SandboxError: one is not; the message names it and the option that accepts running without it.
    """
    for layer in reports:
        if layer.required and not layer.active:
            raise SandboxError(
                f"steps are not executed, because the isolation layer {layer.name!r} is not active: {layer.detail}. "
                f"Use a machine that has it, or accept running without it: "
                f"runtime.execution.accept_missing: [{layer.name}]"
            )
