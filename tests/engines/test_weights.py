"""Folders read without transformers: the same weights and tokens, and nothing else is read that way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from rstar_math import steps
from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.weights import LlamaWeights, PlainFolder
from rstar_math.errors import ModelError
from rstar_math.models import find_model

POCKET = find_model("pocket")
TEXTS = [steps.prompt("Ann's 12 apples cost $3.50; é?"), "\n# Step 1:\n\tx = 7 // 2\n" + steps.END_OF_STEP, "<", ""]


def plain_folder(path: Path) -> PlainFolder:
    found = PlainFolder.find(path)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["policy", "ppm", "two heads share keys", "a head of its own"])
def test_the_same_as_through_transformers(name: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = {
        "policy": POCKET.policy_folder,
        "ppm": POCKET.reward_model or Path(),
        "two heads share keys": checkpoints["llama"],
        "a head of its own": with_own_head(checkpoints["llama"], tmp_path / "untied"),
    }[name]
    kind: Any = AutoModelForSequenceClassification if name == "ppm" else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain, loaded = plain_folder(folder), LlamaWeights.of_model(model)
    assert loaded is not None
    read = plain.weights(torch.device("cpu"), torch.float32)
    assert set(read.backbone) == set(loaded.backbone)
    assert all(torch.equal(read.backbone[key], loaded.backbone[key]) for key in read.backbone)
    assert torch.equal(read.head, loaded.head)
    assert torch.equal(read.inverse_frequencies, loaded.inverse_frequencies)
    for size in ("num_heads", "num_kv_heads", "head_dim", "eps", "context_length", "rotation_scale", "head_bias"):
        assert getattr(read, size) == getattr(loaded, size)

    bare, whole = plain.codec(), TokenCodec.for_model(tokenizer, model)
    assert bare.encode(TEXTS) == whole.encode(TEXTS)
    assert bare.end_ids == whole.end_ids
    assert len(bare.end_ids) == 2
    assert bare.marker_ids(steps.MARKERS) == whole.marker_ids(steps.MARKERS)
    assert bare.added_tokens() == whole.added_tokens()
    ids = bare.encode(TEXTS[:2])
    assert bare.decode_continuations(5, ids) == whole.decode_continuations(5, ids) == TEXTS[:2]


def with_own_head(source: Path, folder: Path) -> Path:
    shutil.copytree(source, folder)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source, tie_word_embeddings=False))
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    model.save_pretrained(folder)
    return folder


def changed(source: Path, folder: Path, file: str, change: dict[str, Any]) -> Path:
    shutil.copytree(source, folder)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | change))
    return folder


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "qwen2"}),
        ("config.json", {"hidden_act": "gelu"}),
        ("config.json", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
        ("config.json", {"rope_parameters": None, "rope_scaling": None, "rope_theta": 1e4}),
        ("config.json", {"quantization_config": {"bits": 4}}),
        ("tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"}),
        ("tokenizer_config.json", {"add_bos_token": True}),
    ],
)
def test_what_needs_transformers(
    file: str, change: dict[str, Any], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    plain_folder(changed(checkpoints["llama"], tmp_path / "same", file, {}))
    assert PlainFolder.find(changed(checkpoints["llama"], tmp_path / "other", file, change)) is None


def test_missing_weights_are_named(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    more = changed(checkpoints["llama"], tmp_path / "model", "config.json", {"num_hidden_layers": 4})
    with pytest.raises(ModelError, match=r"lacks the weights \['model.layers.3"):
        plain_folder(more).weights(torch.device("cpu"), "auto")


def test_answering_with_the_pocket_model_loads_no_transformers() -> None:
    program = (
        "import sys\n"
        "from rstar_math import RStarMathModel\n"
        "with RStarMathModel.from_pretrained('pocket') as model:\n"
        "    assert model.solve_with_mcts('What is 2 + 3?', num_simulations=1).cost.tokens_scored\n"
        "sys.exit('transformers' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("architecture", "change", "known"),
    [
        ("llama", {}, True),
        ("qwen2", {}, True),
        ("phi3", {}, True),
        ("phi3", {"sliding_window": 8}, False),
        ("phi3", {"sliding_window": 4096}, True),
        ("mistral", {}, False),
    ],
)
def test_which_models_the_packed_decoder_takes(
    architecture: str, change: dict[str, Any], known: bool, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(checkpoints[architecture], tmp_path / "m", "config.json", change)
    assert (LlamaWeights.of_model(AutoModelForCausalLM.from_pretrained(folder)) is not None) == known
