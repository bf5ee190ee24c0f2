"""Requests as clients send them, checked: types, ranges, sizes. Unknown fields are kept, to be told of in the reply."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from rstar_math.config.curve import EffortName

Seed = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]
Stops = Annotated[list[Stop], Field(max_length=16)]
Text = Annotated[str, Field(max_length=1 << 20)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=64)]
Tokens = Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=1, max_length=1 << 16)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Part(_Lenient):
    """One part of a message."""

    type: str = Field(max_length=64)
    text: Text | None = None


class Message(_Lenient):
    """One message of a conversation."""

    role: str = Field(max_length=64)
    content: Text | Annotated[list[Part], Field(max_length=64)] | None = None


class Exact(BaseModel):
    """The field `rstar`: how the question is to be thought about, said exactly."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    strategy: str | None = Field(default=None, max_length=64, description="a strategy that /v1/models lists")
    tokens: Count | None = Field(default=None, description="limit: tokens generated for the answer")
    rollouts: Count | None = Field(default=None, description="limit: rollouts, or samples")
    seconds: float | None = Field(default=None, gt=0, le=1e6, description="limit: wall seconds")
    seed: Seed | None = None


class StreamOptions(_Lenient):
    """What a stream ends with."""

    include_usage: bool | None = None


class Request(_Lenient):
    """What both kinds of request have."""

    model: str = Field(max_length=256)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=64)
    max_tokens: Count | None = Field(default=None, description="of the message, not of the search")
    stop: Stop | Stops | None = Field(default=None, description="the message ends before any of these")
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: Seed | None = None
    reasoning_effort: EffortName | None = None
    thinking_token_budget: Count | None = Field(default=None, description="limit: tokens generated for the answer")
    rstar: Exact | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts before which the message ends."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def others(self) -> dict[str, JsonValue]:
        """The fields that are none of these."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}


class ChatRequest(Request):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1, max_length=256)
    max_completion_tokens: Count | None = None


class CompletionRequest(Request):
    """`POST /v1/completions`: one question or several, each as text or as tokens of the model's."""

    prompt: Text | Texts | Tokens | Annotated[list[Tokens], Field(min_length=1, max_length=64)]

    @property
    def prompts(self) -> list[str | list[int]]:
        """The questions one by one."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        one = [token for token in self.prompt if isinstance(token, int)]
        return [one] if one else [prompt for prompt in self.prompt if not isinstance(prompt, int)]


class ControlRequest(BaseModel):
    """`POST /v1/chat/completions/control`: ends the thinking of a request that is under way."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=256, description="the reply's id, or the header X-Client-Request-Id of the request")
    action: Literal["reasoning_end"] = "reasoning_end"
