"""Weights of 8 bits: near to the products they stand for, and the same whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rstar_math.config import RuntimeSettings
from rstar_math.engines.open import open_policy, open_reward_model
from rstar_math.engines.torch.eight_bit import EightBitWeight, product
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.errors import EngineError, ModelError
from tests.engines.test_torch_engine import PROMPTS, generate, sampled
from tests.engines.tiny_checkpoints import save_checkpoint


def test_products_are_near() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(33, 96, generator=generator), torch.randn(48, 96, generator=generator)
    x[3] *= 1_000  # an outlier has its own scale
    weight[5] *= 100
    bias = torch.randn(48, generator=generator)
    exact, found = product(x, weight, bias), product(x, EightBitWeight.of(weight), bias)
    assert EightBitWeight.of(weight).shape == weight.shape
    size = exact.abs().mean(-1, keepdim=True)
    assert float(((found - exact).abs() / size).mean()) < 0.02
    assert not torch.equal(found, exact)


def test_rows_do_not_depend_on_each_other() -> None:
    generator = torch.Generator().manual_seed(1)
    x, weight = torch.randn(70, 96, generator=generator), torch.randn(48, 96, generator=generator)
    small = EightBitWeight.of(weight)
    whole = product(x, small)
    for rows in (slice(0, 1), slice(3, 20), slice(6, 70)):
        assert torch.equal(product(x[rows], small), whole[rows])


def test_a_row_of_zeros_stays_one() -> None:
    found = product(torch.zeros(2, 8), EightBitWeight.of(torch.zeros(4, 8)))
    assert torch.equal(found, torch.zeros(2, 4))


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_an_engine_writes_nearly_the_same(checkpoints: dict[str, Path], architecture: str) -> None:
    """A few tokens of random weights: log-probabilities of what both take differ little."""
    engines = [
        TorchEngine.from_pretrained(checkpoints[architecture], device="cpu", dtype=d) for d in ("float32", "int8")
    ]
    asked = [(prompt, sampled(n=1, temperature=0.0, max_tokens=1)) for prompt in PROMPTS]
    exact, found = (generate(engine, asked) for engine in engines)
    pairs = [(a.completions[0], b.completions[0]) for a, b in zip(exact, found, strict=True)]
    same = [(a, b) for a, b in pairs if a.text == b.text]
    assert len(same) >= len(pairs) - 1
    differences = [abs((a.logprob or 0) - (b.logprob or 0)) for a, b in same]
    assert 0 < max(differences) < 0.3


def test_deterministic_mode_takes_it(checkpoints: dict[str, Path]) -> None:
    engine = TorchEngine.from_pretrained(checkpoints["llama"], device="cpu", dtype="int8", deterministic=True)
    asked = [(prompt, sampled(n=3, max_tokens=6)) for prompt in PROMPTS]
    together = generate(engine, asked)
    assert [generate(engine, [each])[0] for each in asked] == together


def test_where_it_does_not_run_it_says_so(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=r"int8 is for Llama-like models .* and this is mistral; use bfloat16"):
        open_policy(checkpoints["mistral"], RuntimeSettings(dtype="int8"))
    with pytest.raises(EngineError, match="int8 is for CPUs, and the device is meta"):
        TorchEngine.from_pretrained(checkpoints["llama"], device="meta", dtype="int8")
    with pytest.raises(ModelError, match=r"int8 is for runtime\.engine: torch"):
        open_policy(checkpoints["llama"], RuntimeSettings(dtype="int8", engine="vllm"))


def test_reward_models_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rstar_math.engines.torch import loading

    asked = []
    monkeypatch.setattr(loading, "load_torch_reward_model", lambda folder, **how: asked.append(how["dtype"]))
    folder = save_checkpoint(tmp_path / "ppm", "llama", num_labels=1)
    open_reward_model(folder, RuntimeSettings(dtype="int8"))
    open_reward_model(folder, RuntimeSettings(dtype="bfloat16"))
    assert asked == ["float32", "bfloat16"]
