"""The requests that the engine is answering: a row for each of their completions, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rstar_math.engines.base import Generation, Meter
from rstar_math.engines.torch.batching import Job
from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.sampling import uniforms
from rstar_math.types import Completion, FinishReason, SamplingParams


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and how it is continued; `meter` counts what it costs."""

    prompt: str
    params: SamplingParams
    meter: Meter


@dataclass(frozen=True, eq=False, slots=True)
class Stops:
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
    def build(cls, markers: tuple[str, ...], codec: TokenCodec, vocab_size: int) -> Stops:
        """What ends a completion, by the tokenizer's own tokens."""
        single = codec.marker_ids(markers)
        is_final = np.zeros(vocab_size, dtype=bool)
        is_final[[token for token in (*single.values(), *codec.end_ids) if token < vocab_size]] = True
        added = codec.added_tokens()  # anything else of the vocabulary can also stand inside another token
        as_text = tuple(marker for marker in markers if marker not in added)
        longest = max((len(marker.encode()) for marker in as_text), default=0)
        return cls(markers, {token: marker for marker, token in single.items()}, is_final, as_text, longest + 1)


@dataclass(eq=False, slots=True)
class OpenRequest:
    """A request that is being answered."""

    job: Job[Request, Generation]
    params: SamplingParams
    prompt_ids: list[int]
    limit: int
    stops: Stops
    finished: list[tuple[list[int], float] | None] = field(init=False)
    num_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.finished = [None] * self.params.n
        self.num_left = self.params.n

    def finish(self, index: int, tokens: list[int], logprob: float) -> None:
        """Notes the tokens of one completion, and the sum of their log-probabilities."""
        self.finished[index] = (tokens, logprob)
        self.num_left -= 1
        self.job.request.meter.num_tokens += len(tokens)


def completions_of(opened: OpenRequest, codec: TokenCodec) -> list[Completion]:
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


class Rows:
    """What the engine knows of each row in flight: arrays over rows, and a store of their tokens by place."""

    def __init__(self) -> None:
        self.owner: list[tuple[OpenRequest, int]] = []
        self.last_token = np.zeros(0, dtype=np.int64)  # [R]
        self.temperature = np.zeros(0, dtype=np.float32)  # [R]
        self.top_p = np.zeros(0, dtype=np.float32)  # [R]
        self.any_text_stops = False
        self._length = np.zeros(0, dtype=np.int64)  # [R] tokens generated
        self._limit = np.zeros(0, dtype=np.int64)  # [R]
        self._stops = np.zeros(0, dtype=np.int64)  # [R] row of `_is_final`
        self._place = np.zeros(0, dtype=np.int64)  # [R] row of the stores below
        self._is_final = np.zeros((0, 0), dtype=bool)  # [S, V]
        self._stop_sets: list[Stops] = []
        self._tokens = np.zeros((0, 0), dtype=np.int64)  # [places, T]
        self._uniforms = np.zeros((0, 0), dtype=np.float64)  # [places, T]
        self._logprob = np.zeros(0, dtype=np.float64)  # [places]
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.owner)

    def append(self, opened: list[OpenRequest]) -> None:
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

    def num_tokens(self, row: int) -> int:
        """How many tokens a row has so far."""
        return int(self._length[row])

    def keep(self, rows: np.ndarray) -> None:
        """Drops all other rows."""
        self._free.extend(np.delete(self._place, rows).tolist())
        self.owner = [self.owner[row] for row in rows.tolist()]
        self.last_token, self.temperature, self.top_p = self.last_token[rows], self.temperature[rows], self.top_p[rows]
        self._length, self._limit = self._length[rows], self._limit[rows]
        self._stops, self._place = self._stops[rows], self._place[rows]

    def _stop_number(self, stops: Stops) -> int:
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
