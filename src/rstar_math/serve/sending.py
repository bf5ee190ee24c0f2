"""Bytes of replies: JSON in which no control character stands as it is, and events of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from rstar_math.serve.errors import RequestError
from rstar_math.serve.settings import ServeSettings
from rstar_math.terminal.visible import visible_json


class JsonReply(Response):
    """A reply of JSON."""

    media_type = "application/json"

    def __init__(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(visible_json(value), status, headers)


def error_reply(error: RequestError) -> JsonReply:
    """A reply that says what is wrong."""
    return JsonReply(error.body, error.status, error.headers)


def event(value: object) -> ServerSentEvent:
    """One event of a stream."""
    return ServerSentEvent(visible_json(value), sep="\n")


END = ServerSentEvent("[DONE]", sep="\n")


def stream_reply(events: AsyncIterator[ServerSentEvent], settings: ServeSettings) -> EventSourceResponse:
    """A stream of events, with comment lines where nothing else happens."""
    return EventSourceResponse(
        events,
        sep="\n",
        ping=settings.ping_s,
        ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"),
        send_timeout=settings.send_s,
    )
