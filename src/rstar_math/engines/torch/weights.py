"""What `engines.torch.packed` runs: sizes and tensors of a Llama-like model, from transformers or from a folder.

Importing transformers' modelling code takes longer than answering a question at the pocket scale. A folder that holds
nothing but what the packed decoder knows is therefore read directly: `config.json`, one safetensors file, and a
tokenizer that is its `tokenizer.json` (`PlainFolder`). Everything else is loaded by transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

_KNOWN_MODEL_TYPES = ("llama", "qwen2", "phi3")
_KNOWN_ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings whose angles depend on the position alone, not on how long the sequence has become."""

_PLAIN_MODEL_TYPE = "llama"  # AutoTokenizer replaces the tokenizers of qwen2 models
_PLAIN_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
_TOKENIZER_CHANGES = ("auto_map", "add_bos_token", "add_eos_token", "added_tokens_decoder", "fix_mistral_regex")
"""Keys of `tokenizer_config.json` for which a tokenizer may differ from its `tokenizer.json`."""


@dataclass(frozen=True, eq=False, slots=True)
class LlamaWeights:
    """Sizes and tensors of a Llama-like model with its head.

    Attributes:
      num_heads, num_kv_heads, head_dim: of the attention.
      eps: of the norms.
      context_length: most tokens of a sequence.
      inverse_frequencies: `[head_dim / 2]` of the rotary embedding: position p turns pair i by p times this.
      rotation_scale: what the rotary embedding's sines and cosines are multiplied with.
      backbone: tensors by transformers' names, from `embed_tokens.weight` to `norm.weight`.
      head: `[V, D]` of a language model, `[labels, D]` of a classifier.
      head_bias: `[V]` or `[labels]`, or None.
    """

    num_heads: int
    num_kv_heads: int
    head_dim: int
    eps: float
    context_length: int
    inverse_frequencies: Tensor
    rotation_scale: float
    backbone: Mapping[str, Tensor]
    head: Tensor
    head_bias: Tensor | None

    @property
    def embedding(self) -> Tensor:
        """`[V, D]` of the tokens that are read."""
        return self.backbone["embed_tokens.weight"]

    @classmethod
    def of_model(cls, model: PreTrainedModel) -> LlamaWeights | None:
        """The weights of a causal LM or a sequence classifier; None where its forward pass is another."""
        config = model.config
        if config.model_type not in _KNOWN_MODEL_TYPES or config.hidden_act != "silu":
            return None
        rope = config.rope_parameters or {}
        if rope.get("rope_type", "default") not in _KNOWN_ROPE_TYPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
            return None
        sizes = _sizes(config.to_dict())
        window = getattr(config, "sliding_window", None)
        if config.model_type == "phi3" and window is not None and window < sizes["context_length"]:
            return None  # the others say by layer_types whether they look through it
        if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
            return None
        backbone: Any = model.model
        head: Any = getattr(model, "score", None) or model.get_output_embeddings()
        tensors = {name: tensor.detach() for name, tensor in backbone.state_dict().items()}
        return cls(
            **sizes,
            inverse_frequencies=backbone.rotary_emb.inv_freq.float(),
            rotation_scale=float(backbone.rotary_emb.attention_scaling),
            backbone=_taken_apart(tensors, sizes),
            head=head.weight.detach(),
            head_bias=None if head.bias is None else head.bias.detach(),
        )


