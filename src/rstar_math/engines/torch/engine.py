"""A policy in this process: any local transformers causal LM on CPU, CUDA or MPS.

Requests awaited at the same time are answered in one batch that never stands still: at each step every row takes one
token, finished rows leave, and waiting requests take their place. Each request has random numbers of its own, so its
completions do not depend on what else is in the batch, up to floating-point noise; with `deterministic=True` exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from rstar_math.engines.base import Generation
from rstar_math.engines.torch.batching import Batcher, Job
from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.decoding import Decoder, ModuleRows, PackedRows
from rstar_math.engines.torch.packed import PackedDecoder
from rstar_math.engines.torch.prefix_cache import PrefixCache
from rstar_math.engines.torch.sampling import next_tokens, uniforms
from rstar_math.engines.torch.tiling import cut
from rstar_math.engines.torch.weights import LlamaWeights, PlainFolder
from rstar_math.errors import ConfigError, ContextLengthError, EngineError
from rstar_math.types import Completion, FinishReason, SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TorchEngine:
    """A policy run by torch in one worker thread.

    The number of torch threads is the caller's (`torch.set_num_threads`); one per process is the most economical, and
    the only one in deterministic mode.

    Attributes:
      codec: its tokenizer.
      context_length: most tokens of a prompt and its completion together.
    """

    def __init__(
        self,
        model: PreTrainedModel | LlamaWeights,
        codec: TokenCodec,
        *,
        max_batch_rows: int = 256,
        prefix_cache_mb: int = 256,
        deterministic: bool = False,
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
        """
        self.codec = codec
        self._new_decoder: Callable[[], Decoder]
        if deterministic:
            use_one_thread()
        weights = model if isinstance(model, LlamaWeights) else LlamaWeights.of_model(model)
        if weights is not None:
            self.context_length, self._vocab_size = weights.context_length, len(weights.head)
            self._device = weights.head.device
            decoder = PackedDecoder(weights, deterministic)
            prefixes = PrefixCache(prefix_cache_mb * 1_000_000)
            self._new_decoder = partial(PackedRows, decoder, prefixes)
            self._tiling = decoder.tiling
        else:
            assert not isinstance(model, LlamaWeights)
            self.context_length = int(getattr(model.config, "max_position_embeddings", None) or 1 << 20)
            self._vocab_size, self._device = int(model.get_output_embeddings().weight.shape[0]), model.device
            self._new_decoder, self._tiling = partial(ModuleRows, model), None
        self._max_batch_rows = max_batch_rows
        self._decoder: Decoder = self._new_decoder()
        self._deterministic = deterministic
        self._one_at_a_time = deterministic and self._tiling is None
        self._batcher = Batcher[_Request, Generation](self._work, "torch-engine")
        self._rows = _Rows()
        self._stop_tables: dict[tuple[str, ...], _Stops] = {}

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
          dtype: a torch dtype; "auto" takes float32 on the CPU, and what the checkpoint was saved in elsewhere.
          max_batch_rows: completions that are decoded at the same time.
          prefix_cache_mb: see the constructor.
          deterministic: see the constructor.
        """
        where = choose_device(device)
        model, codec = load_model(Path(path), "AutoModelForCausalLM", where, choose_dtype(dtype, where))
        return cls(
            model,
            codec,
            max_batch_rows=max_batch_rows,
            prefix_cache_mb=prefix_cache_mb,
            deterministic=deterministic,
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
        return await self._batcher.answer(_Request(prompt, params))

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
            self._rows, self._decoder = _Rows(), self._new_decoder()
            raise

    def _admit(self) -> None:
        """Takes waiting requests for which there is room, reads their prompts and draws their first tokens."""
        room = self._max_batch_rows - len(self._rows)
        if room <= 0:
            return
        num_taken = 0

        def fits(request: _Request) -> bool:
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

    def _open(self, job: Job[_Request, Generation]) -> _Open:
        params = job.request.params
        (prompt_ids,) = self.codec.encode([job.request.prompt])
        if not prompt_ids:
            raise EngineError("the prompt is empty; it needs at least one token")
        if len(prompt_ids) >= self.context_length:
            raise ContextLengthError(
                f"the prompt has {len(prompt_ids)} tokens, and the model's context holds {self.context_length} with "
                f"the completion; shorten the prompt or lower the depth of the search"
            )
        limit = min(params.max_tokens, self.context_length - len(prompt_ids))
        if params.stop not in self._stop_tables:
            self._stop_tables[params.stop] = _Stops.build(params.stop, self.codec, self._vocab_size)
        return _Open(job, params, prompt_ids, limit, self._stop_tables[params.stop])

    def _take_tokens(self, logits: torch.Tensor, first_row: int) -> None:
        """Draws the next token of the rows from `first_row` on, and retires those that it finishes."""
        rows = self._rows

        num_rows = len(logits)
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

    def _answer_if_done(self, opened: _Open) -> bool:
        if opened.num_left:
            return False
        generation = Generation(tuple(_completions(opened, self.codec)), len(opened.prompt_ids))
        self._batcher.finish([(opened.job, generation)])
        return True


def choose_device(device: str) -> torch.device:
    """The torch device that a name stands for; "auto" takes CUDA, else MPS, else the CPU."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype | str:
    """The dtype that a name stands for; "auto" is float32 on the CPU, and the checkpoint's own elsewhere."""
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise EngineError(f"unknown dtype {dtype!r}; use auto, {', '.join(known)}")
    return known[dtype]


