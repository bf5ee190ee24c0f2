"""Shared-prefix packing: the trie by hand, and the same hidden states as without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, LlamaConfig, PreTrainedModel, Qwen2Config

from rstar_math.checkpoints.folder import load_tokenizer, reward_model_from_policy
from rstar_math.training import packing, scoring, units
from rstar_math.training.examples import RewardExample

CPU = torch.device("cpu")

SEQUENCES = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6).map(tuple), min_size=1, max_size=8)


def test_a_trie_by_hand() -> None:
    row, last = packing.pack([(5, 6, 8), (5, 6), (5, 6, 7, 9), (4,)])
    assert row.token_ids.tolist() == [4, 5, 6, 7, 9, 8]
    assert row.depths.tolist() == [0, 0, 1, 2, 3, 2]
    assert row.subtree_ends.tolist() == [1, 6, 6, 5, 5, 6]
    assert last.tolist() == [5, 2, 4, 0]


@given(SEQUENCES)
def test_every_token_sees_its_own_text_and_nothing_else(sequences: list[tuple[int, ...]]) -> None:
    row, last = packing.pack(sequences)
    batch = packing.collate([row], row.num_tokens + 3, 0, CPU)
    assert (
        row.num_tokens
        == packing.num_packed_tokens(sequences)
        == len({s[:n] for s in sequences for n in range(1, len(s) + 1)})
    )
    for sequence, end in zip(sequences, last, strict=True):
        seen = batch.attention_mask[0, 0, end]
        assert tuple(batch.input_ids[0, seen].tolist()) == sequence
        assert batch.position_ids[0, seen].tolist() == list(range(len(sequence)))
    padding = batch.attention_mask[0, 0, row.num_tokens :]
    assert torch.equal(padding.nonzero()[:, 1], torch.arange(row.num_tokens, row.num_tokens + 3))


def random_model(config: LlamaConfig | Qwen2Config, attention: str = "sdpa") -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention)
    model.eval()
    return model


SIZES: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_labels": 1, "pad_token_id": 0, "initializer_range": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("config", [LlamaConfig(**SIZES), Qwen2Config(**SIZES)], ids=["llama", "qwen2"])
def test_packed_logits_are_those_of_plain_rows(config: LlamaConfig | Qwen2Config) -> None:
    model = random_model(config)
    generator = np.random.default_rng(0)
    shared = generator.integers(1, 50, 20).tolist()
    sequences = [shared[: 5 * (i % 5)] + generator.integers(1, 50, 3 + i).tolist() for i in range(10)]
    rows = [packing.pack(sequences[:6]), packing.pack(sequences[6:])]
    batch = packing.collate([row for row, _ in rows], 160, 0, CPU)
    with torch.inference_mode():
        hidden = model.base_model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=batch.attention_mask
        ).last_hidden_state
        logits = cast(torch.nn.Linear, model.score)(hidden).squeeze(-1)
        packed = torch.cat([logits[i, torch.from_numpy(last)] for i, (_, last) in enumerate(rows)])
        plain = torch.cat([model(input_ids=torch.tensor([sequence])).logits[:, 0] for sequence in sequences])
    assert plain.std() > 0.1
    assert torch.allclose(packed, plain, atol=1e-4)
    assert scoring.takes_packed_rows(model, 100)


def test_models_that_cannot_pack_are_recognised() -> None:
    from transformers import MistralConfig

    assert not scoring.takes_packed_rows(random_model(LlamaConfig(**SIZES), "eager"), 100)  # adds a bool mask
    windowed = MistralConfig(**SIZES, sliding_window=64)
    model = AutoModelForSequenceClassification.from_config(windowed)
    assert scoring.takes_packed_rows(model, 64)
    assert not scoring.takes_packed_rows(model, 65)


def test_both_layouts_give_every_example_the_models_own_logits(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    model = reward_model_from_policy(tiny_checkpoint, tokenizer.pad_token_id, CPU).eval()
    steps = [" total = 1", " total = 12 + 30", "\nprint(7)<end_of_code>", " apples are sold in all"]
    examples = [
        RewardExample(f"p{i % 3}", (f"How many {'apples ' * (i % 3)}?" + steps[i % 4], "How" + steps[i // 4]))
        for i in range(12)
    ]
    examples += [RewardExample("long", ("print" * 90 + str(i), "print" * 90 + "7" * i)) for i in range(1, 14)]
    alone = [
        [model(torch.tensor([tokenizer(text)["input_ids"]])).logits.item() for text in example.texts]
        for example in examples
    ]
    for packed in (True, False):
        together = scoring.example_logits(model, tokenizer, examples, packed)
        assert np.allclose(together, alone, atol=1e-4)


def test_problems_of_many_tokens_are_split(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "MIN_ROW_TOKENS", 1)
    tokenizer = load_tokenizer(tiny_checkpoint)
    examples = [RewardExample("p", (f"{i} total 1 2 3 4 5 6", f"{i} print 1 2 3 4 5 6")) for i in range(8)]
    prepared = units.prepare(tokenizer, [*examples, RewardExample("p", ("1" * 300, "2"))], 100, packed=True)
    assert (prepared.num_problems, prepared.num_examples, prepared.num_too_long) == (1, 8, 1)
    assert len(prepared.units) == 8
    assert sorted(i for unit in prepared.units for i in unit.examples) == list(range(8))
