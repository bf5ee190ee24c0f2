"""A policy behind any OpenAI-compatible endpoint (vLLM, SGLang, llama.cpp, Ollama, `transformers serve`, OpenAI).

Such servers differ in what they leave out. The engine finds out by itself, once, and remembers:

- a field that the server does not know (the answer names it) is no longer sent;
- a server that gives one completion for `n` is asked n times;
- the stop string that ended a completion is put back: from the text, from the server's own field for it, or else by
  stopping a few characters late, so that what is left of the marker tells which one it was.

Failures that may pass (429, 5xx, time-outs, broken connections, truncated or malformed answers) are tried again with
growing pauses; others are errors that say what to do.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rstar_math import steps as step_format
from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.bootstrap import Bootstrap, Message, cleaned, split
from rstar_math.engines.http_transport import Reply, Transport, message_of
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.types import Completion, SamplingParams

_log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
FIRST_CONTACT_S = 10.0
"""A server that was never reached is given up after this time: it is more likely not there than busy."""

_OPTIONAL = ("seed", "n", "logprobs", "skip_special_tokens", "continue_final_message", "add_generation_prompt", "top_p")
_NAMED_STOP = ("stop_reason", "matched_stop", "stopping_word")
"""Fields in which vLLM, SGLang and llama.cpp name what ended a completion."""

_NOT_AT_A_STOP = ("length", "limit", "max_tokens", "filter", "tool", "function", "time")
"""What the `finish_reason` of a completion has in it that did not end at a stop string. All others may have: servers
say "stop", "stop_sequence", "eos", "end_turn", or nothing."""

_BROKEN_OFF = ("abort", "error")
"""A `finish_reason` of completions that the server itself gave up."""

_TOO_LONG = ("context length", "context_length", "maximum context", "context size", "context window", "too many tokens")
_CHARACTERS_PER_TOKEN = 4
_RESTATE = (
    "\n\nThe solution so far:\n{response}\n\nWrite the next step only: what follows directly behind it, up to the next "
    "closing marker. Do not repeat what stands there."
)


@dataclass(slots=True)
class EndpointCounts:
    """What happened at an endpoint; everything that was degraded is counted.

    Attributes:
      requests: requests answered.
      retries: answers that were asked for again.
      repeated_for_stop: answers asked for again because the server did not say which stop string it met.
      estimated_tokens: completions whose number of tokens was estimated from their length (no `usage` in the answer).
      restated: chat requests that could not go on from a prefix and asked for the next step instead.
    """

    requests: int = 0
    retries: int = 0
    repeated_for_stop: int = 0
    estimated_tokens: int = 0
    restated: int = 0


class HttpEngine:
    """A policy at an OpenAI-compatible server.

    A completion depends on the request's seed as far as the server honours it.

    Attributes:
      counts: what happened so far.
    """

    def __init__(
        self,
        url: str,
        settings: EndpointSettings | None = None,
        bootstrap: Bootstrap | None = None,
        *,
        api_key: str | None = None,
    ) -> None:
        """Makes an engine; nothing is asked of the server yet.

        Args:
          url: base URL, for example `http://localhost:8000/v1`.
          settings: how to talk to it.
          bootstrap: few-shot prompt; None for a model that was trained on the step format.
          api_key: None: from the environment variable that the settings name.

        Raises:
          ModelError: the URL is none, or the key cannot be sent.
        """
        self.counts = EndpointCounts()
        self._settings = settings or EndpointSettings()
        self._bootstrap = bootstrap
        key = api_key or os.environ.get(self._settings.api_key_env)
        self._transport = Transport(url.rstrip("/"), key, self._settings.timeout_s)
        self._url = self._transport.shown_url
        self._gate = asyncio.Semaphore(self._settings.max_requests)
        self._model = self._settings.model
        self._model_lock = asyncio.Lock()
        self._refused: set[str] = set()
        self._fan_out = False
        self._stop_late = False
        self._restate = self._settings.continuation == "restate"
        self._told: set[str] = set()

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the server says that the prompt is too long for the model.
          ModelError: the server refuses the key, does not know the model, or stands elsewhere.
          EngineError: the server did not answer in time, again and again.
        """
        if self._model is None:
            await self._choose_model()
        wanted = params.n
        if wanted == 1 or not (self._fan_out or "n" in self._refused):
            answer = await self._ask(prompt, params, wanted, params.seed)
            missing = wanted - len(answer.completions)
            if missing <= 0:
                return Generation(answer.completions[:wanted], answer.num_prompt_tokens)
            self._once("fan_out", f"{self._url} gives one completion a request; it is asked once for each candidate")
            self._fan_out = True
            answers = [answer]
        else:
            missing, answers = wanted, []
        first = wanted - missing
        answers += await asyncio.gather(
            *(self._ask(prompt, params, 1, params.seed + i) for i in range(first, wanted)),
        )
        completions = tuple(c for answer in answers for c in answer.completions)
        return Generation(completions[:wanted], answers[0].num_prompt_tokens)

    async def model_names(self) -> list[str]:
        """The models that the server lists; empty where it lists none, or does not answer."""
        return _names((await self._transport.send("GET", "/models")).value)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()

    async def _choose_model(self) -> None:
        async with self._model_lock:
            if self._model is None:
                path = "/models"
                names = _names(await self._until_answered(path, lambda: self._transport.send("GET", path)))
                if len(names) != 1:
                    raise ModelError(
                        f"{self._url} serves {len(names)} models{_listed(names)}; name one: "
                        f"{self._url}?model=NAME (or endpoint.model in a model file)"
                    )
                self._model = names[0]

    async def _ask(self, prompt: str, params: SamplingParams, n: int, seed: int) -> Generation:
        """One request for `n` completions; there may be fewer in the answer."""
        while True:
            stops = _Stops(params.stop, self._stop_late)
            value = await self._post(functools.partial(self._body, prompt, params, n, seed, stops))
            try:
                return self._generation(value, stops, prompt)
            except _UnknownStop:
                self._once("stop", f"{self._url} does not say which stop string it met; stopping late to see it")
                self._stop_late = True
                self.counts.repeated_for_stop += 1

    def _body(
        self, prompt: str, params: SamplingParams, n: int, seed: int, stops: _Stops
    ) -> tuple[str, dict[str, Any]]:
        """Path and body of a request, without the fields that the server refused."""
        body: dict[str, Any] = {"model": self._model, "max_tokens": params.max_tokens, "stop": list(stops.sent)}
        body |= {"temperature": params.temperature, "seed": seed & 0x7FFFFFFF, "skip_special_tokens": False}
        if params.top_p < 1:
            body["top_p"] = params.top_p
        if n > 1:
            body["n"] = n
        if self._settings.api == "completions":
            path = "/completions"
            body["prompt"] = self._bootstrap.text(prompt) if self._bootstrap else prompt
            if self._settings.logprobs:
                body["logprobs"] = 0
        else:
            path = "/chat/completions"
            if self._settings.logprobs:
                body["logprobs"] = True
            messages = self._messages(prompt)
            if messages[-1].role == "user":
                pass  # no prompt of the search: nothing to go on from
            elif self._restate:
                self.counts.restated += 1
                *messages, last = messages
                messages[-1] = Message("user", messages[-1].content + _RESTATE.format(response=last.content))
            else:
                body |= {"continue_final_message": True, "add_generation_prompt": False}
            body["messages"] = [asdict(message) for message in messages]
        return path, {k: v for k, v in body.items() if k not in self._refused} | self._settings.extra_body

    def _messages(self, prompt: str) -> list[Message]:
        if self._bootstrap:
            return self._bootstrap.messages(prompt)
        if step_format.ASSISTANT_TURN not in prompt:
            return [Message("user", prompt)]
        question, response = split(prompt)
        opening = step_format.ASSISTANT_TURN.rpartition(": ")[2]
        return [Message("user", question), Message("assistant", opening + response)]

    def _generation(self, value: Mapping[str, Any], stops: _Stops, prompt: str) -> Generation:
        """The completions of an answer that is known to have choices."""
        choices: list[dict[str, Any]] = value["choices"]
        usage = value.get("usage") if isinstance(value.get("usage"), dict) else None
        texts = [self._text(choice) for choice in choices]
        found = [stops.find(text, choice) for text, choice in zip(texts, choices, strict=True)]
        counts = self._token_counts(choices, texts, usage)
        completions = tuple(
            Completion(cleaned(text) if self._bootstrap else text, stop, count, _logprob(choice))
            for (text, stop), count, choice in zip(found, counts, choices, strict=True)
        )
        num_prompt = (usage or {}).get("prompt_tokens")
        return Generation(completions, num_prompt if isinstance(num_prompt, int) else _estimated(prompt))

    def _text(self, choice: Mapping[str, Any]) -> str:
        """The text of a choice that is not malformed."""
        if self._settings.api == "completions":
            return _storable(choice["text"])
        text = _storable(choice["message"].get("content") or "")
        if self._restate and text.lstrip().startswith(step_format.CODE):
            text = text.replace(step_format.CODE, "", 1)
        return text

    def _token_counts(
        self, choices: Sequence[Mapping[str, Any]], texts: Sequence[str], usage: Mapping[str, Any] | None
    ) -> list[int]:
        """Tokens of each choice. An answer gives one total, which is divided by length: the sum stays exact."""
        total = (usage or {}).get("completion_tokens")
        if not isinstance(total, int) or total < 0:
            self._once("usage", f"{self._url} does not count tokens; they are estimated from the length of the text")
            self.counts.estimated_tokens += len(texts)
            return [_estimated(text) for text in texts]
        logprobs = [_token_logprobs(choice) for choice in choices]
        if all(logprobs) and sum(map(len, logprobs)) == total:
            return [len(values) for values in logprobs]
        lengths = [len(text) + 1 for text in texts]
        ends = [round(total * sum(lengths[: i + 1]) / sum(lengths)) for i in range(len(lengths))]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    async def _post(self, make: Callable[[], tuple[str, dict[str, Any]]]) -> Mapping[str, Any]:
        """Sends a request, without what the server refuses, until it is answered with completions.

        Raises:
          ModelError, ContextLengthError, EngineError: see `generate`.
        """

        async def attempt() -> Reply:
            while True:
                path, body = make()
                async with self._gate:
                    reply = await self._transport.send("POST", path, body)
                if not reply.trouble:
                    return replace(reply, trouble=_malformed(reply.value, self._settings.api))
                if not (reply.is_final and self._forget_refused(body, reply)):
                    return reply

        value = await self._until_answered(make()[0], attempt)
        self.counts.requests += 1
        return value

    async def _until_answered(self, path: str, attempt: Callable[[], Awaitable[Reply]]) -> Mapping[str, Any]:
        """Repeats what failed in a way that may pass, with growing pauses.

        Raises:
          ModelError, ContextLengthError, EngineError: see `generate`.
        """
        began, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            reply = await attempt()
            if not reply.trouble:
                return reply.value
            if reply.status and any(phrase in reply.trouble.lower() for phrase in _TOO_LONG):
                raise ContextLengthError(f"the prompt is too long for {self._model}: {reply.trouble}")
            if reply.is_final:
                raise await self._refusal(path, reply)
            patience = self._settings.max_retry_s
            if not self._transport.was_reached:
                patience = min(patience, FIRST_CONTACT_S)
            # jitter spreads a crowd of requests; no result depends on it
            wait = max(reply.retry_after, pause * random.uniform(0.5, 1.0))
            if time.monotonic() + wait - began > patience:
                asks = f", and asks to wait {reply.retry_after:.0f} s" if reply.retry_after > pause else ""
                reached = "It was reached before" if self._transport.was_reached else "Is a server running there"
                raise EngineError(
                    f"{self._url}{path} failed again and again: {reply.trouble}{asks}. {reached}; run the same command "
                    f"again to go on, or raise endpoint.max_retry_s ({self._settings.max_retry_s:g})"
                )
            self.counts.retries += 1
            self._once(f"retry {reply.status}", f"{self._url}: {reply.trouble}; trying again")
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _forget_refused(self, body: Mapping[str, Any], reply: Reply) -> bool:
        """Whether the server named fields that can be left out; they are, from now on."""
        if reply.status < 400 or reply.status in (401, 403):
            return False
        named = {f for f in _OPTIONAL if f in body and f in reply.trouble.replace(f"'{self._model}'", "")}
        if "n" in named and not any(quoted in reply.trouble for quoted in ("'n'", '"n"', "`n`")):
            named.discard("n")
        refused = named - set(self._settings.extra_body)
        if refused & {"continue_final_message", "add_generation_prompt"}:
            if self._settings.continuation == "continue":
                return False
            self._restate = True
            self._once("restate", f"{self._url} cannot go on from a prefix; it is asked for the next step instead")
        if refused:
            self._once(
                f"refused {sorted(refused)}", f"{self._url} does not know {', '.join(sorted(refused))}; left out"
            )
            self._refused |= refused
        return bool(refused)

    async def _refusal(self, path: str, reply: Reply) -> Exception:
        said = reply.trouble
        if reply.status in (401, 403):
            return ModelError(
                f"{self._url} refuses the key ({said}); put the right one into the environment variable "
                f"{self._settings.api_key_env}"
            )
        if reply.status < 400:
            return ModelError(f"{self._url}{path} does not answer itself ({said}); give the address that does")
        if self._model is None:
            return ModelError(
                f"{self._url} does not list its models ({said}); name one: {self._url}?model=NAME, and check that the "
                "URL ends where the API begins (usually /v1)"
            )
        names = await self.model_names()
        if reply.status == 404 or "model" in said.lower() or "pinned" in said.lower():
            known = f"; it serves{_listed(names)}" if names else ""
            return ModelError(
                f"{self._url}{path} does not know the model {self._model!r} ({said}){known}. "
                "Check endpoint.model, and that the URL ends where the API begins (usually /v1)"
            )
        return EngineError(f"{self._url}{path} refuses the request: {said}")

    def _once(self, what: str, message: str) -> None:
        """Says a thing once per engine."""
        if what not in self._told:
            self._told.add(what)
            _log.warning(message)


