"""What a GGUF file says of itself, and whether its conversion to a model folder is known to be right.

Only the header is read. What transformers would read wrongly is refused here, because it says nothing: it leaves out
tensors that it does not know, and scaled rotary embeddings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.errors import ModelError

_LAYER = {f"{name}.weight" for name in ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm")}
_LAYER |= {f"{name}.weight" for name in ("ffn_gate", "ffn_up", "ffn_down")}
_BIASES = {f"attn_{name}.bias" for name in "qkv"}
_HEAD_NORMS = {"attn_q_norm.weight", "attn_k_norm.weight"}

ARCHITECTURES = {"llama": _LAYER, "qwen2": _LAYER | _BIASES, "qwen3": _LAYER | _HEAD_NORMS}
"""Architectures whose logits were compared with those of the model that the file was made of; tensors of a layer."""

SPLIT_DIGITS = ("smollm",)
"""Pre-tokenizers that cut off every digit before GPT-2's pattern, which transformers does not know."""

_PRE_TOKENIZERS = ("gpt-2", "qwen2", "deepseek-r1-qwen", *SPLIT_DIGITS)
_WITH_BOS = ("llama3", "llama-v3", "llama-bpe", "falcon3")
"""Pre-tokenizers whose texts begin with a token where the file does not say otherwise (llama.cpp)."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The header of a file.

    Attributes:
      path: the file.
      architecture: as it names it.
      pre_tokenizer: as it names it, or "".
      num_parameters: of all tensors.
      head_dim: of the attention, where the file says it.
      adds_bos: whether texts begin with the beginning-of-sequence token.
      bos_token_id: that token, or None.
      license: as the hub calls it, where the file says it.
      doubts: why the conversion was never compared with anything; empty where it was.
    """

    path: Path
    architecture: str
    pre_tokenizer: str
    num_parameters: int
    head_dim: int | None
    adds_bos: bool
    bos_token_id: int | None
    license: str | None
    doubts: tuple[str, ...]


def read_header(path: Path) -> GgufFile:
    """Reads the header of a file, and refuses what is known to come out wrong.

    Raises:
      ModelError: there is no such file, it is damaged or cut off, or its conversion is known to be wrong.
    """
    if not path.is_file():
        raise ModelError(f"no file {path}; give the path of a GGUF file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path} is no GGUF file: it does not begin with GGUF")
    from gguf import GGUFReader
    from transformers.integrations.gguf import reader

    try:
        keys, names = reader.read_gguf_metadata(str(path))
        tensors = GGUFReader(path).tensors  # looks at all bytes, and knows every type
    except Exception as error:  # damaged files raise whatever their reader does
        raise ModelError(f"{path} cannot be read as GGUF, it is damaged or cut off: {str(error)[:300]}") from error
    architecture = str(keys["general.architecture"])
    _require_plain_positions(path, architecture, keys, names)
    pre = str(keys.get("tokenizer.ggml.pre", ""))
    by_default = keys.get("tokenizer.ggml.model") == "llama" or pre in _WITH_BOS
    bos = keys.get("tokenizer.ggml.bos_token_id")
    return GgufFile(
        path=path,
        architecture=architecture,
        pre_tokenizer=pre,
        num_parameters=sum(int(t.n_elements) for t in tensors),
        head_dim=keys.get(f"{architecture}.attention.key_length"),
        adds_bos=bool(keys.get("tokenizer.ggml.add_bos_token", by_default)) and bos is not None,
        bos_token_id=None if bos is None else int(bos),
        license=None if (said := keys.get("general.license")) is None else str(said),
        doubts=tuple(_doubts(path, architecture, keys, names)),
    )


def _require_plain_positions(path: Path, architecture: str, keys: dict[str, Any], names: tuple[str, ...]) -> None:
    scaling = keys.get(f"{architecture}.rope.scaling.type", "none")
    factors = [name for name in names if name.startswith("rope_")]
    if scaling != "none" or factors:
        what = f"the tensor {factors[0]}" if factors else f"rope.scaling.type {scaling!r}"
        raise ModelError(
            f"{path}: its rotary embedding is scaled ({what}), which transformers leaves out of a GGUF file. "
            "Longer texts would come out wrong; serve the file with llama.cpp or Ollama and give the URL, or take "
            "the model's own folder"
        )


def _doubts(path: Path, architecture: str, keys: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """What of the file nobody compared.

    Raises:
      ModelError: tensors of a known architecture are not what it has, so that they would be left out or missing.
    """
    doubts = []
    if architecture not in ARCHITECTURES:
        doubts.append(f"the architecture {architecture} (compared: {', '.join(ARCHITECTURES)})")
    else:
        layers = range(int(keys.get(f"{architecture}.block_count", 0)))
        expected = {f"blk.{i}.{part}" for i in layers for part in ARCHITECTURES[architecture]}
        expected |= {"token_embd.weight", "output_norm.weight"}
        if wrong := sorted((expected ^ set(names)) - {"output.weight"}, key=_in_order):
            word = "lacks" if wrong[0] in expected else "has"
            raise ModelError(
                f"{path} {word} the tensor {wrong[0]}, unlike a plain {architecture} model"
                + (f" ({len(wrong)} such tensors)" if len(wrong) > 1 else "")
                + "; transformers would leave it out without a word. Serve the file with llama.cpp or Ollama and give "
                "the URL, or take the model's own folder"
            )
    kind, pre = keys.get("tokenizer.ggml.model"), keys.get("tokenizer.ggml.pre")
    if kind != "gpt2":
        doubts.append(f"the tokenizer {kind!r} (compared: 'gpt2')")
    elif pre not in _PRE_TOKENIZERS:
        doubts.append(f"the pre-tokenizer {pre!r} (compared: {', '.join(_PRE_TOKENIZERS)})")
    return doubts


def _in_order(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
