"""bfloat16 on a CPU that would emulate it: trained in float32 instead, said once, and reported."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.training.test_sft import make_examples

from rstar_math.config import SFTSettings
from rstar_math.training import device
from rstar_math.training.sft import train_sft

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def emulating(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: False)
    device._tell_of_float32.cache_clear()
    yield
    device._tell_of_float32.cache_clear()


def settings(dtype: str = "bfloat16") -> SFTSettings:
    return SFTSettings.model_validate({"num_steps": 1, "batch_size": 2, "max_length": 240, "dtype": dtype})


def test_it_is_said_once(emulating: None, caplog: pytest.LogCaptureFixture) -> None:
    assert settings().dtype == SFTSettings(num_steps=1).dtype  # the default
    with caplog.at_level(logging.WARNING):
        assert device.arithmetic_dtype(settings("float32"), CPU) == torch.float32
        assert device.arithmetic_dtype(settings(), CUDA) == torch.bfloat16
        assert caplog.messages == []
        assert [device.arithmetic_dtype(settings(), CPU) for _ in range(3)] == [torch.float32] * 3
    (message,) = caplog.messages
    assert "training in float32 instead" in message


def test_a_cpu_that_has_it_uses_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: True)
    device._tell_of_float32.cache_clear()
    assert device.arithmetic_dtype(settings(), CPU) == torch.bfloat16
    assert caplog.messages == []


def test_the_report_names_what_was_used(
    emulating: None, tiny_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings()
    report = train_sft(tiny_checkpoint, make_examples(3), chosen, tmp_path / "policy", 1, None, CPU)
    assert report.dtype == "float32"
    assert sum("float32 instead" in message for message in caplog.messages) == 1


def test_bfloat16_trains_close_to_float32(
    monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """In bfloat16 (emulated here if need be) the loss is that of float32 to the three digits that bfloat16 has."""
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: True)
    losses = {}
    for dtype in ("float32", "bfloat16"):
        chosen = settings(dtype)
        report = train_sft(tiny_checkpoint, make_examples(3), chosen, tmp_path / dtype, 1, None, CPU)
        assert report.dtype == dtype
        losses[dtype] = report.first_loss
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=1e-2)


def test_bfloat16_needs_a_cpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_it, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda has_it=has_it: has_it)
        assert device.arithmetic_dtype(settings(), CPU) == expected
        assert device.arithmetic_dtype(settings("float32"), CPU) == torch.float32
    assert device.arithmetic_dtype(settings(), torch.device("cuda")) == torch.bfloat16
