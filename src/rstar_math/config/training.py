"""How models are trained: what both kinds of training share, adapters, the policy, the reward model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rstar_math.config.answering import FormName
from rstar_math.config.base import Settings


class LoRASettings(Settings):
    """Low-rank adapters in place of full fine-tuning; merged into the weights when the training ends."""

    rank: int = Field(default=64, ge=1, description="rank of the adapters; the paper fine-tunes all weights")
    alpha: int = Field(default=128, ge=1, description="their scale is alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout on their input")
    target_modules: str = Field(default="all-linear", description="which layers get adapters, as peft names them")


TrackerName = Literal["tensorboard", "wandb", "trackio"]


class TrainingSettings(Settings):
    """What SFT and PPM training have in common. Adam with decoupled weight decay, gradient norm clipped."""

    learning_rate: float = Field(default=7e-6, gt=0, description="peak learning rate (paper, appendix A.2: 7e-6)")
    num_epochs: float | None = Field(default=None, gt=0, description="passes over the data; give this or num_steps")
    num_steps: int | None = Field(default=None, ge=1, description="optimiser steps; give this or num_epochs")
    batch_size: int = Field(default=128, ge=1, description="rows per optimiser step (SFT), problems per step (PPM)")
    micro_batch_size: int | None = Field(
        default=None, ge=1, description="rows per forward pass of a process; null: its whole share of the batch"
    )
    warmup_steps: int = Field(default=0, ge=0, description="steps of linear warm-up")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="decay after the warm-up (paper)"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled weight decay")
    max_length: int = Field(
        default=4096, ge=8, description="rows longer than this many tokens are dropped, and counted (paper)"
    )
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradient norm is clipped to this")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="arithmetic of forward and backward passes"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout on the residual stream while training")
    gradient_checkpointing: bool = Field(
        default=False, description="recompute activations in the backward pass: less memory, more time"
    )
    lora: LoRASettings | None = Field(default=None, description="adapters; null: all weights (paper)")
    save_steps: int | None = Field(
        default=None,
        ge=1,
        description="checkpoint after so many optimiser steps, taken up at the next start; null: none",
    )
    trackers: tuple[TrackerName, ...] = Field(
        default=(), description="where every step is told: tensorboard (files), wandb, trackio; none by default"
    )
    num_processes: int | None = Field(
        default=1, ge=1, description="processes that share each batch, each on its own GPU; null: one for each GPU"
    )
    accelerate_config: str | None = Field(
        default=None,
        description="file of `accelerate config`, for example ZeRO; null: FSDP where there are several GPUs",
    )

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSettings:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise ValueError("give exactly one of num_epochs and num_steps, and null for the other")
        return self


class SFTSettings(TrainingSettings):
    """Supervised fine-tuning of the policy on verified trajectories (section 3.4)."""

    num_epochs: float | None = Field(default=None, gt=0, description="passes over the data (paper: 2); or num_steps")
    form: FormName = Field(
        default="steps",
        description="what the policy learns to write: the trajectories as they are (paper); program: their code in one "
        "piece, without the answer; text: without what was printed",
    )
    packing: bool = Field(
        default=False,
        description="several examples of a batch in one row of up to max_length tokens, none of which sees another",
    )


class PPMSettings(TrainingSettings):
    """Training of the process preference model on pairs (section 3.3)."""

    scale: float = Field(default=5.0, gt=0, description="score = tanh(logit / scale); 5 as in the released code")
    early_stopping: bool = Field(
        default=False, description="keep the weights with the lowest loss on held-out problems"
    )
    evals_per_epoch: int = Field(default=2, ge=1, description="evaluations on held-out problems per epoch")
    patience: int = Field(default=3, ge=1, description="evaluations without improvement before training stops")
