"""Checkpoints inside a training: what was killed goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.training.test_ppm import make_pairs
from tests.training.test_sft import make_examples

from rstar_math.config import PPMSettings, SFTSettings
from rstar_math.training.checkpoints import checkpoint_folder
from rstar_math.training.loop import Progress
from rstar_math.training.ppm import train_ppm
from rstar_math.training.sft import train_sft

CPU = torch.device("cpu")
PLAIN: dict[str, Any] = {"learning_rate": 3e-3, "batch_size": 4, "max_length": 240, "dtype": "float32", "dropout": 0.1}


class Killed(Exception): ...


def sft(base: Path, out: Path, hear: Progress) -> object:
    chosen = SFTSettings.model_validate(PLAIN | {"num_steps": 7, "save_steps": 2})
    return train_sft(base, make_examples(6), chosen, out, 3, hear, CPU)


def ppm(base: Path, out: Path, hear: Progress) -> object:
    chosen = PPMSettings.model_validate(
        PLAIN | {"num_epochs": 4, "early_stopping": True, "evals_per_epoch": 1, "save_steps": 2}
    )
    report = train_ppm(base, make_pairs(range(10, 16)), make_pairs(range(40, 42)), chosen, out, 3, hear, CPU)
    return report.evaluations, report.best_step, report.held_out_loss, report.num_tokens


@pytest.mark.parametrize("train", [sft, ppm])
def test_a_killed_training_goes_on_from_its_checkpoint(
    train: Callable[[Path, Path, Progress], object], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    whole: list[tuple[int, int, float, int]] = []
    made = train(tiny_checkpoint, tmp_path / "whole", lambda *event: whole.append(event))

    def kill(step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(tiny_checkpoint, tmp_path / "model", kill)
    assert not (tmp_path / "model").exists()
    (checkpoints,) = tmp_path.glob(".model.*.checkpoints")
    assert [p.name for p in checkpoints.iterdir()] == ["step-4"]
    (checkpoints / "step-9.partial").mkdir()  # killed while one was written

    rest: list[tuple[int, int, float, int]] = []
    again = train(tiny_checkpoint, tmp_path / "model", lambda *event: rest.append(event))
    assert rest == whole[4:]  # to the last bit, dropout included
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "model")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "whole"]
    if train is ppm:
        assert again == made


def test_checkpoints_of_another_training_are_not_gone_on_from(tmp_path: Path) -> None:
    bases = [save_checkpoint(tmp_path / f"base-{seed}", "qwen2", seed=seed) for seed in (0, 1)]
    settings, out = SFTSettings(num_steps=5), tmp_path / "policy"
    rows = [("a", (1, 2)), ("b", (3,))]
    here = checkpoint_folder(out, settings, bases[0], rows, 3)
    assert here == checkpoint_folder(out, settings, bases[0], list(rows), 3)
    assert here.parent == out.parent
    others = [
        checkpoint_folder(out, settings, bases[1], rows, 3),
        checkpoint_folder(out, settings, bases[0], [("a", (1, 2)), ("b", (4,))], 3),
        checkpoint_folder(out, settings, bases[0], rows, 4),
        checkpoint_folder(out, SFTSettings(num_steps=5, learning_rate=1e-3), bases[0], rows, 3),
    ]
    save_checkpoint(bases[0], "qwen2", seed=2)  # in the same place, of the same size
    others.append(checkpoint_folder(out, settings, bases[0], rows, 3))
    assert len({here, *others}) == 6
