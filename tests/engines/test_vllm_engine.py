"""The vLLM engine against a stand-in for vLLM's classes: what is asked for, and how answers are read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rstar_math.config import RuntimeSettings
from rstar_math.engines.choosing import open_policy
from rstar_math.engines.vllm_engine import VLLMEngine, VLLMScorer
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.training.ppm_file import PPMFile, Probe, write_ppm_file
from rstar_math.types import Completion, SamplingParams
from tests.engines.tiny_checkpoints import save_checkpoint


class _AsyncLLM:
    """As much of vLLM's engine as is used."""

    def __init__(self, arguments: Any) -> None:
        self.arguments, self.asked, self.is_shut = arguments, list[Any](), False
        self.model_config = SimpleNamespace(dtype="torch.float32")

    @classmethod
    def from_engine_args(cls, arguments: Any) -> _AsyncLLM:
        return cls(arguments)

    async def generate(self, prompt: str, params: Any, request_id: str, lora_request: Any = None) -> AsyncIterator[Any]:
        self.asked.append((params, request_id, lora_request))
        if prompt == "long":
            raise ValueError("The decoder prompt (length 9000) is longer than the maximum model length of 4096.")
        if prompt == "dead":
            raise RuntimeError("EngineCore died")
        stopped = SimpleNamespace(text="\nx = 1\n", stop_reason="<b>", token_ids=(1, 2, 3), cumulative_logprob=-1.5)
        ended = SimpleNamespace(text="\nx", stop_reason=None, token_ids=(1,), cumulative_logprob=None)
        yield SimpleNamespace(outputs=[stopped, ended], prompt_token_ids=[7] * 5)

    async def encode(self, prompt: str, params: Any, request_id: str) -> AsyncIterator[Any]:
        self.asked.append((params, request_id, None))

        class Data:
            def reshape(self, *_: int) -> list[float]:
                return [float(len(prompt))]

        yield SimpleNamespace(outputs=SimpleNamespace(data=Data()), prompt_token_ids=[7] * 4)

    def shutdown(self) -> None:
        self.is_shut = True


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(**values: Any) -> SimpleNamespace:
        return SimpleNamespace(**values)

    contents: dict[str, dict[str, Any]] = {
        "vllm": {"AsyncEngineArgs": record, "SamplingParams": record, "PoolingParams": record},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.async_llm": {"AsyncLLM": _AsyncLLM},
        "vllm.sampling_params": {"RequestOutputKind": SimpleNamespace(FINAL_ONLY="final")},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda *a: a},
    }
    for name, values in contents.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)


def test_a_request_is_put_and_its_answer_read(vllm: None, tmp_path: Path) -> None:
    engine = VLLMEngine.from_pretrained(tmp_path)
    params = SamplingParams(n=2, temperature=0.7, stop=("<a>", "<b>"), seed=2**40 + 9, max_tokens=11)
    generation = asyncio.run(engine.generate("p", params))
    assert generation.completions == (Completion("\nx = 1\n", "<b>", 3, -1.5), Completion("\nx", None, 1, 0.0))
    assert generation.num_prompt_tokens == 5
    inner = engine._engine
    asked, request_id, adapter = inner.asked[0]
    assert (asked.n, asked.seed, asked.stop, asked.max_tokens) == (2, 9, ["<a>", "<b>"], 11)
    assert asked.skip_special_tokens is False
    assert adapter is None
    assert inner.arguments.enable_prefix_caching is True
    asyncio.run(engine.generate("p", params))
    assert inner.asked[1][1] != request_id
    asyncio.run(engine.aclose())
    assert inner.is_shut


def test_errors_are_ours(vllm: None, tmp_path: Path) -> None:
    engine = VLLMEngine.from_pretrained(tmp_path)
    with pytest.raises(ContextLengthError, match="maximum model length"):
        asyncio.run(engine.generate("long", SamplingParams()))
    with pytest.raises(EngineError, match="EngineCore died"):
        asyncio.run(engine.generate("dead", SamplingParams()))


def test_an_adapter_brings_its_base(vllm: None, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/models/base", "r": 32}')
    engine = VLLMEngine.from_pretrained(tmp_path)
    assert engine._engine.arguments.model == "/models/base"
    assert (engine._engine.arguments.enable_lora, engine._engine.arguments.max_lora_rank) == (True, 32)
    asyncio.run(engine.generate("p", SamplingParams()))
    assert engine._engine.asked[0][2] == (tmp_path.name, 1, str(tmp_path))


def test_a_reward_model_gives_raw_logits_and_its_probes_are_checked(vllm: None, tmp_path: Path) -> None:
    write_ppm_file(tmp_path, PPMFile(5.0, (Probe("four", 4.0),)))
    scorer = VLLMScorer.from_pretrained(tmp_path)
    scores = asyncio.run(scorer.score(["ab", "abcde"]))
    assert [s.logit for s in scores] == [2.0, 5.0]
    assert scores[1].value == pytest.approx(0.76159, abs=1e-4)
    assert [s.num_tokens for s in scores] == [4, 4]
    assert all((p.task, p.use_activation) == ("classify", False) for p, _, _ in scorer._engine.asked)
    assert scorer._engine.arguments.runner == "pooling"
    write_ppm_file(tmp_path, PPMFile(5.0, (Probe("four", 0.98),)))  # as a sigmoid would make of it
    with pytest.raises(ModelError, match="activation"):
        asyncio.run(VLLMScorer.from_pretrained(tmp_path).score(["ab"]))


def test_without_vllm_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    folder = save_checkpoint(tmp_path / "m", "qwen2")
    with pytest.raises(ModelError, match=r"rstar-math\[vllm\]"):
        open_policy(folder, RuntimeSettings(engine="vllm"))
