"""The markers of the step format as tokens of any model: what fine-tuning adds to a base that does not know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tokenizers import AddedToken

from rstar_math import steps as step_format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def add_markers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Adds the markers that the tokenizer lacks, and rows for them where the model has none.

    A new row starts as the mean of the rows of the marker's own text pieces. Differs from the released code, where all
    markers start as the same mean of all trained rows, so that nothing tells one from another at first (docs/log.md,
    2026-11-30). Markers are ordinary added tokens, not special ones, which decoders leave out of texts.

    Returns:
      The ids of the new tokens; empty where all markers were known.
    """
    known = tokenizer.get_vocab()
    num_rows = len(_weights(model)[0])
    missing = [m for m in step_format.MARKERS if m not in known]
    if not missing:
        return []
    pieces = [tokenizer(m, add_special_tokens=False)["input_ids"] for m in missing]
    tokenizer.add_tokens([AddedToken(m, special=False, normalized=False) for m in missing])
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary[m] for m in missing]
    if max(ids) >= num_rows:  # real models often have rows to spare, which nobody trained
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    with torch.no_grad():
        for weight in _weights(model):
            for row, own in zip(ids, pieces, strict=True):
                weight[row] = weight[own].mean(dim=0)  # [D]
    return ids


def _weights(model: PreTrainedModel) -> list[torch.Tensor]:
    """The embeddings, and the output head where it is not the same."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [layer.weight for layer in layers if layer is not None and isinstance(layer.weight, torch.Tensor)]
