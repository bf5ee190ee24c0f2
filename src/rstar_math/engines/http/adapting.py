"""What to do about a server that refuses something: find out what it is, and ask otherwise from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from rstar_math.config import EndpointSettings
from rstar_math.engines.http.failures import names_of
from rstar_math.engines.http.refusals import OPTIONAL, Kind, is_about_size, largest_below, refused_fields
from rstar_math.engines.http.replies import Reply
from rstar_math.engines.http.requests import CONTINUING, Api, Dialect, Request
from rstar_math.engines.http.transport import Line

_SMALLEST_LIMIT = 16
_MOST_WANTED = (
    ("max_tokens",),
    ("max_completion_tokens",),
    ("stop",),
    ("temperature",),
    ("top_p",),
    ("n",),
    tuple(sorted(CONTINUING)),
    ("seed",),
    ("logprobs",),
    ("skip_special_tokens",),
)
"""In which order fields are put back, to find out which of them a server does not accept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request, and what came of it; `kind` is None where there are completions."""

    reply: Reply
    kind: Kind | None
    request: Request | None = None


Make = Callable[[Collection[str]], Request]
Send = Callable[[Request], Awaitable[Outcome]]


class Adapting:
    """Changes a dialect when the server refuses something: one change at a time, whatever is in flight."""

    def __init__(
        self, dialect: Dialect, settings: EndpointSettings, transport: Line, say: Callable[[str, str], None]
    ) -> None:
        """Changes nothing yet.

        Args:
          dialect: is changed in place.
          settings: of the endpoint; what its user set by hand is not changed.
          transport: connections to the server.
          say: tells a person once about a change, given its name and a sentence.
        """
        self._dialect, self._settings, self._transport, self._say = dialect, settings, transport, say
        self._lock = asyncio.Lock()
        self._proven: set[frozenset[str]] = set()
        self._searched: set[frozenset[str]] = set()
        self._longest = 0

    def accepted(self, request: Request) -> None:
        """Remembers that the server answers requests with these fields, and prompts of this length."""
        self._proven.add(frozenset(request.body))
        self._longest = max(self._longest, request.num_chars)

    def is_proven(self, request: Request) -> bool:
        """Whether the server answered another request with the same fields."""
        return frozenset(request.body) in self._proven

    def is_longest(self, request: Request) -> bool:
        """Whether the prompt is longer than all that the server answered."""
        return request.num_chars > self._longest

    async def meet(self, outcome: Outcome, version: int, make: Make, send: Send, answered: bool) -> bool:
        """Whether something was changed, so that asking again may help.

        Args:
          outcome: what the server refused.
          version: of the dialect that was spoken.
          make: makes the same request without some fields, in the present dialect.
          send: sends a request.
          answered: whether the server ever gave completions.
        """
        async with self._lock:
            if self._dialect.version != version:
                return True  # another request found out in the meantime
            if outcome.kind == "refused":
                return await self._leave_out(outcome, make, send)
            if outcome.kind in ("no_endpoint", "page", "garbled") and not answered:
                if await self.go_below(outcome.reply):
                    return True
                return outcome.kind == "no_endpoint" and await self._change_api(outcome, make, send)
            return False

    async def go_below(self, reply: Reply) -> bool:
        """Whether the API stands at /v1 below the URL; further requests go there."""
        url = self._transport.shown_url
        if "/v1" in url or "/v2" in url or "/openai" in url:
            return False
        if not names_of((await self._transport.send("GET", "/v1/models")).value):
            return False
        self._transport.move("/v1")
        self._changed("below", f"{url} is not where the API begins ({reply.trouble}); {url}/v1 is, and is used")
        return True

    async def _change_api(self, outcome: Outcome, make: Make, send: Send) -> bool:
        """Whether the server has the other API, which is used from then on."""
        if "api" in self._settings.model_fields_set:
            return False
        before = self._dialect.api
        other: Api = "chat" if before == "completions" else "completions"
        self._dialect.api = other
        tried = await send(make(()))
        if tried.kind in ("no_endpoint", "no_model", "page", "garbled", "redirected") or tried.reply.status == 0:
            self._dialect.api = before
            return False
        self._changed(
            "api",
            f"{self._transport.shown_url} has no {before} for this model ({outcome.reply.trouble}); it is asked "
            f"by {other}. To choose that yourself: ?api={other} in the URL, or endpoint.api in a model file",
        )
        return True

    async def _leave_out(self, outcome: Outcome, make: Make, send: Send) -> bool:
        """Whether fields could be found that the server does not accept; they are sent otherwise, or not at all."""
        assert outcome.request is not None
        body = outcome.request.body
        named = refused_fields(outcome.reply, body, self._settings.model) - set(self._settings.extra_body)
        if {"temperature", "top_p"} <= named:  # one of them, by servers that take either
            named -= {"temperature"}
        if named:
            return self._refuse(named, outcome)
        fields = frozenset(body)
        if fields in self._proven or fields in self._searched:
            return False  # it is about something else
        self._searched.add(fields)
        left_out = {f for f in OPTIONAL if f in body} - set(self._settings.extra_body)
        if self._settings.continuation == "continue":
            left_out -= CONTINUING
        if not left_out or (await send(make(left_out))).kind is not None:
            return False
        for group in _MOST_WANTED:
            if left_out & set(group) and (await send(make(left_out - set(group)))).kind is None:
                left_out -= set(group)
        return self._refuse(frozenset(left_out), outcome, found_out=True)

    def _refuse(self, names: frozenset[str], outcome: Outcome, found_out: bool = False) -> bool:
        """Speaks otherwise from now on; whether anything changed."""
        assert outcome.request is not None
        dialect, reply, body = self._dialect, outcome.reply, outcome.request.body
        url = self._transport.shown_url
        if names & CONTINUING:
            if self._settings.continuation == "continue":
                return False
            dialect.restate = True
            self._changed("restate", f"{url} cannot go on from a prefix; it is asked for the next step instead")
            names -= CONTINUING
        if dialect.limit_field in names:
            self._limit(reply, int(body[dialect.limit_field]))
            names -= {dialect.limit_field}
        if "temperature" in names and not found_out and "unsupported_parameter" not in reply.complaint.codes:
            value = float(body["temperature"])
            dialect.refused_temperatures.add(value)
            self._changed(
                f"temperature {value}",
                f"{url} does not take temperature {value:g} ({reply.trouble}); completions are drawn at the next "
                "one that it takes, or at its own",
            )
            names -= {"temperature"}
        if "n" in names:
            dialect.fan_out = True
            self._changed("fan_out", f"{url} gives one completion a request; it is asked once for each candidate")
            names -= {"n"}
            dialect.refused.add("n")
        if names:
            dialect.refused |= names
            shown = ", ".join(sorted(names))
            meant = "; steps are cut at their markers here, and cost what the model writes behind them" * (
                "stop" in names
            )
            self._changed(f"refused {shown}", f"{url} does not accept {shown} ({reply.trouble}); left out{meant}")
        return True

    def _limit(self, reply: Reply, asked: int) -> None:
        """Names the token limit otherwise, lowers it, or leaves it out."""
        dialect, url = self._dialect, self._transport.shown_url
        if is_about_size(reply):
            lower = largest_below(reply, asked) or asked // 2
            if lower >= _SMALLEST_LIMIT:
                dialect.largest_limit = lower
                self._changed("limit", f"{url} writes at most {lower} tokens ({reply.trouble}); no more are asked for")
                return
        if dialect.limit_field == "max_tokens" and (dialect.api == "chat" or "max_completion_tokens" in reply.trouble):
            dialect.limit_field = "max_completion_tokens"
            self._changed("limit name", f"{url} does not accept max_tokens; max_completion_tokens is sent instead")
            return
        dialect.refused.add(dialect.limit_field)
        self._changed(
            "no limit",
            f"{url} takes no limit of tokens ({reply.trouble}); completions may be longer than was asked for",
        )

    def _changed(self, what: str, message: str) -> None:
        self._dialect.version += 1
        self._say(what, message)
