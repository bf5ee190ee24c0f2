"""A policy in this process: any local transformers causal LM on CPU, CUDA or MPS.

Requests awaited at the same time are answered in one batch that never stands still: at each step every row takes one
token, finished rows leave, and waiting requests take their place. Each request has random numbers of its own, so its
completions do not depend on what else is in the batch, up to floating-point noise; with `deterministic=True` exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from rstar_math.engines.base import Batches, Generation, Meter
from rstar_math.engines.torch.batching import Batcher, Job
from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.decoding import Decoder, ModuleRows, PackedRows
from rstar_math.engines.torch.packed import PackedDecoder
from rstar_math.engines.torch.placing import choose_device, choose_dtype, load_model, use_one_thread
from rstar_math.engines.torch.prefix_cache import PrefixCache
from rstar_math.engines.torch.rows import OpenRequest, Request, Rows, Stops, completions_of
from rstar_math.engines.torch.sampling import next_tokens
from rstar_math.engines.torch.tiling import cut
from rstar_math.engines.torch.weights import LlamaWeights
from rstar_math.errors import ConfigError, ContextLengthError, EngineError
from rstar_math.types import SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TorchEngine:
    """A policy run by torch in one worker thread.

    The number of torch threads is the caller's (`torch.set_num_threads`); one per process is the most economical, and
    the only one in deterministic mode.

    Attributes:
      codec: its tokenizer.
      context_length: most tokens of a prompt and its completion together.
      batches: how many completions were decoded at the same time.
    """

    def __init__(
        self,
        model: PreTrainedModel | LlamaWeights,
        codec: TokenCodec,
        *,
        max_batch_rows: int = 256,
        prefix_cache_mb: int = 256,
        deterministic: bool = False,
        eight_bit: bool = False,
    ) -> None:
        """Makes an engine from a loaded model, which it may take apart: do not use the model afterwards.

        Args:
          model: a causal LM in evaluation mode, on its device; or its weights alone.
          codec: its tokenizer.
          max_batch_rows: completions that are decoded at the same time.
          prefix_cache_mb: megabytes for the keys and values of prompts, which the children of a node reuse; 0: none.
          deterministic: completions are the same, to the last bit, whatever else is asked for at the same time. All
            products have a few fixed shapes (`rstar_math.engines.torch.tiling`); architectures that the packed decoder
            does not know are answered one request at a time, which is much slower.
          eight_bit: multiply with weights of 8 bits; on a CPU, with a Llama-like model in float32.

        Raises:
          EngineError: weights of 8 bits are asked for, and the model is not Llama-like.
        """
        self.codec = codec
        self._new_decoder: Callable[[], Decoder]
        if deterministic:
            use_one_thread()
        weights = model if isinstance(model, LlamaWeights) else LlamaWeights.of_model(model)
        if weights is not None:
            self.context_length, self._vocab_size = weights.context_length, len(weights.head)
            self._device = weights.head.device
            decoder = PackedDecoder(weights, deterministic, eight_bit)
            prefixes = PrefixCache(prefix_cache_mb * 1_000_000)
            self._new_decoder = partial(PackedRows, decoder, prefixes)
            self._tiling = decoder.tiling
        else:
            assert not isinstance(model, LlamaWeights)
            if eight_bit:
                raise EngineError(
                    f"dtype int8 is for Llama-like models (llama, qwen2, phi3), and this is {model.config.model_type}; "
                    "use bfloat16"
                )
            self.context_length = int(getattr(model.config, "max_position_embeddings", None) or 1 << 20)
            self._vocab_size, self._device = int(model.get_output_embeddings().weight.shape[0]), model.device
            self._new_decoder, self._tiling = partial(ModuleRows, model), None
        self._max_batch_rows = max_batch_rows
        self._decoder: Decoder = self._new_decoder()
        self._deterministic = deterministic
        self._one_at_a_time = deterministic and self._tiling is None
        self._batcher = Batcher[Request, Generation](self._work, "torch-engine")
        self.batches = Batches()
        self._rows = Rows()
        self._stop_tables: dict[tuple[str, ...], Stops] = {}

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_batch_rows: int = 256,
        prefix_cache_mb: int = 256,
        deterministic: bool = False,
    ) -> TorchEngine:
        """Loads a folder that `AutoModelForCausalLM` and `AutoTokenizer` can read, from the disk alone.

        `rstar_math.engines.torch.loading.load_engine` does the same after checking that the folder is whole and the
        model fit for the step format.

        Args:
          path: the folder.
          device: a torch device; "auto" takes CUDA, else MPS, else the CPU.
          dtype: a torch dtype; "auto" takes float32 on the CPU, and what the checkpoint was saved in elsewhere; "int8"
            multiplies with weights of 8 bits, on a CPU.
          max_batch_rows: completions that are decoded at the same time.
          prefix_cache_mb: see the constructor.
          deterministic: see the constructor.

        Raises:
          EngineError: there is no such dtype, or it is int8 and neither the device nor the model is one for it.
        """
        where = choose_device(device)
        eight_bit = dtype == "int8"
        if eight_bit and where.type != "cpu":
            raise EngineError(f"dtype int8 is for CPUs, and the device is {where}; use bfloat16 there")
        loaded_as = choose_dtype("float32" if eight_bit else dtype, where)
        model, codec = load_model(Path(path), "AutoModelForCausalLM", where, loaded_as)
        return cls(
            model,
            codec,
            max_batch_rows=max_batch_rows,
            prefix_cache_mb=prefix_cache_mb,
            deterministic=deterministic,
            eight_bit=eight_bit,
        )

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; raises EngineError where it is not valid Unicode."""
        return self.codec.encode([text])[0]

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens; raises ConfigError where a number is none of the model's."""
        if wrong := [token for token in token_ids if not 0 <= token < self._vocab_size]:
            raise ConfigError(f"{wrong[0]} is no token of this model, whose tokens are 0 to {self._vocab_size - 1}")
        return self.codec.decode(token_ids)

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the prompt leaves no room in the model's context.
          EngineError: the model failed.
        """
        return await self.generate_metered(prompt, params, Meter())

    async def generate_metered(self, prompt: str, params: SamplingParams, meter: Meter) -> Generation:
        """The same; of a request that is given up, `meter` says what it had cost until the engine let go of it."""
        return await self._batcher.answer(Request(prompt, params, meter), until_let_go=True)

    async def aclose(self) -> None:
        """Ends the worker thread; requests that still wait are cancelled."""
        await self._batcher.aclose()

    # Everything below runs in the worker thread.

    @torch.inference_mode()
    def _work(self) -> None:
        if self._deterministic:
            use_one_thread()
        try:
            while True:
                self._admit()
                if not len(self._rows):
                    return
                self._drop_cancelled()
                if not len(self._rows):
                    continue
                logits = self._decoder.step(self._rows.last_token)
                self._take_tokens(logits, first_row=0)
        except BaseException:
            self._rows, self._decoder = Rows(), self._new_decoder()
            raise

    def _admit(self) -> None:
        """Takes waiting requests for which there is room, reads their prompts and draws their first tokens."""
        room = self._max_batch_rows - len(self._rows)
        if room <= 0:
            return
        num_taken = 0

        def fits(request: Request) -> bool:
            nonlocal num_taken
            if self._one_at_a_time and (len(self._rows) or num_taken):
                return False  # a request decoded alone has the same shapes whatever else waits
            alone = not len(self._rows) and not num_taken  # a request larger than the whole budget must run somewhere
            if not alone and num_taken + request.params.n > room:
                return False
            num_taken += request.params.n
            return True

        jobs = self._batcher.take(fits)
        if not jobs:
            return
        accepted = []
        for job in jobs:
            try:
                accepted.append(self._open(job))
            except EngineError as error:
                self._batcher.fail(job, error)
        accepted = [opened for opened in accepted if not self._answer_if_done(opened)]
        if not accepted:
            return
        num_rows = [opened.params.n for opened in accepted]
        logits = self._decoder.admit([opened.prompt_ids for opened in accepted], num_rows)
        first_row = len(self._rows)
        self._rows.append(accepted)
        self._take_tokens(logits.repeat_interleave(torch.tensor(num_rows, device=logits.device), dim=0), first_row)

    def _open(self, job: Job[Request, Generation]) -> OpenRequest:
        params = job.request.params
        (prompt_ids,) = self.codec.encode([job.request.prompt])
        if not prompt_ids:
            raise EngineError("the prompt is empty; it needs at least one token")
        if len(prompt_ids) >= self.context_length:
            raise ContextLengthError(
                f"the prompt has {len(prompt_ids)} tokens, and the model's context holds {self.context_length} with "
                f"the completion; shorten the prompt or lower the depth of the search"
            )
        job.request.meter.num_prompt_tokens = len(prompt_ids)
        limit = min(params.max_tokens, self.context_length - len(prompt_ids))
        if params.stop not in self._stop_tables:
            self._stop_tables[params.stop] = Stops.build(params.stop, self.codec, self._vocab_size)
        return OpenRequest(job, params, prompt_ids, limit, self._stop_tables[params.stop])

    def _take_tokens(self, logits: torch.Tensor, first_row: int) -> None:
        """Draws the next token of the rows from `first_row` on, and retires those that it finishes."""
        rows = self._rows

        num_rows = len(logits)
        self.batches.note(num_rows)
        heights = None if self._tiling is None else self._tiling.rows
        more_rows = 0 if self._tiling is None else self._tiling.padded_rows(num_rows) - num_rows

        def per_row(values: np.ndarray) -> torch.Tensor:
            values = values[first_row:]
            if more_rows:
                values = np.concatenate((values, np.repeat(values[-1:], more_rows)))
            return torch.from_numpy(values).to(self._device)

        of_rows = (
            torch.nn.functional.pad(logits, (0, 0, 0, more_rows)) if more_rows else logits,
            per_row(rows.next_uniform()),
            per_row(rows.temperature),
            per_row(rows.top_p),
        )
        drawn = [next_tokens(*(values[piece] for values in of_rows)) for piece in cut(num_rows + more_rows, heights)]
        tokens, logprobs = (torch.cat(found)[:num_rows].cpu() for found in zip(*drawn, strict=True))
        finished = first_row + rows.record(tokens.numpy(), logprobs.double().numpy(), first_row)
        if rows.any_text_stops:
            finished = np.union1d(finished, self._rows_with_text_stops(first_row))
        if not len(finished):
            return
        for row in finished.tolist():
            opened, index = rows.owner[row]
            tokens_of_row, logprob = rows.tokens_of(row)
            opened.finish(index, tokens_of_row, logprob)
            self._answer_if_done(opened)
        kept = np.delete(np.arange(len(rows)), finished)
        rows.keep(kept)
        self._decoder.keep(kept)

    def _drop_cancelled(self) -> None:
        """Frees the rows of requests that nobody waits for any more, as when the time of a budget has run out."""
        kept = np.array([not opened.job.future.done() for opened, _ in self._rows.owner])
        if not kept.all():
            left = set[Job[Request, Generation]]()
            for row in np.flatnonzero(~kept).tolist():
                job = self._rows.owner[row][0].job
                job.request.meter.num_tokens += self._rows.num_tokens(row)
                left.add(job)
            for job in left:
                self._batcher.drop(job)
            self._rows.keep(np.flatnonzero(kept))
            self._decoder.keep(np.flatnonzero(kept))

    def _rows_with_text_stops(self, first_row: int) -> np.ndarray:
        """Rows whose text now holds a stop marker that is no single token: only these need to be decoded each step."""
        found = []
        for row in range(first_row, len(self._rows)):
            opened, _ = self._rows.owner[row]
            if opened.stops.as_text:
                tokens, _ = self._rows.tokens_of(row)
                tail = self.codec.decode_continuations(opened.prompt_ids[-1], [tokens[-opened.stops.tail_tokens :]])[0]
                if any(marker in tail for marker in opened.stops.as_text):
                    found.append(row)
        return np.array(found, dtype=np.int64)

    def _answer_if_done(self, opened: OpenRequest) -> bool:
        if opened.num_left:
            return False
        generation = Generation(tuple(completions_of(opened, self.codec)), len(opened.prompt_ids))
        self._batcher.finish([(opened.job, generation)])
        return True
