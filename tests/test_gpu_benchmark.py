"""perf/gpu.py on the CPU with a tiny shape: its code runs, its section is written, and it invents no numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.scripts import ROOT, loaded_script

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu() -> Iterator[ModuleType]:
    with loaded_script(ROOT / "perf" / "gpu.py") as module:
        yield module


def test_every_figure_is_measured_on_a_tiny_shape(gpu: ModuleType) -> None:
    figures = gpu.measure(CPU, gpu.SHAPE_TINY, gpu.SMALL)
    assert [(f.model, f.what) for f in figures] == [
        (model, what) for model in ("tiny shape", "pocket") for what in ("search", "SFT", "PPM training")
    ]
    assert all(f.tokens_per_second > 0 and f.share > 0 for f in figures)
    text = gpu.table(CPU, figures, is_rehearsal=True)
    assert "rehearsal, no result" in text
    assert text.count("| pocket |") == 3


def test_what_does_not_fit_is_said(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for name in ("sft_speed", "ppm_speed"):
        monkeypatch.setattr(gpu, name, too_large)
    monkeypatch.setattr(gpu, "search_speed", lambda *_: (100.0, 1_000, 4))
    text = gpu.table(CPU, gpu.measure(CPU, gpu.SHAPE_TINY, gpu.SMALL), is_rehearsal=True)
    assert text.count("| does not fit | - |") == 4
    assert text.count("| search | 100 |") == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: it would be measured")
def test_without_a_gpu_nothing_is_measured(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.md"
    path.write_text("# Results\n\nBefore.\n")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--write", str(path)])
    gpu.main()
    gpu.main()  # the section is replaced, not doubled
    assert "not measured: no GPU at hand" in capsys.readouterr().out
    text = path.read_text()
    assert text.startswith("# Results\n\nBefore.\n")
    assert text.count("not measured") == text.count("<!-- perf/gpu.py -->") == 1
    assert "tokens/s" not in text


def test_the_shape_is_that_of_the_model(gpu: ModuleType) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("qwen2", **gpu.SHAPE_7B)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in model.parameters()) == 7_615_616_512
