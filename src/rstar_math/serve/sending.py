"""Bytes of replies: JSON in which no control character stands as it is, and events of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from rstar_math.serve.errors import RequestError
from rstar_math.serve.settings import ServeSettings
from rstar_math.terminal.visible import visible_json


class JsonReply(Response):
    """A reply of JSON."""

    media_type = "application/json"

    def __init__(self, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(visible_json(value), status, headers)


def error_reply(error: RequestError, headers: Mapping[str, str] | None = None) -> JsonReply:
    """A reply that says what is wrong, with further headers."""
    return JsonReply(error.body, error.status, error.headers | dict(headers or {}))


def named(id: str) -> dict[str, str]:
    """The header by which OpenAI's clients name a request when they ask their users to report it."""
    return {"X-Request-Id": id}


def event(value: object) -> ServerSentEvent:
    """One event of a stream."""
    return ServerSentEvent(visible_json(value), sep="\n")


END = ServerSentEvent("[DONE]", sep="\n")


def stream_reply(id: str, events: AsyncIterator[ServerSentEvent], settings: ServeSettings) -> EventSourceResponse:
    """A stream of events, with comment lines where nothing else happens; `id` is the request's."""
    return EventSourceResponse(
        events,
        headers=named(id),
        sep="\n",
        ping=settings.ping_s,
        ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"),
        send_timeout=settings.send_s,
    )