def use_one_thread() -> None:
    """Lets torch compute with one thread in this process, from now on: several may split the work in another way."""
    torch.set_num_threads(1)


def load_model(
    path: Path, auto_class: str, device: torch.device, dtype: torch.dtype | str
) -> tuple[PreTrainedModel | LlamaWeights, TokenCodec]:
    """The model of a folder with its tokenizer: its weights alone where transformers is not needed to read it.

    Args:
      path: the folder.
      auto_class: the class of transformers that loads it where it is.
      device: where the model shall be.
      dtype: of its weights; "auto" as they are stored.
    """
    if (plain := PlainFolder.find(path)) is not None:
        return plain.weights(device, dtype), plain.codec()
    import transformers

    from rstar_math.checkpoints.folder import quiet_transformers

    with quiet_transformers():
        model = getattr(transformers, auto_class).from_pretrained(path, dtype=dtype, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    return model.to(device).eval(), TokenCodec.for_model(tokenizer, model)


@dataclass(frozen=True, slots=True)
class _Request:
    prompt: str
    params: SamplingParams


@dataclass(frozen=True, eq=False, slots=True)
class _Stops:
    """What ends a completion.

    Attributes:
      markers: all stop markers.
      token_to_marker: markers that are one token.
      is_final: `[V]` whether a token ends the completion (stop markers and end-of-sequence tokens).
      as_text: markers that can be several tokens.
      tail_tokens: trailing tokens in which such a marker can have been completed.
    """

    markers: tuple[str, ...]
    token_to_marker: dict[int, str]
    is_final: np.ndarray
    as_text: tuple[str, ...]
    tail_tokens: int

    @classmethod
    def build(cls, markers: tuple[str, ...], codec: TokenCodec, vocab_size: int) -> _Stops:
        single = codec.marker_ids(markers)
        is_final = np.zeros(vocab_size, dtype=bool)
        is_final[[token for token in (*single.values(), *codec.end_ids) if token < vocab_size]] = True
        added = codec.added_tokens()  # anything else of the vocabulary can also stand inside another token
        as_text = tuple(marker for marker in markers if marker not in added)
        longest = max((len(marker.encode()) for marker in as_text), default=0)
        return cls(markers, {token: marker for marker, token in single.items()}, is_final, as_text, longest + 1)


@dataclass(eq=False, slots=True)
class _Open:
    """A request that is being answered."""

    job: Job[_Request, Generation]
    params: SamplingParams
    prompt_ids: list[int]
    limit: int
    stops: _Stops
    finished: list[tuple[list[int], float] | None] = field(init=False)
    num_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.finished = [None] * self.params.n
        self.num_left = self.params.n

    def finish(self, index: int, tokens: list[int], logprob: float) -> None:
        self.finished[index] = (tokens, logprob)
        self.num_left -= 1


def _completions(opened: _Open, codec: TokenCodec) -> list[Completion]:
    """The completions of a request, from its tokens."""
    stops = opened.stops
    rows = [row for row in opened.finished if row is not None]
    kept, markers = [], []
    unstopped: list[FinishReason] = []  # why each ended, where no stop marker is found in it
    for tokens, _ in rows:
        marker = stops.token_to_marker.get(tokens[-1])
        ended = marker is not None or tokens[-1] in codec.end_ids
        kept.append(tokens[:-1] if ended else tokens)
        markers.append(marker)
        unstopped.append("end" if ended else "length")
    completions = []
    texts = codec.decode_continuations(opened.prompt_ids[-1], kept)
    for text, marker, reason, (tokens, logprob) in zip(texts, markers, unstopped, rows, strict=True):
        # a marker can also stand in the text as several tokens, whether or not it is a single one too
        cut, spelled = min(((text.find(stop), stop) for stop in stops.markers if stop in text), default=(len(text), ""))
        stop = spelled or marker
        completions.append(Completion(text[:cut], stop, len(tokens), logprob, "stop" if stop else reason))
    return completions


class _Rows:
    """What the engine knows of each row in flight: arrays over rows, and a store of their tokens by place."""

    def __init__(self) -> None:
        self.owner: list[tuple[_Open, int]] = []
        self.last_token = np.zeros(0, dtype=np.int64)  # [R]
        self.temperature = np.zeros(0, dtype=np.float32)  # [R]
        self.top_p = np.zeros(0, dtype=np.float32)  # [R]
        self.any_text_stops = False
        self._length = np.zeros(0, dtype=np.int64)  # [R] tokens generated
        self._limit = np.zeros(0, dtype=np.int64)  # [R]
        self._stops = np.zeros(0, dtype=np.int64)  # [R] row of `_is_final`
        self._place = np.zeros(0, dtype=np.int64)  # [R] row of the stores below
        self._is_final = np.zeros((0, 0), dtype=bool)  # [S, V]
        self._stop_sets: list[_Stops] = []
        self._tokens = np.zeros((0, 0), dtype=np.int64)  # [places, T]
        self._uniforms = np.zeros((0, 0), dtype=np.float64)  # [places, T]
        self._logprob = np.zeros(0, dtype=np.float64)  # [places]
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.owner)

    def append(self, opened: list[_Open]) -> None:
        """Adds the rows of new requests."""
        counts = [request.params.n for request in opened]
        self._reserve(sum(counts), max(request.limit for request in opened))
        places = np.array([self._free.pop() for _ in range(sum(counts))], dtype=np.int64)
        start = 0
        for request, count in zip(opened, counts, strict=True):
            self.owner.extend((request, index) for index in range(count))
            if request.params.temperature > 0:
                drawn = uniforms(request.prompt_ids, request.params.seed, count, request.limit)
                self._uniforms[places[start : start + count], : request.limit] = drawn
            start += count
        self._logprob[places] = 0.0

        def extended(values: np.ndarray, per_request: list[float]) -> np.ndarray:
            return np.concatenate((values, np.repeat(np.array(per_request, dtype=values.dtype), counts)))

        zeros: list[float] = [0] * len(opened)
        self.last_token = extended(self.last_token, zeros)
        self._length = extended(self._length, zeros)
        self._limit = extended(self._limit, [request.limit for request in opened])
        self.temperature = extended(self.temperature, [request.params.temperature for request in opened])
        self.top_p = extended(self.top_p, [request.params.top_p for request in opened])
        self._stops = extended(self._stops, [self._stop_number(request.stops) for request in opened])
        self._place = np.concatenate((self._place, places))
        self.any_text_stops = any(request.stops.as_text for request, _ in self.owner)

    def next_uniform(self) -> np.ndarray:
        """`[R]` the random number that draws each row's next token."""
        return self._uniforms[self._place, self._length]

    def record(self, tokens: np.ndarray, logprobs: np.ndarray, first_row: int) -> np.ndarray:
        """Appends a token to the rows from `first_row` on; numbers, from there, of the rows that it finishes."""
        rows = slice(first_row, None)
        place = self._place[rows]
        self._tokens[place, self._length[rows]] = tokens
        self._logprob[place] += logprobs
        self._length[rows] += 1
        self.last_token[rows] = tokens
        return np.flatnonzero(self._is_final[self._stops[rows], tokens] | (self._length[rows] >= self._limit[rows]))

    def tokens_of(self, row: int) -> tuple[list[int], float]:
        """The tokens of a row so far and the sum of their log-probabilities."""
        place = self._place[row]
        return self._tokens[place, : self._length[row]].tolist(), float(self._logprob[place])

    def keep(self, rows: np.ndarray) -> None:
        """Drops all other rows."""
        self._free.extend(np.delete(self._place, rows).tolist())
        self.owner = [self.owner[row] for row in rows.tolist()]
        self.last_token, self.temperature, self.top_p = self.last_token[rows], self.temperature[rows], self.top_p[rows]
        self._length, self._limit = self._length[rows], self._limit[rows]
        self._stops, self._place = self._stops[rows], self._place[rows]

    def _stop_number(self, stops: _Stops) -> int:
        if stops not in self._stop_sets:
            self._stop_sets.append(stops)
            self._is_final = np.stack([known.is_final for known in self._stop_sets])
        return self._stop_sets.index(stops)

    def _reserve(self, num_rows: int, num_tokens: int) -> None:
        places, width = self._tokens.shape
        new_places = places + max(0, num_rows - len(self._free))
        if new_places > places or num_tokens > width:
            grown = (max(new_places, places), max(num_tokens, width))
            self._tokens = _grown(self._tokens, grown)
            self._uniforms = _grown(self._uniforms, grown)
            self._logprob = _grown(self._logprob, grown[:1])
            self._free.extend(range(places, new_places))


def _grown(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    new = np.zeros(shape, dtype=array.dtype)
    new[tuple(slice(0, size) for size in array.shape)] = array
    return new