@dataclass(frozen=True)
class PlainFolder:
    """A model folder that is read without transformers, with the same result.

    Attributes:
      path: the folder.
      config: content of `config.json`.
      tokenizer_config: content of `tokenizer_config.json`.
    """

    path: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]

    @classmethod
    def find(cls, path: Path) -> PlainFolder | None:
        """The folder, or None where anything in it needs transformers."""
        needed = ("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors")
        if not all((path / name).is_file() for name in needed):
            return None
        config, tokenizer = (json.loads((path / name).read_text(encoding="utf-8")) for name in needed[:2])
        rope = config.get("rope_parameters") or {}
        is_plain = (
            config.get("model_type") == _PLAIN_MODEL_TYPE
            and config.get("hidden_act") == "silu"
            and set(rope) == {"rope_theta", "rope_type"}
            and rope["rope_type"] == "default"
            and not {"quantization_config", "layer_types", "auto_map"} & set(config)
            and tokenizer.get("tokenizer_class") in _PLAIN_TOKENIZERS
            and not set(_TOKENIZER_CHANGES) & set(tokenizer)
        )
        return cls(path, config, tokenizer) if is_plain else None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.path / "tokenizer.json"))

    def codec(self) -> TokenCodec:
        """The tokenizer with the tokens that end a sequence."""
        path = self.path / "generation_config.json"
        generation = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        names = (self.tokenizer_config.get("eos_token"), self.tokenizer_config.get("pad_token"))
        eos, pad = (None if name is None else self.tokenizer.token_to_id(_content(name)) for name in names)
        return TokenCodec.for_tokenizer(self.tokenizer, eos, pad, (self.config, generation))

    def weights(self, device: torch.device, dtype: torch.dtype | str) -> LlamaWeights:
        """The weights, moved and converted.

        Args:
          device: where they shall be.
          dtype: what they shall be; "auto" as they are stored.

        Raises:
          ModelError: a tensor is missing.
        """
        from safetensors.torch import load_file

        stored = load_file(self.path / "model.safetensors")
        tensors = {
            name: tensor.to(device, tensor.dtype if isinstance(dtype, str) else dtype)
            for name, tensor in stored.items()
        }
        sizes = _sizes(self.config)
        backbone = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        is_classifier = any("SequenceClassification" in name for name in self.config.get("architectures") or ())
        name = "score.weight" if is_classifier else "lm_head.weight"
        if not is_classifier and self.config.get("tie_word_embeddings"):
            name = "model.embed_tokens.weight"
        expected = {name, "model.embed_tokens.weight", "model.norm.weight"}
        for i in range(self.config["num_hidden_layers"]):
            expected |= {f"model.layers.{i}.{part}.weight" for part in LAYER_PARTS}
        if missing := expected - set(tensors):
            raise ModelError(f"{self.path} lacks the weights {sorted(missing)[:5]}; is it the right model?")
        half = torch.arange(0, sizes["head_dim"], 2, dtype=torch.float32)
        theta = self.config["rope_parameters"]["rope_theta"]
        return LlamaWeights(
            **sizes,
            inverse_frequencies=(1.0 / theta ** (half / sizes["head_dim"])).to(device),
            rotation_scale=1.0,
            backbone=backbone,
            head=tensors[name],
            head_bias=tensors.get("score.bias") if is_classifier else None,
        )


LAYER_PARTS = (
    "input_layernorm",
    "post_attention_layernorm",
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)
"""Modules of a layer, by transformers' names."""


def _taken_apart(tensors: Mapping[str, Tensor], sizes: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors with projections that Phi3 holds in one under the names that the others have."""
    rows = [sizes[num] * sizes["head_dim"] for num in ("num_heads", "num_kv_heads", "num_kv_heads")]
    apart = {}
    for name, tensor in tensors.items():
        if "qkv_proj" in name:
            for part, rows_of_part in zip("qkv", tensor.split(rows), strict=True):
                apart[name.replace("qkv_proj", f"{part}_proj")] = rows_of_part
        elif "gate_up_proj" in name:
            for part, rows_of_part in zip(("gate", "up"), tensor.chunk(2), strict=True):
                apart[name.replace("gate_up_proj", f"{part}_proj")] = rows_of_part
        else:
            apart[name] = tensor
    return apart


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    num_heads = int(config["num_attention_heads"])
    return {
        "num_heads": num_heads,
        "num_kv_heads": int(config.get("num_key_value_heads") or num_heads),
        "head_dim": int(config.get("head_dim") or config["hidden_size"] // num_heads),
        "eps": float(config["rms_norm_eps"]),
        "context_length": int(config.get("max_position_embeddings") or 1 << 20),
    }


def _content(token: str | Mapping[str, Any]) -> str:
    return token if isinstance(token, str) else str(token["content"])
