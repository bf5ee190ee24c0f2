"""A policy and a reward model run by vLLM in this process: for GPUs (extra `vllm`). Written for vLLM 0.29's API.

vLLM batches by itself: every candidate is a sequence of its own, and prefix caching reads what they share once. Not run
on the machines where this was developed, which have no GPU: the tests run it against a stand-in for vLLM's classes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rstar_math.checkpoints.ppm_file import PROBE_TOLERANCE, PPMFile, read_ppm_file
from rstar_math.engines.base import Generation, Score
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.types import Completion, FinishReason, SamplingParams

_HALF_TOLERANCE = 0.3
"""How far a probe's logit may be from the stored one in 16-bit arithmetic."""

_TOO_LONG = ("maximum model length", "maximum context length")
"""How vLLM's refusals of a prompt that leaves no room speak of it."""

_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM accepts as `max_lora_rank`."""


class VLLMEngine:
    """A policy. Requests awaited at the same time share vLLM's batch; each has a seed of its own."""

    def __init__(self, engine: Any, adapter: Any = None) -> None:
        """Takes a running `AsyncLLM` and, where the policy is a LoRA adapter, its `LoRARequest`."""
        self._engine, self._adapter = engine, adapter
        self._numbers = itertools.count()

    @classmethod
    def from_pretrained(
        cls, folder: Path, *, dtype: str = "auto", max_model_len: int | None = None, memory_share: float = 0.9
    ) -> VLLMEngine:
        """Loads a checkpoint, or a LoRA adapter with the base that its configuration names.

        Args:
          folder: of the checkpoint or adapter.
          dtype: as vLLM names it.
          max_model_len: most tokens of a prompt and its completion; None: the model's context.
          memory_share: share of the GPU's memory that vLLM may take; less where a reward model stands beside it.

        Raises:
          ModelError: vLLM is not installed, or cannot load the model.
        """
        options: dict[str, Any] = {"enable_prefix_caching": True, "gpu_memory_utilization": memory_share}
        adapter, model = None, folder
        config = folder / "adapter_config.json"
        if config.exists():
            settings = json.loads(config.read_text(encoding="utf-8"))
            model = Path(settings["base_model_name_or_path"])
            rank = int(settings.get("r", 64))
            fitting = [known for known in _LORA_RANKS if known >= rank]
            if not fitting:
                raise ModelError(f"{folder} is an adapter of rank {rank}; vLLM takes up to {_LORA_RANKS[-1]}")
            options |= {"enable_lora": True, "max_lora_rank": fitting[0]}
            if (folder / "tokenizer.json").exists():
                options["tokenizer"] = str(folder)
        engine = _start(model, dtype, max_model_len, options)
        if config.exists():
            from vllm.lora.request import LoRARequest

            adapter = LoRARequest(folder.name, 1, str(folder))
        return cls(engine, adapter)

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the prompt leaves no room in the model's context.
          EngineError: vLLM failed.
        """
        from vllm import SamplingParams as VLLMSamplingParams
        from vllm.sampling_params import RequestOutputKind

        wanted = VLLMSamplingParams(
            n=params.n,
            temperature=params.temperature,
            top_p=params.top_p,
            max_tokens=params.max_tokens,
            stop=list(params.stop),
            seed=params.seed & 0x7FFFFFFF,
            logprobs=0,
            skip_special_tokens=False,  # markers may be special tokens of somebody else's tokenizer
            spaces_between_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        final = None
        try:
            async for output in self._engine.generate(
                prompt, wanted, f"policy-{next(self._numbers)}", lora_request=self._adapter
            ):
                final = output
        except Exception as error:  # refusals and a dead engine raise types of vLLM's own, derived from Exception
            raise _failed(error) from error
        if final is None:
            raise EngineError("vLLM ended a request without an answer")
        completions = tuple(_completion(output, params.stop) for output in final.outputs)
        return Generation(completions, len(final.prompt_token_ids))

    async def aclose(self) -> None:
        """Ends vLLM's processes and frees the GPU."""
        self._engine.shutdown()


