"""What is asked of a server: one request in the words that it was found to understand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rstar_math import steps as step_format
from rstar_math.config import EndpointSettings
from rstar_math.engines.few_shot import Bootstrap, Message, split
from rstar_math.types import SamplingParams

Api = Literal["completions", "chat"]

PATHS: dict[Api, str] = {"completions": "/completions", "chat": "/chat/completions"}
CONTINUING = frozenset({"continue_final_message", "add_generation_prompt"})
"""Fields by which a chat goes on from the assistant's text."""

SMALLEST_TEMPERATURE = 0.01
"""What stands for greedy decoding at servers that refuse a temperature of 0."""

_RESTATE = (
    "\n\nThe solution so far:\n{response}\n\nWrite the next step only: what follows directly behind it, up to the next "
    "closing marker. Do not repeat what stands there."
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
      path: below the base URL.
      body: its fields.
      restated: whether it asks for the next step in a message, and does not continue a text.
      num_chars: characters of the prompt.
      continued: the steps so far that a chat is to go on from; "" where there are none, and for completions.
    """

    path: str
    body: dict[str, Any]
    restated: bool
    num_chars: int
    continued: str = ""


@dataclass(slots=True)
class Dialect:
    """What a server was found to understand; it changes only when the server refuses something.

    Attributes:
      api: completions or chat.
      refused: fields that are not sent.
      refused_temperatures: temperatures that are not sent; others are.
      limit_field: the name of the token limit.
      largest_limit: the largest token limit that the server takes; None where none is known.
      fan_out: ask once for each candidate.
      stop_late: the server does not say which stop marker it met (`http_completions.Stops`).
      restate: ask for the next step in a message, because the server cannot go on from the assistant's text.
      version: grows with every change.
    """

    api: Api
    restate: bool = False
    refused: set[str] = field(default_factory=set)
    refused_temperatures: set[float] = field(default_factory=set)
    limit_field: str = "max_tokens"
    largest_limit: int | None = None
    fan_out: bool = False
    stop_late: bool = False
    version: int = 0


def make_request(
    dialect: Dialect,
    settings: EndpointSettings,
    bootstrap: Bootstrap | None,
    model: str | None,
    prompt: str,
    params: SamplingParams,
    stops: Collection[str],
    without: Collection[str] = (),
) -> Request:
    """The request for `params.n` completions of a prompt.

    Args:
      dialect: how to speak to the server.
      settings: of the endpoint; its `extra_body` is sent whatever the server refused.
      bootstrap: few-shot prompt, or None.
      model: the model's name.
      prompt: of the search, or any other text.
      params: `max_tokens` may be less than the search asked for.
      stops: stop strings as they are sent.
      without: further fields to leave out, to find out which one a server does not accept.
    """
    left_out = dialect.refused | set(without)
    limit = min(params.max_tokens, dialect.largest_limit or params.max_tokens)
    body: dict[str, Any] = {"model": model, dialect.limit_field: limit, "stop": list(stops)}
    temperature = _temperature(dialect, params.temperature)
    if temperature is not None:
        body["temperature"] = temperature
    body |= {"seed": params.seed & 0x7FFFFFFF, "skip_special_tokens": False}
    if params.top_p < 1:
        body["top_p"] = params.top_p
    if params.n > 1:
        body["n"] = params.n
    restated, continued = False, ""
    if dialect.api == "completions":
        text = bootstrap.text(prompt) if bootstrap else prompt
        body["prompt"], num_chars = text, len(text)
        if settings.logprobs:
            body["logprobs"] = 0
    else:
        if settings.logprobs:
            body["logprobs"] = True
        messages = _messages(bootstrap, prompt)
        if messages[-1].role == "user":
            pass  # no prompt of the search: nothing to go on from
        elif dialect.restate or CONTINUING & left_out:
            restated = True
            *messages, last = messages
            messages[-1] = Message("user", messages[-1].content + _RESTATE.format(response=last.content))
        else:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
            continued = messages[-1].content.partition(step_format.CODE)[2]
        body["messages"] = [asdict(message) for message in messages]
        num_chars = sum(len(message.content) for message in messages)
    kept = {k: v for k, v in body.items() if k not in left_out}
    return Request(PATHS[dialect.api], kept | settings.extra_body, restated, num_chars, continued)


def _temperature(dialect: Dialect, wanted: float) -> float | None:
    """The temperature to send: the wanted one, nearly 0 in place of a refused 0, or none."""
    for value in (wanted, max(wanted, SMALLEST_TEMPERATURE)):
        if value not in dialect.refused_temperatures:
            return value
    return None


def _messages(bootstrap: Bootstrap | None, prompt: str) -> list[Message]:
    if bootstrap:
        return bootstrap.messages(prompt)
    if step_format.ASSISTANT_TURN not in prompt:
        return [Message("user", prompt)]
    question, response = split(prompt)
    opening = step_format.ASSISTANT_TURN.rpartition(": ")[2]
    return [Message("user", question), Message("assistant", opening + response)]
