"""What the search asks of models: continue a prompt, score a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
