"""The markers of the step format become tokens of a base that does not know them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tests.engines.tiny_checkpoints import save_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.training.markers import add_markers


def test_new_rows_start_as_the_mean_of_the_pieces_that_the_marker_is_written_in(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2", markers=())
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    before = model.get_input_embeddings().weight.shape[0]
    pieces = [tokenizer(marker)["input_ids"] for marker in steps.MARKERS]
    ids = add_markers(model, tokenizer)
    assert len(ids) == len(steps.MARKERS)
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size == max(ids) + 1 > before
    for weight in (model.get_input_embeddings().weight, model.lm_head.weight):
        for row, own in zip(ids, pieces, strict=True):
            assert len(own) > 1
            assert torch.allclose(weight[row], weight[own].mean(dim=0))
        assert len({tuple(row.tolist()) for row in weight[ids]}) == len(ids)  # each is told from the others
    assert tokenizer.decode(tokenizer(steps.OUTPUT)["input_ids"], skip_special_tokens=True) == steps.OUTPUT
    assert add_markers(model, tokenizer) == []
