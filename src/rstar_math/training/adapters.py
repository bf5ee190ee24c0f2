"""Low-rank adapters (LoRA, by peft): trained in place of the weights, and merged into them at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rstar_math.config import LoRASettings
from rstar_math.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def add_adapters(
    model: PreTrainedModel, settings: LoRASettings | None, task: Literal["CAUSAL_LM", "SEQ_CLS"], new_tokens: bool
) -> Any:
    """Puts adapters into a model, of which nothing else is trained from then on, but a reward model's head.

    Embeddings and output head are trained in full where tokens were added: nothing else could teach the model what
    they mean.

    Returns:
      What `merged` needs; None without settings.

    Raises:
      ModelError: peft is not installed, or knows no such layers.
    """
    if settings is None:
        return None
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ModelError(
            "lora needs the package peft; pip install -c constraints.txt 'rstar-math[train]', or set lora: null"
        ) from error
    in_full = [] if task == "CAUSAL_LM" else ["score"]
    if new_tokens:
        in_full = ["embed_tokens", "lm_head"]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
        task_type=task,
        modules_to_save=in_full or None,
        ensure_weight_tying=new_tokens and model.config.get_text_config().tie_word_embeddings,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(f"no adapters can be put into this model: {error}") from error


def merged(model: PreTrainedModel, adapters: Any) -> PreTrainedModel:
    """The model with its adapters merged into the weights; without adapters, as it is."""
    if adapters is None:
        return model
    whole: PreTrainedModel = adapters.merge_and_unload()
    return whole
