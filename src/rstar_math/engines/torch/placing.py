"""A model's folder becomes a model on a device: which device, in which arithmetic, read by whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.weights import LlamaWeights, PlainFolder
from rstar_math.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def choose_device(device: str) -> torch.device:
    """The torch device that a name stands for; "auto" takes CUDA, else MPS, else the CPU."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype | str:
    """The dtype that a name stands for; "auto" is float32 on the CPU, and the checkpoint's own elsewhere.

    Raises:
      EngineError: there is no such dtype.
    """
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise EngineError(f"unknown dtype {dtype!r}; use auto, {', '.join(known)}")
    return known[dtype]


def use_one_thread() -> None:
    """Lets torch compute with one thread in this process, from now on: several may split the work in another way."""
    torch.set_num_threads(1)


def load_model(
    path: Path, auto_class: str, device: torch.device, dtype: torch.dtype | str
) -> tuple[PreTrainedModel | LlamaWeights, TokenCodec]:
    """The model of a folder with its tokenizer: its weights alone where transformers is not needed to read it.

    Args:
      path: the folder.
      auto_class: the class of transformers that loads it where it is.
      device: where the model shall be.
      dtype: of its weights; "auto" as they are stored.
    """
    if (plain := PlainFolder.find(path)) is not None:
        return plain.weights(device, dtype), plain.codec()
    import transformers

    from rstar_math.checkpoints.folder import quiet_transformers

    with quiet_transformers():
        model = getattr(transformers, auto_class).from_pretrained(path, dtype=dtype, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    return model.to(device).eval(), TokenCodec.for_model(tokenizer, model)
