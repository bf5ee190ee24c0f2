"""`POST /v1/completions`, for clients without chat: each prompt is a question, and its completion the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from rstar_math.api.model import RStarMathModel
from rstar_math.errors import ConfigError
from rstar_math.serve.attending import client_id, unless_gone
from rstar_math.serve.dial import Dial, dial
from rstar_math.serve.errors import RequestError, refused
from rstar_math.serve.ignored import check_others
from rstar_math.serve.questions import checked_question
from rstar_math.serve.replies import Json, envelope, report, said, usage
from rstar_math.serve.requests import CompletionRequest
from rstar_math.serve.searches import Ask, Outcome, Running, Searches
from rstar_math.serve.sending import END, JsonReply, event, named, stream_reply
from rstar_math.serve.settings import ServeSettings


async def completions(
    asked: CompletionRequest,
    searches: Searches,
    names: Mapping[str, tuple[RStarMathModel, str | None]],
    settings: ServeSettings,
    request: Request,
) -> Response:
    """Answers every prompt, `n` times each.

    Raises:
      RequestError: the request asks for what there is not, or there is no room for it.
    """
    notes = check_others(asked.others)
    how = dial(asked, names)
    questions = [_question(prompt, how, settings.max_question_chars) for prompt in asked.prompts]
    num_each = asked.n or 1
    if len(questions) * num_each > settings.max_choices:
        message = (
            f"{len(questions)} prompts {num_each} times are more than {settings.max_choices} answers in one request"
        )
        raise refused("prompt", message, "invalid_value")
    asks = [Ask(question, how, how.seed + k) for question in questions for k in range(num_each)]
    running = searches.begin("cmpl", client_id(request), asks, streams=False)
    if asked.stream:
        return stream_reply(running.id, _events(running, asked, notes), settings)
    outcomes = await unless_gone(running.outcomes(), running, request)
    choices = []
    for index, outcome in enumerate(outcomes):
        one = said(outcome, asked.max_tokens, asked.stops)
        choices.append(_choice(index, "".join(one.message.pieces), one.finish_reason) | {"rstar": report(one, notes)})
    body = envelope(running, "text_completion", asked.model, choices)
    return JsonReply(body | {"usage": usage(outcomes)}, headers=named(running.id))


def _question(prompt: str | Sequence[int], how: Dial, most_chars: int) -> str:
    """The text of a prompt, which may come as tokens of the model's."""
    if isinstance(prompt, str):
        return checked_question(prompt, most_chars, "prompt")
    try:
        text = how.model.decode(prompt)
    except ConfigError as error:
        raise refused("prompt", str(error), "invalid_value") from None
    if text is None:
        raise refused("prompt", f"nobody here knows the tokens of {how.name}; send the prompt as text")
    return checked_question(text, most_chars, "prompt")


def _choice(index: int, text: str, finish_reason: str | None = None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


async def _events(running: Running, asked: CompletionRequest, notes: Sequence[str]) -> AsyncIterator[ServerSentEvent]:
    """The chunks: each answer when it is found, in pieces; at last the usage, where it is wanted."""

    def chunk(*choices: Json, **more: object) -> ServerSentEvent:
        body = envelope(running, "text_completion", asked.model, choices)
        return event(body | ({"usage": None} if asked.wants_usage else {}) | more)

    outcomes: list[Outcome] = []
    try:
        async for index, happening in running.happenings():
            if isinstance(happening, RequestError):
                yield event(happening.body)
                return
            if isinstance(happening, Outcome):
                outcomes.append(happening)
                one = said(happening, asked.max_tokens, asked.stops)
                for piece in one.message.pieces:
                    yield chunk(_choice(index, piece))
                yield chunk(_choice(index, "", one.finish_reason) | {"rstar": report(one, notes)})
        if asked.wants_usage:
            yield chunk(usage=usage(outcomes))
        yield END
    finally:
        running.give_up()
