"""The vLLM engine against a stand-in for vLLM's classes: what is asked for, and how answers are read."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rstar_math.checkpoints.ppm_file import PPMFile, Probe, write_ppm_file
from rstar_math.config import RuntimeSettings
from rstar_math.engines.open import open_policy, open_reward_model
from rstar_math.engines.vllm import VLLMEngine, VLLMRewardModel
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.models import find_model
from rstar_math.types import Completion, SamplingParams
from tests.engines.tiny_checkpoints import make_tokenizer, save_checkpoint


class _ValidationError(Exception):
    """As vLLM's `VLLMValidationError`: no ValueError."""


# Signatures and fields are those of vLLM 0.29.0, as far as anything here could come near them: what it does not have
# is a TypeError here as it would be there.


@dataclass(kw_only=True)
class _SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    include_stop_str_in_output: bool = False
    output_kind: Any = "cumulative"


@dataclass
class _Output:
    text: str
    token_ids: tuple[int, ...]
    cumulative_logprob: float | None
    finish_reason: str | None
    stop_reason: int | str | None


@dataclass(kw_only=True)
class _PoolingParams:
    use_activation: bool | None = None
    dimensions: int | None = None
    task: str | None = None


@dataclass(kw_only=True)
class _AsyncEngineArgs:
    model: str
    tokenizer: str | None = None
    runner: Literal["auto", "generate", "pooling", "draft"] = "auto"
    dtype: str = "auto"
    seed: int = 0
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    enable_prefix_caching: bool | None = None
    enable_lora: bool = False
    max_lora_rank: int = 16

    def __post_init__(self) -> None:
        if self.max_lora_rank not in (1, 8, 16, 32, 64, 128, 256, 320, 512):
            raise ValueError(f"max_lora_rank: Input should be 1, 8, 16, ..., got {self.max_lora_rank}")


@dataclass
class _LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""
    base_model_name: str | None = None


class _AsyncLLM:
    """As much of vLLM's engine as is used."""

    def __init__(self, arguments: Any) -> None:
        self.arguments, self.asked, self.is_shut = arguments, list[Any](), False
        self.model_config = SimpleNamespace(dtype="torch.float32")

    @classmethod
    def from_engine_args(
        cls, engine_args: Any, start_engine_loop: bool = True, usage_context: Any = None, stat_loggers: Any = None
    ) -> _AsyncLLM:
        if "broken" in engine_args.model:
            raise RuntimeError("Engine core initialization failed")
        return cls(engine_args)

    async def generate(
        self,
        prompt: str,
        sampling_params: _SamplingParams,
        request_id: str,
        *,
        prompt_text: str | None = None,
        lora_request: Any = None,
        tokenization_kwargs: Any = None,
        trace_headers: Any = None,
        priority: int = 0,
    ) -> AsyncIterator[Any]:
        self.asked.append((sampling_params, request_id, lora_request))
        if prompt == "long":
            raise _ValidationError(
                "This model's maximum context length is 4096 tokens. However, you requested 0 output tokens and your "
                "prompt contains at least 4097 input tokens, for a total of at least 4097 tokens."
            )
        if prompt == "full":
            raise _ValidationError(
                "The decoder prompt (length 4096) plus the number of requested output tokens (at least 1) is longer "
                "than the maximum model length of 4096."
            )
        if prompt == "dead":
            raise RuntimeError("EngineCore encountered an issue")
        if prompt == "wordless":  # as `EngineGenerateError`
            raise _ValidationError from KeyError("the cause")
        stopped = _Output("\nx = 1\n", (1, 2, 3), -1.5, "stop", "<b>")
        ended = _Output("\nx", (1,), None, "stop", 151643)
        cut = _Output("\nx", (1,), None, "length", None)
        yield SimpleNamespace(outputs=[stopped, ended, cut], prompt_token_ids=[7] * 5)

    async def encode(
        self,
        prompt: str,
        pooling_params: _PoolingParams,
        request_id: str,
        lora_request: Any = None,
        trace_headers: Any = None,
        priority: int = 0,
        tokenization_kwargs: Any = None,
    ) -> AsyncIterator[Any]:
        self.asked.append((pooling_params, request_id, None))
        if prompt == "long":
            raise _ValidationError("The decoder prompt (length 9000) is longer than the maximum model length of 4096.")
        data = torch.tensor([float(len(prompt))])
        yield SimpleNamespace(outputs=SimpleNamespace(data=data), prompt_token_ids=[7] * 4)

    def shutdown(self, timeout: float | None = None) -> None:
        self.is_shut = True


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    contents: dict[str, dict[str, Any]] = {
        "vllm": {
            "AsyncEngineArgs": _AsyncEngineArgs,
            "SamplingParams": _SamplingParams,
            "PoolingParams": _PoolingParams,
        },
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.async_llm": {"AsyncLLM": _AsyncLLM},
        "vllm.sampling_params": {"RequestOutputKind": SimpleNamespace(FINAL_ONLY="final")},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": _LoRARequest},
    }
    for name, values in contents.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)


