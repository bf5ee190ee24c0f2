"""What the search asks of models: continue a prompt, score a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rstar_math.types import Completion, SamplingParams


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to one request: `params.n` completions, and how many tokens the prompt had."""

    completions: tuple[Completion, ...]
    num_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Score:
    """The PPM's opinion of one text.

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

    async def aclose(self) -> None: ...


class Scorer(Protocol):
    """A reward model."""

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores each text at its last token, in the order given.

        Raises:
          ContextLengthError: one of the texts is longer than the model's context.
          EngineError: the model failed.
        """
        ...

    async def aclose(self) -> None: ...
