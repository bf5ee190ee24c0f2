"""A reward model in this process: a folder, scored in batches (rStar-Math, section 3.3).

The folder is a sequence classifier with one label as transformers saves it, its tokenizer, and `ppm.json`
(`rstar_math.checkpoints.ppm_file`). Its probes are scored again at every load, because transformers initialises a head
that it cannot find at random, with no error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rstar_math.checkpoints.ppm_file import PROBE_TOLERANCE, PPMFile, read_ppm_file
from rstar_math.engines.base import Score
from rstar_math.engines.torch.batching import Batcher, Job
from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.groups import Group, in_groups
from rstar_math.engines.torch.packed import PackedDecoder
from rstar_math.engines.torch.placing import choose_device, choose_dtype, load_model, use_one_thread
from rstar_math.engines.torch.prefix_cache import PrefixCache
from rstar_math.engines.torch.readers import ModuleReader, PackedReader, scalar_head
from rstar_math.engines.torch.weights import LlamaWeights
from rstar_math.errors import ContextLengthError, EngineError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOLERANCES = {torch.float32: PROBE_TOLERANCE, torch.float16: 0.05, torch.bfloat16: 0.3}
"""How far a probe's logit may be from the stored one, by the arithmetic it is scored in."""


class TorchRewardModel:
    """A process preference model run by torch in one worker thread.

    Attributes:
      metadata: scale, calibration and probes of the folder.
    """

    def __init__(
        self,
        model: PreTrainedModel | LlamaWeights,
        codec: TokenCodec,
        metadata: PPMFile,
        *,
        max_batch_tokens: int = 8192,
        prefix_cache_mb: int = 256,
        deterministic: bool = False,
    ) -> None:
        """Makes a reward model from a loaded model, which it may take apart: do not use the model afterwards.

        Args:
          model: a sequence classifier with one label in evaluation mode, on its device; or its weights alone.
          codec: its tokenizer.
          metadata: what `ppm.json` says.
          max_batch_tokens: most tokens of one forward pass.
          prefix_cache_mb: megabytes for the keys and values of prefixes, which the children of a node reuse; 0: none.
          deterministic: scores are the same, to the last bit, whatever else is scored at the same time; see
            `TorchEngine`.
        """
        self.metadata = metadata
        self._codec = codec
        self._max_batch_tokens = max_batch_tokens
        self._read: Callable[[Sequence[Group]], list[list[float]]]
        if deterministic:
            use_one_thread()
        weights = model if isinstance(model, LlamaWeights) else LlamaWeights.of_model(model)
        tiled = False
        if weights is not None:
            self._context_length = weights.context_length
            decoder = PackedDecoder(weights, deterministic)
            self._read = PackedReader(decoder, PrefixCache(prefix_cache_mb * 1_000_000))
            tiled = decoder.tiling is not None
        else:
            assert not isinstance(model, LlamaWeights)
            self._context_length = int(getattr(model.config, "max_position_embeddings", None) or 1 << 20)
            self._read = ModuleReader(model)
        self._deterministic = deterministic
        self._one_at_a_time = deterministic and not tiled
        self._batcher = Batcher[list[_Wanted], list[Score]](self._work, "torch-reward-model")

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_batch_tokens: int = 8192,
        prefix_cache_mb: int = 256,
        deterministic: bool = False,
    ) -> TorchRewardModel:
        """Loads a reward model's folder from the disk alone, and checks that its probes get their logits.

        Args:
          path: the folder.
          device: a torch device; "auto" takes CUDA, else MPS, else the CPU.
          dtype: a torch dtype; "auto" takes float32 on the CPU, and what the checkpoint was saved in elsewhere.
          max_batch_tokens: most tokens of one forward pass.
          prefix_cache_mb, deterministic: see the constructor.

        Raises:
          ModelError: the folder holds no reward model, or its probes get other logits than when it was saved.
        """
        metadata = read_ppm_file(Path(path))
        where = choose_device(device)
        model, codec = load_model(Path(path), "AutoModelForSequenceClassification", where, choose_dtype(dtype, where))
        head = model.head if isinstance(model, LlamaWeights) else scalar_head(model)[0]
        if len(head) != 1:
            raise ModelError(f"{path} has {len(head)} labels; a reward model has one scalar output")
        tolerance = _TOLERANCES.get(head.dtype, 0.3)
        reward_model = cls(
            model,
            codec,
            metadata,
            max_batch_tokens=max_batch_tokens,
            prefix_cache_mb=prefix_cache_mb,
            deterministic=deterministic,
        )
        reward_model._check_probes(Path(path), tolerance)
        return reward_model

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores each text at its last token, in the order given.

        Raises:
          ContextLengthError: a text is longer than the model's context.
          EngineError: a text is empty, or the model failed.
        """
        if not texts:
            return []
        return await self._batcher.answer([_Wanted(text, (len(text),)) for text in texts])

    async def score_steps(self, text: str, ends: Sequence[int]) -> list[Score]:
        """Scores a text at several places in one pass.

        Args:
          text: a prefix of a solution.
          ends: where the steps end, as numbers of characters, increasing; right behind a marker, so that no token
            crosses the place.

        Returns:
          The scores of `text[:end]` for each end; each counts only the tokens behind the end before it.
        """
        if not ends:
            return []
        return await self._batcher.answer([_Wanted(text, tuple(ends))])

    async def aclose(self) -> None:
        """Ends the worker thread; requests that still wait are cancelled."""
        await self._batcher.aclose()

    # Everything below runs in the worker thread, and once while loading.

    @torch.inference_mode()
    def _work(self) -> None:
        if self._deterministic:
            use_one_thread()
        while True:
            num_tokens = 0

            def fits(wanted: list[_Wanted]) -> bool:
                nonlocal num_tokens
                before = num_tokens
                if before and self._one_at_a_time:
                    return False
                # a token is at least a byte; the true number is only known after encoding
                num_tokens += sum(len(one.text) // 2 for one in wanted)
                return not before or num_tokens <= 4 * self._max_batch_tokens

            jobs = self._batcher.take(fits)
            if not jobs:
                return
            self._answer(jobs)

    def _answer(self, jobs: Sequence[Job[list[_Wanted], list[Score]]]) -> None:
        good: list[tuple[Job[list[_Wanted], list[Score]], list[Group]]] = []
        for job in jobs:
            try:
                sequences = self._encode(job.request)
            except EngineError as error:
                self._batcher.fail(job, error)
                continue
            longest = max(len(ids) for ids, _ in sequences)
            if longest > self._context_length:
                message = f"a text to score has {longest} tokens, and the model's context holds {self._context_length}"
                self._batcher.fail(job, ContextLengthError(message))
            elif any(not ids or ends[0] < 1 for ids, ends in sequences):
                self._batcher.fail(job, EngineError("a text to score is empty; it needs at least one token"))
            else:
                good.append((job, in_groups(sequences)))
        logits = iter(self._logits([group for _, groups in good for group in groups]))
        answers = []
        for job, groups in good:
            scores: list[Score] = []
            for group in groups:
                values = iter(next(logits))
                for ends in group.ends:
                    start = 0
                    for end in ends:
                        logit = next(values)
                        scores.append(Score(logit, math.tanh(logit / self.metadata.scale), end - start))
                        start = end
            answers.append((job, scores))
        self._batcher.finish(answers)

    def _encode(self, wanted: Sequence[_Wanted]) -> list[tuple[list[int], tuple[int, ...]]]:
        """Token ids of each text, and the numbers of tokens at which scores are wanted."""
        whole = self._codec.encode([one.text[: one.ends[-1]] for one in wanted])
        inner = [one.text[:end] for one in wanted for end in one.ends[:-1]]
        counts = iter([len(ids) for ids in self._codec.encode(inner)] if inner else [])
        return [
            (ids, (*(next(counts) for _ in one.ends[:-1]), len(ids))) for one, ids in zip(wanted, whole, strict=True)
        ]

    def _logits(self, groups: Sequence[Group]) -> list[list[float]]:
        """Logits of every group, read in batches of groups of similar size."""
        order = sorted(range(len(groups)), key=lambda i: groups[i].num_tokens)
        logits: list[list[float]] = [[] for _ in groups]
        start = 0
        while start < len(order):
            end, num_tokens = start, 0
            while end < len(order):
                num_tokens += groups[order[end]].num_tokens
                if end > start and num_tokens > self._max_batch_tokens:
                    break
                end += 1
            batch = order[start:end]
            for i, values in zip(batch, self._read([groups[i] for i in batch]), strict=True):
                logits[i] = values
            start = end
        return logits

    @torch.inference_mode()
    def _check_probes(self, path: Path, tolerance: float) -> None:
        for probe in self.metadata.probes:
            (sequence,) = self._encode([_Wanted(probe.text, (len(probe.text),))])
            ((logit,),) = self._logits(in_groups([sequence]))
            if not abs(logit - probe.logit) <= tolerance:  # also where the logit is not a number
                raise ModelError(
                    f"{path} gives the logit {logit:.4f} to a probe text that had {probe.logit:.4f} when it was saved "
                    f"(tolerance {tolerance:g}): its weights or its tokenizer are not those that were trained. Load a "
                    f"whole copy of the folder, or train the model again"
                )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A text, and the numbers of characters after which it is to be scored (the last: its end)."""

    text: str
    ends: tuple[int, ...]
