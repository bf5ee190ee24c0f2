"""Models from and to ordinary Hugging Face folders: weights as safetensors, config, tokenizer.

A folder appears under its name only when it is whole: it is written beside it, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from rstar_math.errors import ModelError
from rstar_math.store.files import make_folder
from rstar_math.store.paths import require_folder, writing

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_AutoClass = type[AutoModelForCausalLM] | type[AutoModelForSequenceClassification]


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder.

    Raises:
      ModelError: there is no such folder, or no tokenizer in it.
    """
    _require_model_folder(folder)
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no tokenizer that transformers can load: {error}") from error


def load_causal_lm(folder: Path, device: torch.device) -> PreTrainedModel:
    """The causal language model of a folder, in float32: optimiser steps are too small for 16-bit weights.

    Raises:
      ModelError: there is no such folder, or weights are missing in it.
    """
    return _load(AutoModelForCausalLM, folder, device)


def load_reward_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """A trained reward model (one scalar per sequence), in float32.

    Raises:
      ModelError: there is no such folder, or its weights lack the scalar head (which transformers would otherwise
        initialise at random).
    """
    model = _load(AutoModelForSequenceClassification, folder, device)
    if model.config.num_labels != 1:
        raise ModelError(f"{folder} has {model.config.num_labels} labels; a reward model has one scalar output")
    return model


def reward_model_from_policy(policy: Path, pad_token_id: int, device: torch.device) -> PreTrainedModel:
    """A reward model with the policy's weights and a fresh scalar head, drawn from N(0, 0.02) by torch's generator.

    Raises:
      ModelError: as `load_causal_lm`; or the architecture has no sequence-classification form with a `score` head.
    """
    language_model = load_causal_lm(policy, torch.device("cpu"))
    config = language_model.config
    config.num_labels = 1
    config.pad_token_id = pad_token_id
    try:
        made: PreTrainedModel = AutoModelForSequenceClassification.from_config(
            config, dtype=torch.float32, attn_implementation=config._attn_implementation
        )
    except ValueError as error:
        raise ModelError(f"{policy}: no reward model can be made of a {config.model_type} model: {error}") from error
    head = getattr(made, "score", None)
    if not isinstance(head, torch.nn.Linear):
        raise ModelError(f"{policy}: a {config.model_type} classifier has no linear head named `score`")
    made.base_model.load_state_dict(language_model.base_model.state_dict())
    torch.nn.init.normal_(head.weight, std=0.02)
    if head.bias is not None:
        torch.nn.init.zeros_(head.bias)
    return _on(made, device)


def pad_token_id_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id to pad with: the padding token, else the end of sequence, else 0 (padding is masked in any case)."""
    for token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return int(token_id)
    return 0


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes weights, config and tokenizer into an existing folder.

    Raises:
      PathError: the folder cannot be written to.
      DiskFullError: there is no room.
    """
    with writing(folder):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write in that becomes `out` at the end, and only if nothing failed; replaces what `out` held.

    What an earlier, killed attempt left beside `out` is removed first.

    Raises:
      PathError: the folder cannot be written to.
      DiskFullError: there is no room; `out` holds what it held before.
    """
    require_folder(out)
    make_folder(out.parent)
    partial = out.parent / f".{out.name}.partial"
    replaced = out.parent / f".{out.name}.replaced"
    with writing(out):
        if replaced.exists() and not out.exists():  # killed between the two renames
            replaced.rename(out)
        for leftover in (partial, replaced):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir()
    try:
        yield partial
        with writing(out):
            for path in sorted(partial.rglob("*")):
                if path.is_file():
                    _sync(path)
            if out.exists():
                out.rename(replaced)
            try:
                partial.rename(out)
            except OSError:
                if replaced.exists():
                    replaced.rename(out)
                raise
            _sync(out.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if replaced.exists():
        with writing(out):
            shutil.rmtree(replaced)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps transformers from drawing progress bars of its own while weights are read or written."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _load(auto_class: _AutoClass, folder: Path, device: torch.device) -> PreTrainedModel:
    _require_model_folder(folder)
    try:
        with quiet_transformers():
            found: Any = auto_class.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        # a damaged file: safetensors, json and torch each have words of their own
        raise ModelError(f"{folder} holds no model that transformers can load: {str(error)[:400]}") from error
    loaded, loading = found
    if loading["missing_keys"]:
        raise ModelError(f"{folder} lacks the weights {sorted(loading['missing_keys'])[:5]}; is it the right model?")
    return _on(loaded, device)


def _on(model: Any, device: torch.device) -> PreTrainedModel:
    """The model on the device. Its own `to` has no usable type in transformers."""
    moved: PreTrainedModel = model.to(device)
    return moved


def _require_model_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