class VLLMRewardModel:
    """A process preference model as a pooling model, its raw logits checked against the stored probes."""

    def __init__(self, engine: Any, metadata: PPMFile) -> None:
        self._engine, self.metadata = engine, metadata
        self._numbers = itertools.count()
        self._checked: asyncio.Task[None] | None = None

    @classmethod
    def from_pretrained(cls, folder: Path, *, dtype: str = "auto", memory_share: float = 0.4) -> VLLMRewardModel:
        """Loads a reward model's folder; its probes are scored before the first answer.

        Raises:
          ModelError: vLLM is not installed, the folder holds no reward model, or vLLM cannot load it.
        """
        metadata = read_ppm_file(folder)
        options = {"runner": "pooling", "gpu_memory_utilization": memory_share, "enable_prefix_caching": True}
        return cls(_start(folder, dtype, None, options), metadata)

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores each text at its last token, in the order given.

        Raises:
          ModelError: the probes get other logits than when the model was saved.
          ContextLengthError: a text is longer than the model's context.
        """
        if self._checked is None:
            self._checked = asyncio.ensure_future(self._check_probes())
        await self._checked
        found = await asyncio.gather(*(self._logit(text) for text in texts))
        return [Score(logit, math.tanh(logit / self.metadata.scale), count) for logit, count in found]

    async def aclose(self) -> None:
        """Ends vLLM's processes and frees the GPU."""
        self._engine.shutdown()

    async def _logit(self, text: str) -> tuple[float, int]:
        from vllm import PoolingParams

        final = None
        try:
            wanted = PoolingParams(task="classify", use_activation=False)
            async for output in self._engine.encode(text, wanted, f"ppm-{next(self._numbers)}"):
                final = output
        except Exception as error:  # as above
            raise _failed(error) from error
        if final is None:
            raise EngineError("vLLM ended a request without an answer")
        return float(final.outputs.data.reshape(-1)[0]), len(final.prompt_token_ids)

    async def _check_probes(self) -> None:
        half = "float32" not in str(self._engine.model_config.dtype)
        tolerance = _HALF_TOLERANCE if half else PROBE_TOLERANCE
        for probe in self.metadata.probes:
            logit, _ = await self._logit(probe.text)
            if not abs(logit - probe.logit) <= tolerance:  # also where the logit is not a number
                raise ModelError(
                    f"vLLM gives the logit {logit:.4f} to a probe text that had {probe.logit:.4f} when the model was "
                    f"saved (tolerance {tolerance:g}): its head was not loaded, or an activation is applied. Score "
                    "with runtime.engine: torch, or load a whole copy of the folder"
                )


def _start(model: Path, dtype: str, max_model_len: int | None, options: dict[str, Any]) -> Any:
    try:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise ModelError(
            "runtime.engine: vllm needs vLLM and a GPU: pip install 'rstar-math[vllm]', or set runtime.engine: torch"
        ) from error
    try:
        arguments = AsyncEngineArgs(model=str(model), dtype=dtype, max_model_len=max_model_len, **options)
        return AsyncLLM.from_engine_args(arguments)
    except Exception as error:  # a wrong value, no GPU, not enough memory, a process that died: types of many kinds
        raise ModelError(f"vLLM cannot load {model}: {error}") from error


def _completion(output: Any, stops: Sequence[str]) -> Completion:
    stop = output.stop_reason if output.stop_reason in stops else None
    reason: FinishReason = "stop" if stop else "length" if output.finish_reason == "length" else "end"
    logprob = float(output.cumulative_logprob or 0.0)
    return Completion(str(output.text), stop, len(output.token_ids), logprob, reason)


def _failed(error: Exception) -> EngineError:
    text = str(error)
    if any(phrase in text for phrase in _TOO_LONG):
        return ContextLengthError(text)
    return EngineError(f"vLLM failed: {text or error.__cause__!r} ({type(error).__name__})")
