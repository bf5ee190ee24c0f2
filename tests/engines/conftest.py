"""Checkpoints of the engine tests, made once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.engines.tiny_checkpoints import ARCHITECTURES, save_checkpoint

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of random causal LMs by architecture; mistral is one that runs through transformers."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: save_checkpoint(root / name, name) for name in ARCHITECTURES}


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP engine waits a moment where it would wait for seconds."""
    from rstar_math.engines.http import engine as http_engine

    monkeypatch.setattr(http_engine, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(http_engine, "LONGEST_PAUSE_S", 0.002)
