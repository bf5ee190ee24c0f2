"""Model folders: are they whole and fit for the step format, and the engine or reward model that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rstar_math import steps
from rstar_math.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rstar_math.engines.torch.engine import TorchEngine
    from rstar_math.engines.torch.reward_model import TorchRewardModel

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")

_PROBE = (
    steps.prompt("Ann's 12 apples cost $3.50; what's 7% of that, rounded to 2 digits?")
    + "\n# Step 1: it's 12345 * 0.07\ntotal = [x**2 for x in range(10)]\n    if a_b != 'don\\'t':\n\t\tpass\n"
    + steps.END_OF_STEP
)
"""Text on which pre-tokenizers differ: digits, apostrophes, indentation, punctuation, markers."""


def load_engine(
    spec: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_batch_rows: int = 256,
    deterministic: bool = False,
    allow_text_markers: bool = False,
) -> TorchEngine:
    """Loads the policy of a folder after checking that it can write the step format.

    Args:
      spec: a folder that `AutoModelForCausalLM` and `AutoTokenizer` can read.
      device, dtype, max_batch_rows, deterministic: see `TorchEngine`.
      allow_text_markers: accept a tokenizer that does not know the markers; it writes them as plain text.

    Raises:
      ModelError: the folder is missing or incomplete, or its tokenizer is unfit.
    """
    folder = check_folder(spec)
    _check_tokenizer(folder, allow_text_markers)

    from rstar_math.engines.torch.engine import TorchEngine

    try:
        return TorchEngine.from_pretrained(
            folder, device=device, dtype=dtype, max_batch_rows=max_batch_rows, deterministic=deterministic
        )
    except Exception as error:  # damaged files raise whatever their reader does
        raise ModelError(f"{folder} cannot be loaded as a causal language model: {error}") from error


def load_torch_reward_model(
    spec: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    deterministic: bool = False,
    allow_text_markers: bool = False,
) -> TorchRewardModel:
    """Loads the reward model of a folder after checking that it is whole, and that its probes get their logits.

    Args:
      spec: a folder that `AutoModelForSequenceClassification` and `AutoTokenizer` can read, with `ppm.json`.
      device, dtype, deterministic: see `TorchRewardModel.from_pretrained`.
      allow_text_markers: accept a tokenizer that does not know the markers.

    Raises:
      ModelError: the folder is missing or incomplete, or not the model that was saved.
    """
    folder = check_folder(spec)
    _check_tokenizer(folder, allow_text_markers)

    from rstar_math.engines.torch.reward_model import TorchRewardModel

    try:
        return TorchRewardModel.from_pretrained(folder, device=device, dtype=dtype, deterministic=deterministic)
    except ModelError:
        raise
    except Exception as error:  # damaged files raise whatever their reader does
        raise ModelError(f"{folder} cannot be loaded as a reward model: {error}") from error


def check_folder(spec: str | Path) -> Path:
    """The folder of a model, after checking that configuration, weights and tokenizer are in it.

    Raises:
      ModelError: it is missing, or something is missing in it.
    """
    folder = Path(spec)
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist; give a folder written by `save_pretrained`")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json, so it is no model folder; `save_pretrained` writes one")
    if not any(path for pattern in _WEIGHTS for path in folder.glob(pattern)):
        raise ModelError(f"{folder} has no weights (model.safetensors); copy the whole folder")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(f"{folder} has no tokenizer (tokenizer.json); save the tokenizer into the same folder")
    return folder


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a LoRA adapter of peft in place of a whole model."""
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def check_tokenizer(folder: Path, *, allow_text_markers: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder as transformers loads it, if it knows the markers and encodes as its file says.

    Raises:
      ModelError: a marker is no token, or `AutoTokenizer` replaced the tokenizer's pre-tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # damaged files raise whatever their reader does
        raise ModelError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    if not allow_text_markers:
        _check_markers(folder, tokenizer.get_vocab())
    _check_ids(folder, tokenizer)
    return tokenizer


def _check_tokenizer(folder: Path, allow_text_markers: bool) -> None:
    """As `check_tokenizer`, without transformers where the engines do not need it for the folder."""
    from rstar_math.engines.torch.weights import PlainFolder

    try:
        plain = PlainFolder.find(folder)
        vocabulary = None if plain is None else plain.tokenizer.get_vocab()
    except Exception as error:  # damaged files raise whatever their reader does
        raise ModelError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    if vocabulary is None:
        check_tokenizer(folder, allow_text_markers=allow_text_markers)
    elif not allow_text_markers:
        _check_markers(folder, vocabulary)


def _check_markers(folder: Path, vocabulary: Mapping[str, int]) -> None:
    missing = [marker for marker in steps.MARKERS if marker not in vocabulary]
    if missing:
        raise ModelError(
            f"the tokenizer of {folder} has no token {missing[0]}"
            + (f" (nor {len(missing) - 1} more of the markers)" if len(missing) > 1 else "")
            + ". Train the model on the step format first (`rstar train sft` adds the markers), or say that it writes "
            "them as plain text (a model file with `bootstrap: none`, or `default` for worked examples)"
        )


def _check_ids(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compares with the file itself: AutoTokenizer puts a pre-tokenizer of its own in place for some model types."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    from tokenizers import Tokenizer

    expected = Tokenizer.from_file(str(path)).encode(_PROBE, add_special_tokens=False).ids
    found = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    if list(found) != expected:
        raise ModelError(
            f"AutoTokenizer does not encode as {path} says: it replaces the pre-tokenizer for the model type in "
            f"config.json, so the model would read other tokens than it was trained on. Save the model under another "
            f"model type (a qwen2 model is also a llama model with attention_bias), or train it with a tokenizer that "
            f"has the pre-tokenizer of its model type"
        )
