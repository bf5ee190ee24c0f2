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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from rstar_math import steps as step_format
from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.bootstrap import Bootstrap, Message, cleaned, split
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.types import Completion, SamplingParams

_log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
FIRST_CONTACT_S = 10.0
"""A server that was never reached is given up after this time: it is more likely not there than busy."""

_PASSING = (408, 409, 425, 429)
"""Refusals that pass: time-out, conflict, too early, too many requests."""

_OPTIONAL = ("seed", "n", "logprobs", "skip_special_tokens", "continue_final_message", "add_generation_prompt", "top_p")
_NAMED_STOP = ("stop_reason", "matched_stop", "stopping_word")
"""Fields in which vLLM, SGLang and llama.cpp name what ended a completion."""

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
        """
        self.counts = EndpointCounts()
        self._url = url.rstrip("/")
        self._settings = settings or EndpointSettings()
        self._bootstrap = bootstrap
        key = api_key or os.environ.get(self._settings.api_key_env)
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(self._settings.timeout_s, connect=min(10.0, self._settings.timeout_s)),
            limits=httpx.Limits(max_connections=None),
        )
        self._gate = asyncio.Semaphore(self._settings.max_requests)
        self._model = self._settings.model
        self._model_lock = asyncio.Lock()
        self._refused: set[str] = set()
        self._fan_out = False
        self._stop_late = False
        self._restate = self._settings.continuation == "restate"
        self._reached = False
        self._told: set[str] = set()

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the server says that the prompt is too long for the model.
          ModelError: the server refuses the key, or does not know the model.
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
        """The models that the server lists; empty where it lists none."""
        try:
            value = (await self._send("GET", "/models", None)).value
        except EngineError:
            return []
        rows = value.get("data")
        return [str(r["id"]) for r in rows if isinstance(r, dict) and "id" in r] if isinstance(rows, list) else []

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _choose_model(self) -> None:
        async with self._model_lock:
            if self._model is None:
                names = await self.model_names()
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
        if self._settings.api == "completions":
            return str(choice.get("text") or "")
        text = str((choice.get("message") or {}).get("content") or "")
        if self._restate and text.lstrip().startswith(step_format.CODE):
            text = text.replace(step_format.CODE, "", 1)
        return text

    def _token_counts(
        self, choices: Sequence[Mapping[str, Any]], texts: Sequence[str], usage: Mapping[str, Any] | None
    ) -> list[int]:
        """Tokens of each choice. An answer gives one total, which is divided by length: the sum stays exact."""
        total = (usage or {}).get("completion_tokens")
        if not isinstance(total, int):
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
        """Sends a request until it is answered with choices.

        Raises:
          ModelError, ContextLengthError, EngineError: see `generate`.
        """
        began, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            path, body = make()
            async with self._gate:
                reply = await self._try(path, body)
            if reply.value is not None and not reply.trouble:
                self.counts.requests += 1
                return reply.value
            if 400 <= reply.status < 500 and reply.status not in _PASSING:
                if self._forget_refused(body, reply):
                    continue
                raise await self._refusal(path, reply)
            patience = self._settings.max_retry_s
            if not self._reached:
                patience = min(patience, FIRST_CONTACT_S)
            # jitter spreads a crowd of requests; no result depends on it
            wait = max(reply.retry_after, pause * random.uniform(0.5, 1.0))
            if time.monotonic() + wait - began > patience:
                raise EngineError(
                    f"{self._url}{path} failed again and again: {reply.trouble}. "
                    + ("It was reached before" if self._reached else "It was never reached: is a server running there")
                    + "; run the same command again to go on, or raise endpoint.max_retry_s "
                    f"({self._settings.max_retry_s:g})"
                )
            self.counts.retries += 1
            self._once(f"retry {reply.status}", f"{self._url}: {reply.trouble}; trying again")
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _try(self, path: str, body: Mapping[str, Any]) -> _Reply:
        """One attempt; never raises for what the server or the line did."""
        try:
            reply = await self._send("POST", path, body)
        except EngineError as error:
            return _Reply(None, str(error), 0)
        if not reply.trouble and not _has_choices(reply.value, self._settings.api):
            said = _message(reply.value) or json.dumps(reply.value)[:120]
            return _Reply(None, f"an answer without completions: {said}", reply.status)
        return reply

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> _Reply:
        """Sends one request.

        Raises:
          EngineError: the connection failed or timed out.
        """
        try:
            response = await self._client.request(method, self._url + path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EngineError(f"no connection ({type(error).__name__}: {error})") from error
        except httpx.TimeoutException as error:
            self._reached = True  # it listens, and is busy or loads its model
            raise EngineError(f"no answer within {self._settings.timeout_s:g} s ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise EngineError(f"the connection failed ({type(error).__name__}: {error})") from error
        self._reached = True
        try:
            value = response.json()
        except ValueError:
            value = None
        if response.is_success and isinstance(value, dict):
            return _Reply(value, "", response.status_code)
        said = _message(value) or response.text[:200].strip()
        trouble = f"HTTP {response.status_code}" if not response.is_success else "an answer that is not JSON"
        return _Reply(
            value if isinstance(value, dict) else {},
            f"{trouble}: {said}" if said else trouble,
            response.status_code,
            _seconds(response.headers.get("retry-after")),
        )

    def _forget_refused(self, body: Mapping[str, Any], reply: _Reply) -> bool:
        """Whether the server named fields that can be left out; they are, from now on."""
        if reply.status in (401, 403):
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

    async def _refusal(self, path: str, reply: _Reply) -> Exception:
        said = reply.trouble
        if reply.status in (401, 403):
            return ModelError(
                f"{self._url} refuses the key ({said}); put the right one into the environment variable "
                f"{self._settings.api_key_env}"
            )
        if any(phrase in said.lower() for phrase in _TOO_LONG):
            return ContextLengthError(f"the prompt is too long for {self._model}: {said}")
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


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came back: the JSON object, what is wrong with it ("" for nothing), the status (0: no answer at all)."""

    value: Any
    trouble: str
    status: int
    retry_after: float = 0.0


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
        if choice.get("finish_reason") != "stop" or not self.markers:
            return text, None
        if self.late:
            ended = next((m for m, head in self.heads.items() if text.endswith(head)), None)
            return (text[: -len(self.heads[ended])], ended) if ended else (text, None)
        if any(key in choice for key in _NAMED_STOP):
            return text, None  # a server that names stop strings, and did not: the model ended the sequence itself
        raise _UnknownStop


