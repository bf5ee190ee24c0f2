"""Making a base model: what is trained, that the loss falls, and that the folder is an ordinary one."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.engines.torch.loading import check_tokenizer
from rstar_math.models import find_model
from rstar_math.pocket import tokenizer as pocket_tokenizer
from rstar_math.pocket.demonstrations import demonstration
from rstar_math.pocket.pretrain import (
    PretrainProgress,
    PretrainSettings,
    corpus_rows,
    encoded,
    new_model,
    pretrain,
    solution_loss,
)
from rstar_math.pocket.splits import exercises
from rstar_math.pocket.tokenizer import corpus_texts, train_tokenizer

TINY = PretrainSettings(
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    intermediate_size=48,
    num_demonstrations=640,
    learning_rate=1e-2,
    max_length=512,
    batch_size=16,
    warmup_steps=5,
    num_threads=1,
)


@pytest.fixture
def small_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pretrain` with a tokenizer that takes a second instead of ten."""
    monkeypatch.setattr(
        "rstar_math.pocket.pretrain.train_tokenizer",
        lambda architecture: train_tokenizer(corpus_texts(300), vocab_size=600, architecture=architecture),
    )


def test_the_executors_output_and_the_prompt_are_not_trained() -> None:
    tokenizer = train_tokenizer(corpus_texts(200), vocab_size=500)
    exercise = next(exercises("base"))
    row = encoded(tokenizer, exercise.question, demonstration(exercise, random.Random(0), clean=True))
    untrained = tokenizer.decode([i for i, is_trained in zip(row.ids, row.trained, strict=True) if not is_trained])
    trained = str(tokenizer.decode([i for i, is_trained in zip(row.ids, row.trained, strict=True) if is_trained]))
    assert untrained == f"{steps.prompt(exercise.question)}\n<output>{exercise.reference}<end_of_output>"
    assert trained.endswith(f"\\boxed{{{exercise.reference}}}.<end_of_answer>{pocket_tokenizer.EOS}")


def test_the_loss_is_that_of_the_trained_tokens_by_hand() -> None:
    tokenizer = train_tokenizer(corpus_texts(200), vocab_size=500)
    model = new_model(TINY, tokenizer).eval()
    ids = torch.tensor([[5, 9, 30, 7, 0], [11, 12, 13, 14, 15]])
    trained = torch.tensor([[False, False, True, True, False], [False, True, False, False, True]])
    loss = solution_loss(model, ids, trained)
    log_probs = torch.log_softmax(model(input_ids=ids).logits.double(), -1)  # [B, T, V]
    picked = [log_probs[0, 1, 30], log_probs[0, 2, 7], log_probs[1, 0, 12], log_probs[1, 3, 15]]
    assert loss.item() == pytest.approx(-sum(p.item() for p in picked) / 4, rel=1e-5)


def test_a_tiny_base_learns_and_is_an_ordinary_folder(tmp_path: Path, small_tokenizer: None) -> None:
    seen: list[PretrainProgress] = []
    assert pretrain(tmp_path / "base", TINY, seen.append) == 0
    assert seen[-1].step == seen[-1].num_steps == 40
    assert seen[-1].loss < 0.75 * math.log(600)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert model.dtype == torch.float32
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.vocab_size >= len(tokenizer)
    assert {path.name for path in (tmp_path / "base").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_pretraining_again_gives_the_same_weights(tmp_path: Path, small_tokenizer: None) -> None:
    short = TINY.model_copy(update={"num_demonstrations": 64})
    for name in ("one", "two"):
        pretrain(tmp_path / name, short)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_long_demonstrations_are_counted() -> None:
    tokenizer = train_tokenizer(corpus_texts(200), vocab_size=500)
    rows, num_dropped = corpus_rows(tokenizer, TINY.model_copy(update={"num_demonstrations": 50, "max_length": 90}))
    assert num_dropped > 0
    assert len(rows) + num_dropped == 50
    assert max(len(row.ids) for row in rows) <= 90


@pytest.mark.parametrize("architecture", ["qwen2", "phi3"])
def test_other_architectures_are_read_as_they_were_trained(
    architecture: Any, tmp_path: Path, small_tokenizer: None
) -> None:
    """By transformers, which gives qwen2 models a pre-tokenizer of its own, and by the engine, which checks that."""
    settings = TINY.model_copy(update={"architecture": architecture, "num_demonstrations": 64})
    pretrain(tmp_path / "base", settings)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "base").config.model_type == architecture
    check_tokenizer(tmp_path / "base")
    assert find_model(tmp_path / "base").policy_folder == tmp_path / "base"