class _UnknownStop(Exception):
    """The server stopped at a stop string and does not say at which."""


@dataclass(frozen=True)
class _Stops:
    """The stop markers of a request, and how they are told apart.

    With `late`, the server is given the markers without their first characters, one more for each: "end_of_step>",
    "nd_of_code>", "d_of_answer>". What is left in the text, "<", "<e" or "<en", tells which one it was.
    """

    markers: tuple[str, ...]
    late: bool
    heads: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", {m: m[: i + 1] for i, m in enumerate(self.markers)})

    @property
    def sent(self) -> tuple[str, ...]:
        """What the server is asked to stop at."""
        return tuple(m[len(self.heads[m]) :] or m for m in self.markers) if self.late else self.markers

    def find(self, text: str, choice: Mapping[str, Any]) -> tuple[str, str | None]:
        """The text before the stop marker, and the marker.

        Raises:
          _UnknownStop: it stopped, and nothing tells at what.
        """
        cut, marker = min(((text.find(m), m) for m in self.markers if m in text), default=(len(text), None))
        if marker is not None:
            return text[:cut], marker
        named = next((choice[key] for key in _NAMED_STOP if choice.get(key)), None)
        if isinstance(named, str) and named in self.markers:
            return text, named
        if not self.markers or any(word in _finish(choice) for word in _NOT_AT_A_STOP):
            return text, None
        if self.late:
            ended = next((m for m, head in self.heads.items() if text.endswith(head)), None)
            return (text[: -len(self.heads[ended])], ended) if ended else (text, None)
        if any(key in choice for key in _NAMED_STOP):
            return text, None  # a server that names stop strings, and did not: the model ended the sequence itself
        raise _UnknownStop


