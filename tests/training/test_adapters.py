"""LoRA: it learns, only what it should is trained, and what is written is an ordinary folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="extra `train` is not installed: adapters are not tested")

import torch
from safetensors.torch import load_file
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.training.test_ppm import make_pairs
from tests.training.test_sft import make_examples
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.checkpoints.folder import load_causal_lm
from rstar_math.config import LoRASettings, PPMSettings, SFTSettings
from rstar_math.errors import ModelError
from rstar_math.training.adapters import add_adapters, merged
from rstar_math.training.ppm import pair_accuracy, train_ppm
from rstar_math.training.sft import train_sft

CPU = torch.device("cpu")
LORA = {"rank": 8, "alpha": 16}
PLAIN = {"max_length": 240, "dtype": "float32", "batch_size": 4, "lora": LORA, "gradient_checkpointing": True}


def test_a_policy_with_new_tokens(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2", markers=())
    chosen = SFTSettings.model_validate(PLAIN | {"learning_rate": 5e-3, "num_steps": 12})
    report = train_sft(base, make_examples(6), chosen, tmp_path / "policy", 3, device=CPU)
    assert report.last_loss < 0.8 * report.first_loss
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert all(len(tokenizer(m, add_special_tokens=False)["input_ids"]) == 1 for m in steps.MARKERS)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    before = load_file(base / "model.safetensors")
    after = dict(model.state_dict())
    assert before.keys() == after.keys()
    assert not torch.equal(before["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"])
    assert torch.equal(before["model.norm.weight"], after["model.norm.weight"])  # adapters are for matrices


def test_embeddings_stay_where_all_tokens_are_known(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "llama")
    chosen = SFTSettings.model_validate(PLAIN | {"learning_rate": 5e-3, "num_steps": 2})
    train_sft(base, make_examples(4), chosen, tmp_path / "policy", 3, device=CPU)
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "policy"))
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert before.keys() == after.keys()


def test_a_reward_model_trains_its_head_too(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "llama")
    chosen = PPMSettings.model_validate(PLAIN | {"learning_rate": 5e-3, "num_epochs": 6, "early_stopping": True})
    pairs = make_pairs(range(10, 22))
    report = train_ppm(base, pairs, make_pairs(range(40, 44)), chosen, tmp_path / "ppm", 1, device=CPU)
    assert report.last_loss < 0.8 * report.first_loss
    assert report.held_out_loss == min(e.loss for e in report.evaluations)
    assert pair_accuracy(tmp_path / "ppm", make_pairs(range(40, 44)), CPU) == pytest.approx(report.pair_accuracy)
    names = load_file(tmp_path / "ppm" / "model.safetensors").keys()
    assert "score.weight" in names
    assert not [name for name in names if "lora" in name or "modules_to_save" in name]


def test_what_cannot_be_adapted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_causal_lm(save_checkpoint(tmp_path / "base", "qwen2"), CPU)
    assert merged(model, add_adapters(model, None, "CAUSAL_LM", False)) is model
    with pytest.raises(ModelError, match="no adapters can be put into this model"):
        add_adapters(model, LoRASettings(target_modules="no_such_layer"), "CAUSAL_LM", False)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"lora needs the package peft.*lora: null"):
        add_adapters(model, LoRASettings(), "CAUSAL_LM", False)
