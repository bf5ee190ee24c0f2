"""What the search asks of models: continue a prompt, score a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from rstar_math.types import Completion, SamplingParams


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to one request: `params.n` completions, and how many tokens the prompt had."""

    completions: tuple[Completion, ...]
    num_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Score:
    """A reward model's opinion of one text.

    Attributes:
      logit: raw output of the scalar head at the last token, unbounded.
      value: tanh(logit / scale), in (-1, 1).
      num_tokens: tokens read.
    """

    logit: float
    value: float
    num_tokens: int


@dataclass(slots=True)
class Meter:
    """What one request has cost, also where it is given up before it is answered.

    Attributes:
      num_prompt_tokens: tokens of the prompt; 0 while it has not been read.
      num_tokens: tokens generated for it, in all its completions.
    """

    num_prompt_tokens: int = 0
    num_tokens: int = 0


@dataclass(slots=True)
class Batches:
    """How many completions an engine works on at the same time, counted at each of its steps.

    Attributes:
      num_steps: steps so far; each draws one token for each of its rows.
      num_rows: rows of all of them together, which is the number of tokens drawn.
      by_size: steps with up to 1, 2, 4, 8, ... rows; each is counted in one place.
    """

    num_steps: int = 0
    num_rows: int = 0
    by_size: list[int] = field(default_factory=lambda: [0] * 16)

    def note(self, num_rows: int) -> None:
        """One more step, of so many rows, >= 1."""
        self.num_steps += 1
        self.num_rows += num_rows
        self.by_size[min((num_rows - 1).bit_length(), len(self.by_size) - 1)] += 1


class Engine(Protocol):
    """A policy. Requests awaited at the same time are answered in one batch."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the prompt leaves no room in the model's context.
          EngineError: the model failed.
        """
        ...

    async def aclose(self) -> None:
        """Ends what runs for the engine; requests that still wait are cancelled."""


NoteKind = Literal[
    "too_long",
    "length",
    "reasoning",
    "withheld",
    "no_stop",
    "cut_prompt",
    "restated",
    "repeated",
    "estimated",
    "adapted",
]
"""What an engine may have to say.

`too_long`: prompts without room for a completion. `length`: completions that ran into the token limit. `reasoning`:
completions that never came to a step, because the model was still thinking. `withheld`: completions that the server
kept back. `no_stop`: completions that the model ended without a stop marker. `cut_prompt`: prompts whose beginning
the server seems to have dropped. `restated`: steps asked for in a message, not continued from a prefix. `repeated`:
answers asked for again. `estimated`: completions whose tokens the server did not count. `adapted`: what is asked for
in another way than it should be, for example without `stop`."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was unusable or degraded, how often, and what to do about it.

    Attributes:
      kind: for programs.
      count: how often, >= 1.
      text: one sentence for a person, with the count and a way out.
    """

    kind: NoteKind
    count: int
    text: str


@runtime_checkable
class Noting(Protocol):
    """An engine that counts what was unusable or degraded. Others need not have this."""

    def notes(self) -> Sequence[Note]:
        """What there is to say so far, the most important first; nothing where all went well."""
        ...


@runtime_checkable
class Tokenizing(Protocol):
    """An engine whose tokenizer is at hand. Others need not have this."""

    def encode(self, text: str) -> Sequence[int]:
        """The tokens of a text, as the model reads it."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens.

        Raises:
          ConfigError: a number is no token of the model's.
        """
        ...


@runtime_checkable
class Metering(Protocol):
    """An engine that knows what a request cost that was given up. Others need not have this."""

    async def generate_metered(self, prompt: str, params: SamplingParams, meter: Meter) -> Generation:
        """As `Engine.generate`; `meter` counts what it costs, and is complete when this ends, however it ends."""
        ...


@runtime_checkable
class Batching(Protocol):
    """An engine that counts the sizes of its batches. Others need not have this."""

    @property
    def batches(self) -> Batches | None:
        """The counts, which go on; None where the engine inside has none."""


async def generate_metered(engine: Engine, prompt: str, params: SamplingParams, meter: Meter) -> Generation:
    """Asks any engine; of one that is no `Metering`, only what is answered is counted."""
    if isinstance(engine, Metering):
        return await engine.generate_metered(prompt, params, meter)
    generation = await engine.generate(prompt, params)
    meter.num_prompt_tokens = generation.num_prompt_tokens
    meter.num_tokens = sum(completion.num_tokens for completion in generation.completions)
    return generation


class RewardModel(Protocol):
    """A reward model."""

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores each text at its last token, in the order given.

        Raises:
          ContextLengthError: one of the texts is longer than the model's context.
          EngineError: the model failed.
        """
        ...

    async def aclose(self) -> None:
        """Ends what runs for the reward model; requests that still wait are cancelled."""
