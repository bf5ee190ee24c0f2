"""`POST /v1/chat/completions`: the search's answer as an assistant's message, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from rstar_math.api.model import RStarMathModel
from rstar_math.serve.dial import dial
from rstar_math.serve.errors import RequestError, refused
from rstar_math.serve.ignored import check_others
from rstar_math.serve.questions import question_of
from rstar_math.serve.replies import Json, chat_choice, chat_delta, envelope, reasoning_delta, report, said, usage
from rstar_math.serve.requests import ChatRequest
from rstar_math.serve.searches import Ask, Begun, Outcome, Running, Searches
from rstar_math.serve.sending import END, JsonReply, event, stream_reply
from rstar_math.serve.settings import ServeSettings
from rstar_math.serve.wording import thought, thoughts

T = TypeVar("T")


async def chat(
    asked: ChatRequest,
    searches: Searches,
    names: Mapping[str, tuple[RStarMathModel, str | None]],
    settings: ServeSettings,
    request: Request,
) -> Response:
    """Answers a conversation's last message.

    Raises:
      RequestError: the request asks for what there is not, or there is no room for it.
    """
    notes = check_others(asked.others)
    question, further = question_of(asked.messages, settings.max_question_chars)
    notes += further
    how = dial(asked, names)
    num_choices = asked.n or 1
    if num_choices > settings.max_choices:
        raise refused("n", f"n is {num_choices}; at most {settings.max_choices} answers are given")
    asks = [Ask(question, how, how.seed + k) for k in range(num_choices)]
    running = searches.begin("chatcmpl", client_id(request), asks, bool(asked.stream))
    if asked.stream:
        return stream_reply(_events(running, asked, notes), settings)
    outcomes = await unless_gone(running.outcomes(), running, request)
    choices = [said(outcome, _most_tokens(asked), asked.stops) for outcome in outcomes]
    body = envelope(
        running,
        "chat.completion",
        asked.model,
        [chat_choice(i, one, thoughts(one.outcome.events), notes) for i, one in enumerate(choices)],
    )
    return JsonReply(body | {"usage": usage(outcomes)})


def client_id(request: Request) -> str | None:
    """What the client calls its request, for the control call."""
    return request.headers.get("x-client-request-id", "")[:256] or None


async def unless_gone(work: Coroutine[Any, Any, T], running: Running, request: Request) -> T:
    """Awaits `work`, and gives the searches up where the client goes away, or anything fails.

    Raises:
      RequestError: 499 where the client is gone (nobody reads it); whatever `work` raises.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RequestError(499, "the client went away")
        return working.result()
    finally:
        running.give_up()
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _most_tokens(asked: ChatRequest) -> int | None:
    return asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens


async def _events(running: Running, asked: ChatRequest, notes: Sequence[str]) -> AsyncIterator[ServerSentEvent]:
    """The chunks: a role, the thinking as it comes, the message, why it ended; the usage at last, where wanted."""
    wants_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)

    def chunk(*choices: Json, **more: object) -> ServerSentEvent:
        body = envelope(running, "chat.completion", asked.model, choices, chunk=True)
        return event(body | ({"usage": None} if wants_usage else {}) | more)

    outcomes: list[Outcome] = []
    try:
        async for index, happening in running.happenings():
            match happening:
                case Begun():
                    yield chunk(chat_delta(index, {"role": "assistant", "content": ""}))
                case RequestError():
                    yield event(happening.body)
                    return
                case Outcome():
                    outcomes.append(happening)
                    one = said(happening, _most_tokens(asked), asked.stops)
                    for piece in one.message.pieces:
                        yield chunk(chat_delta(index, {"content": piece}))
                    yield chunk(chat_delta(index, {}, one.finish_reason) | {"rstar": report(one, notes)})
                case _:
                    if text := thought(happening):
                        yield chunk(chat_delta(index, reasoning_delta(text)))
        if wants_usage:
            yield chunk(usage=usage(outcomes))
        yield END
    finally:
        running.give_up()
