"""Model folders that are missing, incomplete or unfit are refused with a message that says what to do."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tokenizers import Regex, pre_tokenizers

from rstar_math import steps
from rstar_math.engines.torch.loading import check_tokenizer, load_engine
from rstar_math.errors import ModelError
from rstar_math.types import SamplingParams
from tests.engines.tiny_checkpoints import make_tokenizer, save_checkpoint


def test_a_good_folder_loads_and_answers(checkpoints: dict[str, Path]) -> None:
    engine = load_engine(checkpoints["llama"], device="cpu")

    async def run() -> int:
        generation = await engine.generate(steps.prompt("1 + 1?"), SamplingParams(n=2, max_tokens=3))
        await engine.aclose()
        return len(generation.completions)

    assert asyncio.run(run()) == 2


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("", r"does not exist"),
        ("config.json", r"no config\.json"),
        ("model.safetensors", r"no weights"),
        ("tokenizer.json", r"no tokenizer"),
    ],
)
def test_incomplete_folders(checkpoints: dict[str, Path], tmp_path: Path, missing: str, message: str) -> None:
    folder = tmp_path / "model"
    if missing:
        shutil.copytree(checkpoints["llama"], folder)
        (folder / missing).unlink()
    with pytest.raises(ModelError, match=message):
        load_engine(folder, device="cpu")


def test_damaged_weights(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoints["llama"], folder)
    (folder / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_engine(folder, device="cpu")


def test_missing_markers_are_named(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "model", "llama", markers=steps.MARKERS[:-1])
    with pytest.raises(ModelError, match=f"no token {steps.END_OF_ANSWER}"):
        load_engine(folder, device="cpu")
    engine = load_engine(folder, device="cpu", allow_text_markers=True)
    asyncio.run(engine.aclose())


def test_a_replaced_pre_tokenizer_is_noticed(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """AutoTokenizer gives qwen2 models the pre-tokenizer of Qwen2, whatever tokenizer.json says."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoints["qwen2"], folder)
    check_tokenizer(folder)  # saved with the very pre-tokenizer that AutoTokenizer puts in place
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n*[^\n.?]+[.?]?"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="replaces the pre-tokenizer"):
        load_engine(folder, device="cpu")
