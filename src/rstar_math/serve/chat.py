"""`POST /v1/chat/completions`: the search's answer as an assistant's message, whole or as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from rstar_math.api.model import RStarMathModel
from rstar_math.serve.attending import client_id, unless_gone
from rstar_math.serve.dial import dial
from rstar_math.serve.errors import RequestError, refused
from rstar_math.serve.ignored import check_others
from rstar_math.serve.questions import question_of
from rstar_math.serve.replies import Json, chat_choice, chat_delta, envelope, reasoning_delta, report, said, usage
from rstar_math.serve.requests import ChatRequest
from rstar_math.serve.searches import Ask, Begun, Outcome, Running, Searches
from rstar_math.serve.sending import END, JsonReply, event, named, stream_reply
from rstar_math.serve.settings import ServeSettings
from rstar_math.serve.wording import thought, thoughts


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
        return stream_reply(running.id, _events(running, asked, notes), settings)
    outcomes = await unless_gone(running.outcomes(), running, request)
    choices = [said(outcome, _most_tokens(asked), asked.stops) for outcome in outcomes]
    body = envelope(
        running,
        "chat.completion",
        asked.model,
        [chat_choice(i, one, thoughts(one.outcome.events), notes) for i, one in enumerate(choices)],
    )
    return JsonReply(body | {"usage": usage(outcomes)}, headers=named(running.id))


def _most_tokens(asked: ChatRequest) -> int | None:
    return asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens


async def _events(running: Running, asked: ChatRequest, notes: Sequence[str]) -> AsyncIterator[ServerSentEvent]:
    """The chunks: a role, the thinking as it comes, the message, why it ended; the usage at last, where wanted."""

    def chunk(*choices: Json, **more: object) -> ServerSentEvent:
        body = envelope(running, "chat.completion", asked.model, choices, chunk=True)
        return event(body | ({"usage": None} if asked.wants_usage else {}) | more)

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
        if asked.wants_usage:
            yield chunk(usage=usage(outcomes))
        yield END
    finally:
        running.give_up()