def _malformed(value: Mapping[str, Any], api: str) -> str:
    """What keeps an answer from being read as completions; "" for nothing."""
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
        return f"an answer without completions: {message_of(value) or json.dumps(value)[:120]}"
    for choice in choices:
        if any(word in _finish(choice) for word in _BROKEN_OFF):
            return f"a completion that the server broke off ({_finish(choice)})"
        message = choice.get("message")
        if api == "completions":
            readable = isinstance(choice.get("text"), str)
        else:
            readable = isinstance(message, dict) and isinstance(message.get("content") or "", str)
        if not readable:
            return f"a completion without text: {json.dumps(choice)[:120]}"
    return ""


def _finish(choice: Mapping[str, Any]) -> str:
    return str(choice.get("finish_reason") or "").lower()


def _names(value: Mapping[str, Any]) -> list[str]:
    """The models in an answer of `/models`."""
    rows = value.get("data")
    ids = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [name for name in ids if isinstance(name, str)]


def _token_logprobs(choice: Mapping[str, Any]) -> list[float]:
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict):
        return []
    values = logprobs.get("token_logprobs")
    if not isinstance(values, list):
        content = logprobs.get("content")
        values = [row.get("logprob") for row in content if isinstance(row, dict)] if isinstance(content, list) else []
    return [float(v) for v in values if isinstance(v, int | float)]


def _logprob(choice: Mapping[str, Any]) -> float:
    return sum(_token_logprobs(choice))


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry and UTF-8, and so no file of ours, can not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _estimated(text: str) -> int:
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)


def _listed(names: Sequence[str]) -> str:
    return "" if not names else " " + ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