def test_a_request_is_put_and_its_answer_read(vllm: None, tmp_path: Path) -> None:
    engine = VLLMEngine.from_pretrained(tmp_path)
    params = SamplingParams(n=2, temperature=0.7, stop=("<a>", "<b>"), seed=2**40 + 9, max_tokens=11)
    generation = asyncio.run(engine.generate("p", params))
    assert generation.completions == (
        Completion("\nx = 1\n", "<b>", 3, -1.5, "stop"),
        Completion("\nx", None, 1, 0.0, "end"),
        Completion("\nx", None, 1, 0.0, "length"),
    )
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
    with pytest.raises(ContextLengthError, match="maximum context length is 4096"):
        asyncio.run(engine.generate("long", SamplingParams()))
    with pytest.raises(ContextLengthError, match="maximum model length of 4096"):
        asyncio.run(engine.generate("full", SamplingParams()))
    for prompt, said in (("dead", "EngineCore encountered an issue"), ("wordless", "the cause")):
        with pytest.raises(EngineError, match=said) as failure:
            asyncio.run(engine.generate(prompt, SamplingParams()))
        assert not isinstance(failure.value, ContextLengthError)
    with pytest.raises(ModelError, match=r"cannot load .*broken: Engine core initialization failed"):
        VLLMEngine.from_pretrained(tmp_path / "broken")


@pytest.mark.parametrize(("rank", "accepted"), [(32, 32), (4, 8), (33, 64), (300, 320)])
def test_an_adapter_brings_its_base(vllm: None, tmp_path: Path, rank: int, accepted: int) -> None:
    settings = {"base_model_name_or_path": "Qwen/Qwen2.5-Math-7B", "r": rank}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    model = find_model(tmp_path)
    engine = open_policy(model.policy, RuntimeSettings(engine="vllm"))
    assert isinstance(engine, VLLMEngine)
    arguments = engine._engine.arguments
    assert (arguments.model, arguments.tokenizer) == ("Qwen/Qwen2.5-Math-7B", None)
    assert (arguments.enable_lora, arguments.max_lora_rank) == (True, accepted)
    asyncio.run(engine.generate("p", SamplingParams()))
    assert engine._engine.asked[0][2] == _LoRARequest(tmp_path.name, 1, str(tmp_path))
    make_tokenizer().save_pretrained(tmp_path)
    again = VLLMEngine.from_pretrained(tmp_path)
    assert again._engine.arguments.tokenizer == str(tmp_path)  # it may know tokens that the base's does not


def test_an_adapter_that_does_not_fit_is_refused(vllm: None, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "base", "r": 1024}))
    with pytest.raises(ModelError, match="rank 1024"):
        VLLMEngine.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match="merge it"):
        open_policy(tmp_path, RuntimeSettings(engine="torch"))


def test_a_replaced_pre_tokenizer_is_refused(vllm: None, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "replaced", "qwen2")
    loaded = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    assert isinstance(open_policy(folder, RuntimeSettings(engine="vllm")), VLLMEngine)
    loaded.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    loaded.save_pretrained(folder)
    write_ppm_file(folder, PPMFile(5.0, ()))
    for open_it in (open_policy, open_reward_model):
        with pytest.raises(ModelError, match="replaces the pre-tokenizer"):
            open_it(folder, RuntimeSettings(engine="vllm"))


def test_a_reward_model_gives_raw_logits_and_its_probes_are_checked(vllm: None, tmp_path: Path) -> None:
    write_ppm_file(tmp_path, PPMFile(5.0, (Probe("four", 4.0),)))
    reward_model = VLLMRewardModel.from_pretrained(tmp_path)
    scores = asyncio.run(reward_model.score(["ab", "abcde"]))
    assert [s.logit for s in scores] == [2.0, 5.0]
    assert scores[1].value == pytest.approx(0.76159, abs=1e-4)
    assert [s.num_tokens for s in scores] == [4, 4]
    assert all((p.task, p.use_activation) == ("classify", False) for p, _, _ in reward_model._engine.asked)
    assert reward_model._engine.arguments.runner == "pooling"
    with pytest.raises(ContextLengthError, match="9000"):
        asyncio.run(reward_model.score(["long"]))
    write_ppm_file(tmp_path, PPMFile(5.0, (Probe("four", 0.98),)))  # as a sigmoid would make of it
    with pytest.raises(ModelError, match="activation"):
        asyncio.run(VLLMRewardModel.from_pretrained(tmp_path).score(["ab"]))


def test_without_vllm_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    folder = save_checkpoint(tmp_path / "m", "qwen2")
    with pytest.raises(ModelError, match=r"rstar-math\[vllm\]"):
        open_policy(folder, RuntimeSettings(engine="vllm"))
