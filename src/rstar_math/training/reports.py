"""What trainings tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class SFTReport:
    """What a fine-tuning did.

    Attributes:
      num_examples: examples trained on.
      num_too_long: examples dropped because they are longer than `max_length`.
      num_steps: optimiser steps.
      num_epochs: passes over the examples.
      num_tokens: tokens read, without padding.
      num_trained_tokens: tokens that the loss sees in one pass over the examples.
      first_loss, last_loss: mean loss (nats per trained token) of the first and last tenth of the steps.
      dtype: arithmetic used; "float32" although the settings say bfloat16 on a CPU that lacks it.
      seconds: wall seconds.
      cpu_seconds: CPU seconds of this process.
    """

    num_examples: int
    num_too_long: int
    num_steps: int
    num_epochs: float
    num_tokens: int
    num_trained_tokens: int
    first_loss: float
    last_loss: float
    dtype: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Held-out examples after `step` optimiser steps: weighted loss, and share ranked right (None unless pairs)."""

    step: int
    loss: float
    pair_accuracy: float | None


@dataclass(frozen=True, slots=True)
class PPMReport:
    """What a PPM training did.

    Attributes:
      num_problems, num_pairs: trained on.
      num_held_out_pairs: evaluated on.
      num_too_long: pairs dropped, held-out ones included, because a side is longer than `max_length` tokens.
      num_steps: optimiser steps done, of `num_planned_steps`.
      num_tokens: tokens read in training, without padding, shared prefixes once where `packed`.
      first_loss, last_loss: mean training loss of the first and last tenth of the steps.
      evaluations: held-out loss and pair accuracy during training.
      best_step: the step whose weights were kept; the last one without early stopping.
      held_out_loss, pair_accuracy: of the weights that were kept; None without held-out pairs.
      packed: whether prefixes were shared.
      dtype: arithmetic used; "float32" although the settings say bfloat16 on a CPU that lacks it.
      seconds: wall seconds.
      cpu_seconds: CPU seconds of this process.
    """

    num_problems: int
    num_pairs: int
    num_held_out_pairs: int
    num_too_long: int
    num_steps: int
    num_planned_steps: int
    num_tokens: int
    first_loss: float
    last_loss: float
    evaluations: tuple[Evaluation, ...]
    best_step: int
    held_out_loss: float | None
    pair_accuracy: float | None
    packed: bool
    dtype: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class ScoredTextsReport:
    """What a training on single texts did.

    Attributes:
      num_problems, num_texts: trained on.
      num_held_out_texts: evaluated on.
      num_too_long: texts dropped, held-out ones included, because they are longer than `max_length` tokens.
      num_steps: optimiser steps done, of `num_planned_steps`.
      num_tokens: tokens read in training, without padding, shared prefixes once where `packed`.
      first_loss, last_loss: mean training loss of the first and last tenth of the steps.
      evaluations: held-out loss during training.
      best_step: the step whose weights were kept; the last one without early stopping.
      held_out_loss: of the weights that were kept; None without held-out texts.
      constant_loss: held-out loss of the best constant; what reading the texts brings is the distance to it.
      pair_accuracy: held-out texts of one problem ranked right (`ranked_right`); None where there is no such pair.
      packed: whether prefixes were shared.
      dtype: arithmetic used; "float32" although the settings say bfloat16 on a CPU that lacks it.
      seconds: wall seconds.
      cpu_seconds: CPU seconds of this process.
    """

    num_problems: int
    num_texts: int
    num_held_out_texts: int
    num_too_long: int
    num_steps: int
    num_planned_steps: int
    num_tokens: int
    first_loss: float
    last_loss: float
    evaluations: tuple[Evaluation, ...]
    best_step: int
    held_out_loss: float | None
    constant_loss: float | None
    pair_accuracy: float | None
    packed: bool
    dtype: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class TrainedRewardModel:
    """A trained reward model in evaluation mode, and how it came about.

    Attributes:
      num_problems, num_examples: trained on.
      num_too_long: examples dropped, of the training and held-out ones, because a text exceeds `max_length` tokens.
      num_steps: optimiser steps done, of `num_planned_steps`.
      num_tokens: tokens read in training, without padding, shared prefixes once.
      losses: loss of every optimiser step.
      evaluations: held-out evaluations in order; empty without held-out examples.
      best: the evaluation whose weights were kept; None where none was made.
      packed: whether prefixes were shared; False for models that do not take such attention masks.
      dtype: arithmetic used.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    num_problems: int
    num_examples: int
    num_held_out: int
    num_too_long: int
    num_steps: int
    num_planned_steps: int
    num_tokens: int
    losses: tuple[float, ...]
    evaluations: tuple[Evaluation, ...]
    best: Evaluation | None
    packed: bool
    dtype: str
    seconds: float
    cpu_seconds: float
