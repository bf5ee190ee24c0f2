"""Trackers: TensorBoard's files hold every step; without a key nothing is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("tensorboard", reason="extra `train` is not installed: trackers are not tested")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.training.test_ppm import make_pairs
from tests.training.test_sft import make_examples

from rstar_math.config import PPMSettings, SFTSettings
from rstar_math.errors import ModelError
from rstar_math.training.ppm import train_ppm
from rstar_math.training.processes import Processes
from rstar_math.training.sft import train_sft
from rstar_math.training.trackers import tracked

CPU = torch.device("cpu")
PLAIN = {"learning_rate": 3e-3, "batch_size": 4, "max_length": 240, "dtype": "float32", "trackers": ["tensorboard"]}


def scalars(folder: Path) -> dict[str, list[Any]]:
    """(step, value) of every event, by tag."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_hears_of_every_step(tiny_checkpoint: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, float]] = []
    train_sft(
        tiny_checkpoint, make_examples(6), SFTSettings.model_validate(PLAIN | {"num_steps": 3}), tmp_path / "policy", 1,
        lambda step, num_steps, loss, tokens: heard.append((step, loss)), CPU,
    )  # fmt: skip
    found = scalars(tmp_path / "tensorboard" / "policy")
    assert sorted(found) == ["gradient_norm", "learning_rate", "loss", "num_tokens"]
    assert found["loss"] == [(step, pytest.approx(loss, rel=1e-6)) for step, loss in heard]
    assert [value for _, value in found["learning_rate"]] == pytest.approx([3e-3, 2e-3, 1e-3])
    assert all(value > 0 for _, value in found["gradient_norm"])


def test_tensorboard_hears_of_evaluations(tiny_checkpoint: Path, tmp_path: Path) -> None:
    chosen = PPMSettings.model_validate(PLAIN | {"num_epochs": 1, "evals_per_epoch": 1})
    report = train_ppm(tiny_checkpoint, make_pairs(range(4)), make_pairs(range(40, 42)), chosen, tmp_path / "ppm", 1)
    found = scalars(tmp_path / "tensorboard" / "ppm")
    assert found["held_out_loss"] == [(1, pytest.approx(report.held_out_loss))]
    assert found["pair_accuracy"] == [(1, pytest.approx(report.pair_accuracy))]


def test_wandb_gets_the_project_and_the_end_of_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[Any] = []

    class Fake:
        def __init__(self, project: str, **options: Any) -> None:
            told.append((project, options))

        def start(self) -> None: ...

        def log(self, values: dict[str, float], step: int) -> None:
            told.append((step, values))

        def finish(self) -> None:
            told.append("finished")

    monkeypatch.setattr("accelerate.tracking.LOGGER_TYPE_TO_CLASS", {"wandb": Fake})
    settings = SFTSettings(num_steps=1, trackers=("wandb",))
    with tracked(settings, tmp_path / "run" / "round-1" / "policy", Processes(CPU)) as log:
        assert log is not None
        log(1, {"loss": 0.5})
    assert told == [("rstar-math", {"name": "run/round-1/policy"}), (1, {"loss": 0.5}), "finished"]


def test_nothing_is_told_without_the_key_or_by_another_process(tmp_path: Path) -> None:
    with tracked(SFTSettings(num_steps=1), tmp_path / "policy", Processes(CPU)) as log:
        assert log is None
    other = Processes(CPU)
    other.index = 1
    with tracked(SFTSettings(num_steps=1, trackers=("tensorboard",)), tmp_path / "policy", other) as log:
        assert log is None
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    settings = SFTSettings(num_steps=1, trackers=("wandb",))
    with pytest.raises(ModelError, match=r"trackers: \[wandb\] needs the package wandb; pip install"):
        with tracked(settings, tmp_path / "policy", Processes(CPU)):
            pass
