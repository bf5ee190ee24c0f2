"""What is examined, and what a check says of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rstar_math.config import RuntimeSettings
from rstar_math.engines.base import Engine
from rstar_math.models import ModelFolders, is_url
from rstar_math.plugins import is_own
from rstar_math.types import Completion

Verdict = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: one line, and where something is wrong what to do about it."""

    verdict: Verdict
    found: str
    advice: str = ""


@dataclass
class Patient:
    """What is examined. Engine and samples are opened by the first check that needs them.

    Attributes:
      model: the model, or None: the machine alone.
      reward_model: folder of a reward model, or None.
      runtime: device, arithmetic, limits of execution.
      failed: checks that failed so far.
    """

    model: ModelFolders | None = None
    reward_model: Path | None = None
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    failed: set[str] = field(default_factory=set)
    engine: Engine | None = None
    samples: tuple[Completion, ...] = ()

    @property
    def folder(self) -> Path | None:
        """The folder of the policy's weights and tokenizer; None behind a URL, of one's own engine, without a model."""
        if self.model is None:
            return None
        policy = self.model.policy
        if isinstance(policy, Path):
            return policy
        return None if is_url(policy.policy) or is_own(policy.policy) else self.model.policy_folder

    def open_engine(self) -> Engine:
        """The policy's engine.

        Raises:
          ModelError: the model is unfit.
        """
        if self.engine is None:
            from rstar_math.engines.open import open_policy

            assert self.model is not None
            self.engine = open_policy(self.model.policy, self.runtime)
        return self.engine


Check = Callable[[Patient], Coroutine[Any, Any, Finding]]


def skipped(patient: Patient, why: str) -> Finding:
    """A check that makes no sense here, and why."""
    return Finding("skipped", "no model was given" if patient.model is None and patient.reward_model is None else why)


def weight_bytes(folder: Path | None) -> int:
    """Bytes of the weights in a folder; 0 without one."""
    if folder is None:
        return 0
    return sum(p.stat().st_size for p in [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
