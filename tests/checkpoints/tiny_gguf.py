"""Tiny GGUF files, written as llama.cpp's converter writes them, and the models that they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.engines.tiny_checkpoints import make_tokenizer

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
PRE_TOKENIZERS = {"llama": "smollm", "qwen2": "qwen2", "qwen3": "qwen2"}


def make_model(architecture: str) -> PreTrainedModel:
    """A random model of two layers, whose rows are whole blocks of the quantised types."""
    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(make_tokenizer(())),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        initializer_range=0.3,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        tie_word_embeddings=architecture == "llama",
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    weight.add_(torch.randn(weight.shape) * 0.2)  # otherwise ones and zeros: any mistake would fit
    made: PreTrainedModel = model.eval()
    return made


def write_gguf(
    path: Path,
    model: Any,
    kind: Kind = Kind.F32,
    *,
    architecture: str | None = None,
    pre: str | None = None,
    bos: bool = False,
    extra: dict[str, np.ndarray] | None = None,
) -> Path:
    """Writes a model: matrices in `kind`, vectors in float32; `bos` makes "<pad>" the token that texts begin with."""
    config, tokenizer = model.config, make_tokenizer(())
    writer = gguf.GGUFWriter(path, architecture or config.model_type)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim if config.model_type == "qwen3" else config.hidden_size // 4)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre or PRE_TOKENIZERS[config.model_type])
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if index < 2 else 1 for _, index in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    if bos:
        writer.add_bos_token_id(0)
        writer.add_add_bos_token(True)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = weight.numpy()
        if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            values = values.reshape(heads, 2, -1, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
        own = kind if values.ndim == 2 else Kind.F32
        writer.add_tensor(_name(name), gguf.quantize(values, own), raw_dtype=own)
    for name, values in (extra or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _name(name: str) -> str:
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem, _, suffix = name.rpartition(".")
    if stem in whole:
        return f"{whole[stem]}.{suffix}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_NAMES[part]}.{suffix}"