def _has_choices(value: Any, api: str) -> bool:
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
        return False
    return all(isinstance(c.get("text"), str) if api == "completions" else "message" in c for c in choices)


def _message(value: Any) -> str:
    """What a server says about an error, in any of the shapes in use."""
    if not isinstance(value, dict):
        return ""
    error = value.get("error", value.get("detail", value.get("message", "")))
    if isinstance(error, dict):
        return " ".join(str(error[key]) for key in ("message", "code", "param") if error.get(key))
    return error if isinstance(error, str) else json.dumps(error)


def _token_logprobs(choice: Mapping[str, Any]) -> list[float]:
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict):
        return []
    if isinstance(logprobs.get("token_logprobs"), list):
        return [float(v) for v in logprobs["token_logprobs"] if v is not None]
    content = logprobs.get("content")
    return [float(t["logprob"]) for t in content] if isinstance(content, list) else []


def _logprob(choice: Mapping[str, Any]) -> float:
    return sum(_token_logprobs(choice))


def _estimated(text: str) -> int:
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)


def _seconds(header: str | None) -> float:
    try:
        return min(max(float(header or 0), 0.0), LONGEST_PAUSE_S)
    except ValueError:
        return 0.0  # a date: the growing pauses do as well


def _listed(names: Sequence[str]) -> str:
    return "" if not names else " " + ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
