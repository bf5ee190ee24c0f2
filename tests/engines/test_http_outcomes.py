"""Servers in trouble: what concerns one prompt, what passes, and what ends at once with the true reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from rstar_math import steps
from rstar_math.engines.base import Generation
from rstar_math.engines.http import engine as http_engine
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from tests.engines.asking import CHAT_SETTINGS, PARAMS, PROMPT, SETTINGS, STEP, Fixed, ask
from tests.engines.endpoint import Answer, Body, serving
from tests.engines.personalities import (
    END,
    Personality,
    error,
    refusing,
    stream,
)

pytestmark = pytest.mark.usefixtures("short_pauses")


TOO_LONG = {
    "vLLM": error("The decoder prompt (length 9000) is longer than the maximum model length of 4096.", 400, code=400),
    "vLLM 0.11": error(
        "This model's maximum context length is 4096 tokens. However, your request has 9000 input tokens. Please "
        "reduce the length of the input messages.",
        400,
        type="BadRequestError",
        code=400,
    ),
    "vLLM, new": error(
        "You passed 4097 input tokens and requested 0 output tokens. However, the model's context length is only 4096 "
        "tokens, resulting in a maximum input length of 4096 tokens. Please reduce the length of the input prompt. "
        "(parameter=input_tokens, value=4097)",
        400,
        param="input_tokens",
        code=400,
    ),
    "SGLang": Answer(
        {
            "object": "error",
            "message": "The input (9000 tokens) is longer than the model's context length (4096 tokens).",
            "type": "BadRequestError",
            "code": 400,
        },
        400,
    ),
    "SGLang, allowed length": Answer(
        {"message": "Input length (9000 tokens) exceeds the maximum allowed length (4096 tokens)."}, 400
    ),
    "llama.cpp": error(
        "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        400,
        type="exceed_context_size_error",
        n_prompt_tokens=9000,
        n_ctx=4096,
        code=400,
    ),
    "llama.cpp, as a crash": error("the request exceeds the available context size. try increasing it", 500, code=500),
    "llama.cpp, with status 200": error("the request exceeds the available context size", 200, code=400),
    "llama-cpp-python": error(
        "Requested tokens (9000) exceed context window of 4096", 500, type="internal_server_error"
    ),
    "LM Studio": Answer(
        {
            "error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded "
            "with context length of only 4096 tokens, which is not enough."
        },
        400,
    ),
    "LM Studio, new": Answer(
        {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}, 400
    ),
    "Ollama": error("the input length exceeds the context length", 400, type="api_error"),
    "TGI": Answer(
        {
            "error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 9000",
            "error_type": "validation",
        },
        422,
    ),
    "OpenAI": error(
        "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens. Please "
        "reduce the length of the messages.",
        400,
        type="invalid_request_error",
        param="messages",
        code="context_length_exceeded",
    ),
    "OpenAI, code alone": error("Your input is over the line.", 400, code="context_length_exceeded"),
    "Anthropic": Answer(
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 9000 tokens > 4096 maximum"},
        },
        400,
    ),
    "Gemini": Answer(
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (9000) exceeds the maximum number of tokens allowed (4096).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        400,
    ),
    "Mistral": Answer(
        {
            "message": "Prompt contains 9000 tokens and 0 draft tokens, too large for model with 4096 maximum context "
            "length"
        },
        400,
    ),
    "OpenRouter": error(
        "Provider returned error",
        400,
        code=400,
        metadata={"raw": '{"error":"This endpoint\'s maximum context length is 4096 tokens"}'},
    ),
    "LiteLLM": error(
        "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too much", 400, type=None
    ),
    "nginx": Answer(b"<html><head><title>413 Request Entity Too Large</title></head></html>", 413),
    "Groq, more than a minute gives": error(
        "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your "
        "message size and try again.",
        413,
        type="tokens",
        code="rate_limit_exceeded",
    ),
    "OpenAI, more than a minute gives": error(
        "Request too large for m on tokens per min (TPM): Limit 6000, Requested 9000.", 429, code="rate_limit_exceeded"
    ),
}


@pytest.mark.parametrize("api", ["completions", "chat"])
@pytest.mark.parametrize("kind", TOO_LONG)
def test_a_prompt_without_room_ends_the_search_of_its_problem_not_the_run(
    kind: str, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    long = "word " * 3000
    refuse: Callable[[Body], Answer | None] = lambda body: TOO_LONG[kind] if long in str(body) else None  # noqa: E731
    server = Personality(refuse=refuse)

    async def run() -> HttpEngine:
        async with serving(server) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS.model_copy(update={"api": api}))
            for _ in range(2):
                with pytest.raises(ContextLengthError):
                    await engine.generate(steps.prompt(long), PARAMS)
            generation = await engine.generate(PROMPT, PARAMS)
            assert [c.stop for c in generation.completions] == [END, END]
            await engine.aclose()
            return engine

    engine = asyncio.run(run())
    assert server.refused == 2
    assert engine.counts.too_long == 2
    (note,) = [note for note in engine.notes() if note.kind == "too_long"]
    assert note.count == 2
    assert note.text in caplog.text


ROOM = {
    "vLLM": "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 4096 "
    "tokens and your request has 4000 input tokens (512 > 4096 - 4000). None",
    "vLLM, old": "This model's maximum context length is 4096 tokens. However, you requested 4512 tokens (4000 in the "
    "messages, 512 in the completion). Please reduce the length of the messages or completion.",
    "SGLang": "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total "
    "of 4512 tokens: 4000 tokens from the input messages and 512 tokens for the completion.",
    "TGI": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens "
    "and 512 `max_new_tokens`",
    "OpenRouter": "This endpoint's maximum context length is 4,096 tokens. However, you requested about 4,512 tokens "
    "(4,000 of text input, 512 in the output).",
}


@pytest.mark.parametrize("server_name", ROOM)
def test_a_prompt_that_leaves_some_room_gets_what_is_left(server_name: str) -> None:
    server = Personality(refuse=refusing("max_tokens", error(ROOM[server_name], 400), lambda v: v > 96))
    (generation,), engine = ask(server, replace(PARAMS, n=1))
    assert generation.completions[0].stop == END
    assert [body["max_tokens"] for _, body in server.requests] == [512, 96]
    assert engine.counts.too_long == 0


def test_a_prompt_that_only_seems_to_leave_room_does_not_go_on_for_ever() -> None:
    def refuse(body: Body) -> Answer:  # vLLM counts a prompt up to what would fit, and no further
        asked = body["max_tokens"]
        said = (
            f"You passed {4097 - asked} input tokens and requested {asked} output tokens. However, the model's context "
        )
        return error(f"{said}length is only 4096 tokens, resulting in a maximum input length of {4096 - asked} tokens.")

    server = Personality(refuse=refuse)
    with pytest.raises(ContextLengthError):
        ask(server)
    assert len(server.requests) <= 12


PASSING = {
    "Azure, tokens a minute": error(
        "Rate limit reached: Limit 6000, Used 5990, Requested 900.", 429, code="rate_limit_exceeded"
    ),
    "Gemini, a quota of a minute": Answer(
        {"error": {"code": 429, "message": "You exceeded your current quota, check your plan and billing details."}},
        429,
        {"Retry-After": "0.001"},
    ),
    "llama.cpp loads": error("Loading model", 503, type="unavailable_error", code=503),
    "HF loads": Answer({"error": "Model m is currently loading", "estimated_time": 20.0}, 503),
    "LM Studio restarts": error("The model has crashed without additional information.", 500),
    "vLLM is busy": error("context deadline exceeded", 503),
    "a gateway": Answer(b"<html><title>502 Bad Gateway</title></html>", 502),
    "a stream that breaks off": Answer(stream([{"choices": [{"index": 0, "text": "\nx = "}]}], done=False)),
    "a stream with an error": Answer(stream([{"error": {"message": "overloaded", "code": 529}}])),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_waited_for(kind: str) -> None:
    server, left = Personality(), [PASSING[kind]] * 2
    server.refuse = lambda body: left.pop() if left else None
    (generation,), engine = ask(server)
    assert generation.completions[0].text == STEP
    assert engine.counts.retries == 2


AT_ONCE: dict[str, tuple[Answer, type[Exception], str]] = {
    "OpenAI, no credit": (
        error("You exceeded your current quota.", 429, type="insufficient_quota", code="insufficient_quota"),
        ModelError,
        r"no credit left .*Add credit",
    ),
    "OpenAI, no credit, type alone": (
        error("Over.", 429, type="insufficient_quota", code=None),
        ModelError,
        "no credit",
    ),
    "DeepSeek, no credit": (error("Insufficient Balance", 402, type="unknown_error"), ModelError, "no credit left"),
    "OpenRouter, no credit": (
        error("This request requires more credits.", 402, code=402),
        ModelError,
        "no credit left",
    ),
    "Anthropic, no credit": (error("Your credit balance is too low to access the API."), ModelError, "no credit left"),
    "a web page": (
        Answer(
            b"<!doctype html><html><head><title>Open WebUI</title></head></html>", headers={"Content-Type": "text/html"}
        ),
        ModelError,
        r"a page for people.*Open WebUI.*usually it ends in /v1",
    ),
    "a word": (Answer(b"Ollama is running"), ModelError, "Ollama is running.*usually it ends in /v1"),
    "no key": (error("You didn't provide an API key.", 401), ModelError, r"asks for a key.*OPENAI_API_KEY holds none"),
    "a firewall": (Answer(b"<html>Just a moment...</html>", 403), ModelError, "asks for a key .*Just a moment"),
    "no such model": (
        error('model "m:7b" not found, try pulling it first', 404, type="not_found_error"),
        ModelError,
        "does not know the model 'm'.*try pulling it first",
    ),
    "no access to the model": (
        error("Project `p` does not have access to model `m`", 403, code="model_not_found"),
        ModelError,
        "does not know the model 'm'.*does not have access",
    ),
    "too little memory": (
        error("model requires more system memory (40 GiB) than is available (8 GiB)", 500),
        EngineError,
        "cannot run the model 'm'.*take a smaller one",
    ),
    "no API at all": (Answer(b"404 page not found", 404), ModelError, r"neither /completions nor /chat/completions"),
    "only for responses": (
        error("This model is only supported in v1/responses and not in v1/chat/completions.", 404, param="model"),
        ModelError,
        "only supported in v1/responses",
    ),
    "always refused": (error("no", 400), EngineError, "refuses the request: HTTP 400: no"),
}


@pytest.mark.parametrize("kind", AT_ONCE)
def test_what_does_not_pass_is_an_error_at_once(kind: str) -> None:
    answer, expected, said = AT_ONCE[kind]
    server = Fixed(answer)
    with pytest.raises(expected, match=said):
        ask(server)
    assert server.count <= 3


UNREADABLE = {
    "another API": Answer({"response": "x = 1", "done": True}),
    "no choices": Answer({"choices": []}),
    "a list": Answer([1, 2]),
    "half an object": Answer(b'{"choices": [{"te'),
    "nothing": Answer(b""),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_server_that_never_gives_a_completion_is_soon_given_up(kind: str) -> None:
    server = Fixed(UNREADABLE[kind])
    with pytest.raises(EngineError, match=r"never gave a completion.*ends in /v1"):
        ask(server)
    assert server.count == http_engine.FIRST_ANSWER_TRIES


WITHHELD: dict[str, Mapping[str, Any]] = {
    "a filter": {"message": {"content": ""}, "finish_reason": "content_filter"},
    "a refusal": {"message": {"content": None, "refusal": "I cannot help with that."}, "finish_reason": "stop"},
    "a tool": {
        "message": {"content": None, "tool_calls": [{"function": {"name": "python", "arguments": "{}"}}]},
        "finish_reason": "tool_calls",
    },
}


@pytest.mark.parametrize("kind", WITHHELD)
def test_what_the_server_keeps_back_is_counted_and_said(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    (generation,), engine = ask(Personality(dress=lambda *_: WITHHELD[kind]), settings=CHAT_SETTINGS)
    assert [(c.stop, c.finish_reason) for c in generation.completions] == [(None, "withheld")] * 2
    assert engine.counts.withheld == 2
    assert "2 of 2 completions were kept back" in caplog.text


REFUSED_PROMPTS = {
    "Azure": error(
        "The response was filtered by Azure OpenAI's content management policy.", 400, code="content_filter"
    ),
    "OpenAI": error("Your prompt was flagged as potentially violating our usage policy.", 400, code="invalid_prompt"),
    "no reason": Answer({"error": "invalid input"}, 400),
}


@pytest.mark.parametrize("kind", REFUSED_PROMPTS)
def test_a_single_prompt_that_is_refused_does_not_end_the_run(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    refuse: Callable[[Body], Answer | None] = lambda body: REFUSED_PROMPTS[kind] if "Q?" in body["prompt"] else None  # noqa: E731
    server = Personality(refuse=refuse)

    async def run() -> list[Generation]:
        async with serving(server) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS)
            asked = [PROMPT, steps.prompt("Q?"), PROMPT]
            made = [await engine.generate(prompt, PARAMS) for prompt in asked]
            await engine.aclose()
            return made

    good, bad, also_good = asyncio.run(run())
    assert [c.finish_reason for c in bad.completions] == ["withheld"] * 2
    assert [c.text for c in (*good.completions, *also_good.completions)] == [STEP] * 4
    assert "refuses a prompt" in caplog.text


def test_a_longer_prompt_that_is_refused_in_unknown_words_is_too_long() -> None:
    server = Personality(refuse=lambda body: Answer({"error": "E-1042"}, 400) if "long" in body["prompt"] else None)

    async def run() -> None:
        async with serving(server) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS)
            for _ in range(5):
                await engine.generate(PROMPT, PARAMS)
                with pytest.raises(ContextLengthError, match="E-1042"):
                    await engine.generate(steps.prompt("long " * 50), PARAMS)
            await engine.aclose()

    asyncio.run(run())
    assert server.refused == 5


def test_a_server_that_begins_to_refuse_everything_ends_the_run() -> None:
    server = Personality()

    async def run() -> None:
        async with serving(server) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS)
            try:
                await engine.generate(PROMPT, PARAMS)
                server.refuse = lambda body: Answer({"error": "something is not right"}, 400)
                for _ in range(10):
                    await engine.generate(PROMPT, PARAMS)
            finally:
                await engine.aclose()

    with pytest.raises(EngineError, match="something is not right"):
        asyncio.run(run())
    assert server.refused <= http_engine.MAX_REFUSED_IN_A_ROW + 1
