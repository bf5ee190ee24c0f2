"""A policy behind any OpenAI-compatible endpoint (vLLM, SGLang, llama.cpp, Ollama, LM Studio, TGI, OpenAI, ...).

Such servers differ in what they leave out and in what they refuse. The engine finds out by itself, once, and remembers
(`http_requests.Dialect`):

- a field that the server does not accept is no longer sent, or sent in the words that it accepts. Where the server does
  not say which field it is, the engine leaves all of them out and puts them back one by one;
- a server that gives one completion for `n` is asked n times;
- a server that has chat only is asked by chat;
- the stop string that ended a completion is put back: from the text, from the server's own field for it, or else by
  stopping a few characters late, so that what is left of the marker tells which one it was.

A prompt that does not fit is a `ContextLengthError`, which a search understands; one that is refused for itself (a
content filter) gives empty completions. Failures that may pass (429, 5xx, time-outs, broken connections) are tried
again with growing pauses; all others end at once with an error that says what to do. Whatever was unusable is counted,
and said when the engine is closed (`notes`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from rstar_math import steps as step_format
from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation, Note
from rstar_math.engines.few_shot import Bootstrap, cleaned
from rstar_math.engines.http.adapting import Adapting, Outcome
from rstar_math.engines.http.completions import (
    StartedAgain,
    Stops,
    UnknownStop,
    completion_of,
    estimated_counts,
    estimated_tokens,
    malformed,
    starts_again,
    token_counts,
    whole_number,
    without_opening,
    written,
)
from rstar_math.engines.http.failures import failure, listed, names_of
from rstar_math.engines.http.notes import EndpointCounts, PromptWatch, notes_of
from rstar_math.engines.http.refusals import kind_of, room_left
from rstar_math.engines.http.replicas import Replicas
from rstar_math.engines.http.requests import Dialect, Request, make_request
from rstar_math.engines.http.transport import Transport
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.types import Completion, SamplingParams

_log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
FIRST_CONTACT_S = 10.0
"""A server that was never reached is given up after this time: it is more likely not there than busy."""

FIRST_ANSWER_TRIES = 4
"""A server that never gave an answer that can be read is given up after so many: it will not learn to."""

CRASHES_BEFORE_DOUBT = 3
"""After so many internal errors over one request it is tried without its optional fields."""

MAX_REFUSED_IN_A_ROW = 3
"""Single prompts that a server refuses though it answered like requests; one more, and it is not about the prompt."""

MAX_USELESS = 16
"""Where so many completions came, and each was a thought without a step or was kept back, others will be as well."""

_SAID_AT_ONCE = ("adapted", "repeated", "restated", "estimated")


class _Withheld(Exception):
    """The server refuses this prompt, and no other."""


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
          url: base URL, for example `http://localhost:8000/v1`; others of the same model in `settings.replicas`.
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
        urls = (url, *self._settings.replicas)
        self._transport = Replicas([Transport(u.rstrip("/"), key, self._settings.timeout_s) for u in urls])
        self._gate = asyncio.Semaphore(self._settings.max_requests)
        self._model = self._settings.model
        self._model_lock = asyncio.Lock()
        self._dialect = Dialect(self._settings.api, restate=self._settings.continuation == "restate")
        self._adapting = Adapting(self._dialect, self._settings, self._transport, self._say)
        self._watch = PromptWatch()
        self._said: dict[str, str] = {}
        self._refused_in_a_row = 0
        self._is_told = False

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the server says that the prompt is too long for the model.
          ModelError: the server refuses the key, has no credit for it, does not know the model, stands elsewhere, or
            its model only thinks.
          EngineError: the server refuses the request, or did not answer in time, again and again.
        """
        if self._model is None:
            await self._choose_model()
        try:
            generation = await self._draw(prompt, params)
        except _Withheld:  # one token each, so that a budget of tokens ends
            blank = Completion("", None, 1, 0.0, "withheld")
            generation = Generation((blank,) * params.n, estimated_tokens(len(prompt)))
        self.counts.count(generation.completions)
        useless = self.counts.num_useless
        if useless >= MAX_USELESS and useless == self.counts.completions:
            (note, *_) = self.notes()
            self._is_told = True
            raise ModelError(note.text)
        return generation

    async def model_names(self) -> list[str]:
        """The models that the server lists; empty where it lists none, or does not answer."""
        return names_of((await self._transport.send("GET", "/models")).value)

    def notes(self) -> Sequence[Note]:
        """What was unusable or degraded so far."""
        return notes_of(self.counts, self._transport.shown_url, tuple(self._said.values()))

    async def aclose(self) -> None:
        """Closes the connections, and says what was unusable."""
        if not self._is_told:
            for note in self.notes():
                if note.kind not in _SAID_AT_ONCE:
                    _log.warning(note.text)
        self._is_told = True
        await self._transport.aclose()

    async def _draw(self, prompt: str, params: SamplingParams) -> Generation:
        """As many requests as it takes."""
        wanted = params.n
        first, answers = 0, []
        # at temperature 0 all are the same, and some servers refuse to make them in one request
        if wanted == 1 or not (self._dialect.fan_out or params.temperature == 0):
            answers.append(await self._ask(prompt, params))
            first = len(answers[0].completions)
            if first >= wanted:
                return Generation(answers[0].completions[:wanted], answers[0].num_prompt_tokens)
            if not self._dialect.fan_out:
                url = self._transport.shown_url
                self._say("fan_out", f"{url} gives one completion a request; it is asked once for each candidate")
                self._dialect.fan_out = True
        answers += await asyncio.gather(
            *(self._ask(prompt, replace(params, n=1, seed=params.seed + i)) for i in range(first, wanted)),
        )
        completions = tuple(c for answer in answers for c in answer.completions)
        return Generation(completions[:wanted], answers[0].num_prompt_tokens if answers else 0)

    async def _ask(self, prompt: str, params: SamplingParams) -> Generation:
        """One request for `params.n` completions; there may be fewer in the answer."""
        while True:
            stops = Stops(params.stop, self._dialect.stop_late)
            outcome = await self._post(prompt, params, stops)
            try:
                return self._generation(outcome, stops)
            except UnknownStop:
                url = self._transport.shown_url
                self._say("stop", f"{url} does not say which stop string it met; stopping late to see it")
                self._dialect.stop_late = True
                self.counts.repeated_for_stop += 1
            except StartedAgain:
                url = self._transport.shown_url
                self._say("restate", f"{url} does not go on from a prefix; it is asked for the next step instead")
                self._dialect.restate = True
                self.counts.retries += 1

    def _generation(self, outcome: Outcome, stops: Stops) -> Generation:
        """The completions of an answer that is known to have choices."""
        value, request = outcome.reply.value, outcome.request
        assert request is not None
        choices: list[dict[str, Any]] = value["choices"]
        usage = value.get("usage")
        counts = token_counts(choices, usage)
        found = [written(choice) for choice in choices]
        if self._settings.continuation != "continue" and any(starts_again(f.text, request.continued) for f in found):
            raise StartedAgain
        if request.restated:
            found = [replace(f, text=without_opening(f.text)) for f in found]
        made = [
            completion_of(choice, f, stops, num_tokens, "stop" in request.body)
            for choice, f, num_tokens in zip(choices, found, counts or estimated_counts(choices), strict=True)
        ]
        if counts is None:
            url = self._transport.shown_url
            self._say("usage", f"{url} does not count tokens; they are estimated from the length of the text")
            self.counts.estimated_tokens += len(made)
        if self._bootstrap:
            made = [replace(c, text=cleaned(c.text)) for c in made]
        self.counts.restated += request.restated
        num_prompt = whole_number(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
        if num_prompt and self._watch.seems_cut(request.num_chars, num_prompt):
            self.counts.cut_prompts += 1
            self._say("cut", notes_of(self.counts, self._transport.shown_url, (), only="cut_prompt")[0].text)
        return Generation(tuple(made), num_prompt or estimated_tokens(request.num_chars))

    async def _choose_model(self) -> None:
        async with self._model_lock:
            if self._model is None:
                outcome = await self._until_answered("/models", self._list_models)
                names = names_of(outcome.reply.value)
                if len(names) != 1:
                    url = self._transport.shown_url
                    raise ModelError(
                        f"{url} serves {len(names)} models{listed(names)}; name one: "
                        f"{url}?model=NAME (or endpoint.model in a model file)"
                    )
                self._model = names[0]

    async def _list_models(self) -> Outcome:
        reply = await self._transport.send("GET", "/models")
        if not reply.trouble:
            return Outcome(reply, None)
        kind = kind_of(reply, {}, None)
        if kind in ("no_endpoint", "page", "garbled") and await self._adapting.go_below(reply):
            return await self._list_models()
        return Outcome(reply, kind)

    async def _post(self, prompt: str, params: SamplingParams, stops: Stops) -> Outcome:
        """Sends a request, in the words that the server takes, until it is answered with completions.

        Raises:
          _Withheld: the server refuses this prompt, and no other.
          ModelError, ContextLengthError, EngineError: see `generate`.
        """
        asked = params
        num_crashes = 0
        about = prompt.partition(step_format.ASSISTANT_TURN)[0]  # the same for all steps of a question

        def make(without: Collection[str] = ()) -> Request:
            return make_request(
                self._dialect, self._settings, self._bootstrap, self._model, prompt, asked, stops.sent, without
            )

        async def send(request: Request) -> Outcome:
            async with self._gate:
                reply = await self._transport.send("POST", request.path, request.body, about)
            if not reply.trouble:
                reply = replace(reply, trouble=malformed(reply.value))
            kind = kind_of(reply, request.body, self._model) if reply.trouble else None
            return Outcome(reply, kind, request)

        async def attempt() -> Outcome:
            nonlocal asked, num_crashes
            while True:
                version, request = self._dialect.version, make()
                outcome = await send(request)
                if outcome.kind is None:
                    return outcome
                if outcome.kind == "too_long":
                    room = room_left(outcome.reply, asked.max_tokens)
                    if room is None:
                        return outcome
                    # a prompt that is counted to the limit only seems to leave room: halving ends
                    asked = replace(asked, max_tokens=room if asked is params else min(room, asked.max_tokens // 2))
                    if asked.max_tokens < 1:
                        return outcome
                    continue
                num_crashes += outcome.reply.meant_status == 500
                # a server that crashes again and again may do so over a field of the request
                doubted = replace(outcome, kind="refused") if num_crashes == CRASHES_BEFORE_DOUBT else outcome
                if not await self._adapting.meet(doubted, version, make, send, self.counts.requests > 0):
                    return outcome

        outcome = await self._until_answered(make().path, attempt)
        assert outcome.request is not None
        self.counts.requests += 1
        self._refused_in_a_row = 0
        self._adapting.accepted(outcome.request)
        return outcome

    async def _until_answered(self, path: str, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Repeats what failed in a way that may pass, with growing pauses.

        Raises:
          _Withheld, ModelError, ContextLengthError, EngineError: see `_post`.
        """
        began, pause, tries = time.monotonic(), FIRST_PAUSE_S, 0
        while True:
            outcome = await attempt()
            reply, kind = outcome.reply, outcome.kind
            if kind is None:
                return outcome
            self._raise_for_this_prompt(outcome)
            tries += 1
            url, answered = self._transport.shown_url, self.counts.requests > 0
            may_pass = kind in ("passing", "garbled") or (kind == "page" and answered)
            if not may_pass:
                raise await failure(kind, self._transport, path, reply, self._model, self._settings)
            patience = self._settings.max_retry_s
            if not self._transport.was_reached:
                patience = min(patience, FIRST_CONTACT_S)
            if kind == "garbled" and not answered and tries >= FIRST_ANSWER_TRIES:
                patience = 0.0
            # jitter spreads a crowd of requests; no result depends on it
            wait = max(reply.retry_after, pause * random.uniform(0.5, 1.0))
            if time.monotonic() + wait - began > patience:
                asks = f", and asks to wait {reply.retry_after:.0f} s" if reply.retry_after > pause else ""
                reached = "It was reached before" if self._transport.was_reached else "Is a server running there"
                if kind == "garbled" and not answered:
                    reached = (
                        "It never gave a completion: is this the API of a language model (the URL usually ends in /v1)"
                    )
                raise EngineError(
                    f"{url}{path} failed again and again: {reply.trouble}{asks}. {reached}; run the same command "
                    f"again to go on, or raise endpoint.max_retry_s ({self._settings.max_retry_s:g})"
                )
            self.counts.retries += 1
            self._say(f"retry {reply.status}", f"{url}: {reply.trouble}; trying again", adapted=False)
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _raise_for_this_prompt(self, outcome: Outcome) -> None:
        """Raises what concerns one prompt, and not the run."""
        reply, kind, request = outcome.reply, outcome.kind, outcome.request
        single = kind == "refused" and request is not None and self._adapting.is_proven(request)
        # a server that answered the same for shorter prompts says in words of its own that this one is too long
        if kind == "too_long" or (single and request is not None and self._adapting.is_longest(request)):
            self.counts.too_long += 1
            self.counts.last_too_long = reply.complaint.message or reply.trouble
            self._say("too_long", f"{self._transport.shown_url}: a prompt was too long: {reply.trouble}", adapted=False)
            raise ContextLengthError(f"the prompt is too long for {self._model}: {reply.trouble}")
        if single:
            self._refused_in_a_row += 1
        if kind == "withheld" or (single and self._refused_in_a_row <= MAX_REFUSED_IN_A_ROW):
            self._say("withheld", f"{self._transport.shown_url} refuses a prompt: {reply.trouble}", adapted=False)
            raise _Withheld

    def _say(self, what: str, message: str, adapted: bool = True) -> None:
        """Says a thing once per engine.

        Args:
          what: the thing.
          message: for a person.
          adapted: whether it is something that is asked for in another way from now on.
        """
        if what not in self._said:
            self._said[what] = message if adapted else ""
            _log.warning(message)
