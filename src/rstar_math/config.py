"""Every setting of a run as checked values: the schema of recipes.

A recipe is YAML with the keys of `Recipe`. Unknown keys and bad values are errors that name the key, the value and what
is allowed. Values from the paper say so; "pocket" marks values measured at the pocket scale (docs/log.md).
Reading files is in `rstar_math.store.recipes`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys forbidden, descriptions taken from the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class TrainingSettings(Settings):
    """What SFT and PPM training have in common. Adam with decoupled weight decay, gradient norm clipped."""

    learning_rate: float = Field(7e-6, gt=0, description="peak learning rate (paper, appendix A.2: 7e-6)")
    num_epochs: float | None = Field(None, gt=0, description="passes over the data; give this or num_steps")
    num_steps: int | None = Field(None, ge=1, description="optimiser steps; give this or num_epochs")
    batch_size: int = Field(128, ge=1, description="rows per optimiser step (SFT), problems per step (PPM)")
    micro_batch_size: int | None = Field(None, ge=1, description="rows per forward pass; null: the whole batch")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="decay after the warm-up (paper)")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    max_length: int = Field(4096, ge=8, description="rows longer than this many tokens are dropped, and counted (paper)")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient norm is clipped to this")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="arithmetic of forward and backward passes")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the residual stream while training")

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSettings:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise ValueError("give exactly one of num_epochs and num_steps")
        return self


class SFTSettings(TrainingSettings):
    """Supervised fine-tuning of the policy on verified trajectories (section 3.4)."""

    num_epochs: float | None = Field(None, gt=0, description="passes over the data (paper: 2); or num_steps")


class PPMSettings(TrainingSettings):
    """Training of the process preference model on pairs (section 3.3)."""

    scale: float = Field(5.0, gt=0, description="score = tanh(logit / scale); 5 as in the released code")
    early_stopping: bool = Field(False, description="keep the weights with the lowest loss on held-out problems")
    evals_per_epoch: int = Field(2, ge=1, description="evaluations on held-out problems per epoch")
    patience: int = Field(3, ge=1, description="evaluations without improvement before training stops")
