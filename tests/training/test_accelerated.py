"""Several processes train as one does: the same losses and weights, over gloo on CPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate", reason="extra `train` is not installed: several processes are not tested")

from safetensors.torch import load_file
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.training import launched
from tests.training.launched import CPU, Losses

from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import SFTSettings
from rstar_math.training.launch import launch

ROOT = Path(__file__).parents[2]
MICRO = {"micro_batch_size": 2}


def in_two_processes(
    base: Path, folder: Path, settings: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, forced: bool = False
) -> tuple[Losses, list[str], list[tuple[int, int]]]:
    """Losses, classes that were sharded, and the steps that were told of."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    heard: list[tuple[int, int]] = []
    two = SFTSettings(num_steps=1, num_processes=2)
    losses, sharded = launch(
        launched.train_all, (base, folder, settings, forced), two, CPU,
        lambda step, num_steps, loss, tokens: heard.append((step, num_steps)),
    )  # fmt: skip
    return losses, sharded, heard


def in_one(base: Path, folder: Path, settings: dict[str, dict[str, Any]]) -> Losses:
    return launched.train_all(base, folder, settings, False, None)[0]


def check_same(one: Path, two: Path, names: list[str], tolerance: float) -> None:
    for name in names:
        weights = [load_file(folder / name / "model.safetensors") for folder in (one, two)]
        assert weights[0].keys() == weights[1].keys()
        for key, value in weights[0].items():
            assert torch.allclose(value, weights[1][key], atol=tolerance), (name, key)


def test_two_processes_train_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 5 rows and of 3 problems, in passes of 2: neither can be divided evenly."""
    base = save_checkpoint(tmp_path / "base", "qwen2")
    settings: dict[str, dict[str, Any]] = {"sft": MICRO, "ppm": MICRO | {"gradient_checkpointing": True}}
    one = in_one(base, tmp_path / "one", settings)
    two, _, heard = in_two_processes(base, tmp_path / "two", settings, monkeypatch)
    assert one["sft"][0] > one["sft"][-1] + 0.1  # it learns
    for kind in ("sft", "ppm"):
        assert two[kind] == pytest.approx(one[kind], abs=1e-5)
    assert heard == [(step, 4) for step in range(1, 5)] + [(step, 3) for step in range(1, 4)]
    check_same(tmp_path / "one", tmp_path / "two", ["sft", "ppm"], 1e-4)
    logits = [[p.logit for p in read_ppm_file(tmp_path / name / "ppm").probes] for name in ("one", "two")]
    assert logits[0] == pytest.approx(logits[1], abs=1e-4)


@pytest.mark.slow
def test_sharded_processes_train_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FSDP2: whole weights in the folders that the first writes, adapters merged, a stopped training taken up."""
    base = save_checkpoint(tmp_path / "base", "qwen2")
    lora = {"lora": {"rank": 4, "alpha": 8}}
    settings: dict[str, dict[str, Any]] = {
        "sft": MICRO, "orm": MICRO | {"gradient_checkpointing": True}, "sft-lora": lora, "ppm-lora": lora,
        "resumed": {"save_steps": 3},
    }  # fmt: skip
    one = in_one(base, tmp_path / "one", settings)
    two, sharded, _ = in_two_processes(base, tmp_path / "two", settings, monkeypatch, forced=True)
    assert {"Qwen2DecoderLayer", "Qwen2ForCausalLM", "Scorer"} <= set(sharded)
    for kind, losses in one.items():
        assert two[kind] == pytest.approx(losses, abs=1e-4), kind
    check_same(tmp_path / "one", tmp_path / "two", list(settings), 1e-4)
    assert two["resumed"][4:] == pytest.approx(two["resumed"][3:4], abs=1e-6)  # the last step alone was done again
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(settings)  # no checkpoint is left
