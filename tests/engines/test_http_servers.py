"""The HTTP engine against what servers really say: it adapts, or fails at once with the true reason."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from rstar_math import steps
from rstar_math.config import EndpointSettings
from rstar_math.engines import http_engine
from rstar_math.engines.base import Generation, Noting
from rstar_math.engines.bootstrap import Bootstrap
from rstar_math.engines.http_completions import without_thoughts
from rstar_math.engines.http_engine import HttpEngine
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.types import SamplingParams
from tests.engines.endpoint import Answer, Body, Handler, serving
from tests.engines.personalities import (
    CHAT,
    COMPLETIONS,
    END,
    MODELS,
    Personality,
    chat_choice,
    error,
    refusing,
    stream,
)

PROMPT = steps.prompt("What is 3 + 4?")
STEP = "\n# Step 1: add them\nx = 3 + 4\n"
PARAMS = SamplingParams(n=2, temperature=0.8, top_p=0.9, max_tokens=512, stop=steps.STOPS, seed=7)
SETTINGS = EndpointSettings(model="m", max_retry_s=20, timeout_s=20)
CHAT_SETTINGS = SETTINGS.model_copy(update={"api": "chat"})


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_engine, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(http_engine, "LONGEST_PAUSE_S", 0.002)


def ask(
    server: Handler,
    params: SamplingParams = PARAMS,
    settings: EndpointSettings = SETTINGS,
    times: int = 1,
    prompt: str = PROMPT,
    below: str = "",
    bootstrap: Bootstrap | None = None,
    key: str | None = None,
) -> tuple[list[Generation], HttpEngine]:
    async def run() -> tuple[list[Generation], HttpEngine]:
        async with serving(server) as endpoint:
            url = endpoint.url if not below else endpoint.url.removesuffix("/v1")
            engine = HttpEngine(url, settings, bootstrap, api_key=key)
            try:
                return [await engine.generate(prompt, params) for _ in range(times)], engine
            finally:
                await engine.aclose()

    return asyncio.run(run())


def fixed(answer: Answer, path: str = "") -> Handler:
    """Always the same answer, to everything but the list of models."""

    async def handler(asked: str, body: Body, headers: Mapping[str, str]) -> Answer:
        handler.count += asked != MODELS  # type: ignore[attr-defined]
        return Answer({"data": [{"id": "m"}]}) if asked == MODELS else answer

    handler.count = 0  # type: ignore[attr-defined]
    return handler


def openai(name: str, what: str, code: str) -> Answer:
    return error(what, 400, type="invalid_request_error", param=name, code=code)


ONE = error("Only one completion choice is allowed", 400, type="invalid_request_error")
REFUSED_FIELDS: dict[str, tuple[str, Answer, Callable[[Any], bool], str]] = {
    "llama.cpp, n": ("n", ONE, lambda v: v > 1, "completions"),
    "llama.cpp, n, as a crash": (
        "n",
        error("Only one completion choice is allowed", 500, code=500, type="server_error"),
        lambda v: v > 1,
        "completions",
    ),
    "OpenAI, n": (
        "n",
        openai("n", "Unsupported value: 'n' does not support 2 with this model.", "unsupported_value"),
        lambda v: v > 1,
        "chat",
    ),
    "Groq, n": ("n", error("'n' : number must be at most 1", 400), lambda v: v > 1, "chat"),
    "OpenAI, max_tokens": (
        "max_tokens",
        openai(
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "unsupported_parameter",
        ),
        lambda v: True,
        "chat",
    ),
    "OpenAI, stop": (
        "stop",
        openai("stop", "Unsupported parameter: 'stop' is not supported with this model.", "unsupported_parameter"),
        lambda v: True,
        "chat",
    ),
    "OpenAI, temperature": (
        "temperature",
        openai(
            "temperature",
            "Unsupported value: 'temperature' does not support 0.8 with this model. Only the default (1) value is "
            "supported.",
            "unsupported_value",
        ),
        lambda v: v != 1,
        "chat",
    ),
    "OpenAI, top_p": (
        "top_p",
        openai("top_p", "Unsupported parameter: 'top_p' is not supported with this model.", "unsupported_parameter"),
        lambda v: True,
        "chat",
    ),
    "OpenAI, an unknown field": (
        "skip_special_tokens",
        error("Unrecognized request argument supplied: skip_special_tokens", 400, type="invalid_request_error"),
        lambda v: True,
        "completions",
    ),
    "FastAPI, seed": (
        "seed",
        Answer(
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
            422,
        ),
        lambda v: True,
        "completions",
    ),
    "Mistral, logprobs": (
        "logprobs",
        Answer(
            {
                "object": "error",
                "message": {
                    "detail": [{"type": "extra_forbidden", "loc": ["body", "logprobs"], "msg": "Extra inputs"}]
                },
                "type": "invalid_request_error",
            },
            422,
        ),
        lambda v: True,
        "chat",
    ),
    "Anthropic, going on": (
        "continue_final_message",
        error("This model does not support assistant message prefill. The conversation must end with a user message."),
        lambda v: True,
        "chat",
    ),
    "llama.cpp, going on": (
        "continue_final_message",
        error("Assistant response prefill is incompatible with enable_thinking.", 400, code=400),
        lambda v: True,
        "chat",
    ),
    "Mistral, going on": (
        "continue_final_message",
        Answer(
            {
                "object": "error",
                "message": "Expected last role User or Tool (or Assistant with prefix True) for serving but got "
                "assistant",
                "type": "invalid_request_error",
                "code": 3230,
            },
            400,
        ),
        lambda v: True,
        "chat",
    ),
}
WORDLESS = ("n", "max_tokens", "stop", "temperature", "top_p", "seed", "skip_special_tokens", "continue_final_message")
for _field in WORDLESS:
    for _status, _body in (
        (400, {"error": "Bad Request"}),
        (422, {"code": 20015, "message": "参数错误"}),
        (500, b"oops"),
    ):
        REFUSED_FIELDS[f"{_field} without a word, {_status}"] = (_field, Answer(_body, _status), lambda v: True, "chat")


@pytest.mark.parametrize("kind", REFUSED_FIELDS)
def test_what_a_server_does_not_accept_is_asked_for_otherwise(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    name, answer, when, api = REFUSED_FIELDS[kind]
    server = Personality(refuse=refusing(name, answer, when))
    settings = SETTINGS.model_copy(update={"api": api, "logprobs": True})
    with caplog.at_level(logging.WARNING):
        generations, engine = ask(server, settings=settings, times=3)
    for generation in generations:
        assert [(c.text, c.stop, c.finish_reason) for c in generation.completions] == [(STEP, END, "stop")] * 2
    assert 1 <= server.refused <= 15
    refused_before = server.refused
    assert name not in server.requests[-1][1] or not when(server.requests[-1][1][name])
    sent = server.requests[-1][1]
    kept = {"max_tokens", "stop", "temperature", "top_p", "seed", "skip_special_tokens", "logprobs"} - {name}
    assert kept <= set(sent), "no more is left out than has to be"
    if name == "max_tokens":
        assert sent["max_completion_tokens"] == 512
    adapted = [note.text for note in engine.notes() if note.kind == "adapted"]
    assert any(word in text for text in adapted for word in (name, "one completion a request", "from a prefix"))
    assert len([r for r in caplog.records if r.getMessage() in adapted]) == len(adapted)  # each said once
    assert refused_before == server.refused


def test_many_requests_at_once_find_out_once() -> None:
    server = Personality(refuse=refusing("seed", Answer({"error": "Bad Request"}, 400)))

    async def run() -> list[Generation]:
        async with serving(server) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS)
            made = await asyncio.gather(*(engine.generate(PROMPT, PARAMS) for _ in range(16)))
            await engine.aclose()
            return made

    assert all(c.stop == END for generation in asyncio.run(run()) for c in generation.completions)
    assert server.refused <= 16 + 6


def test_greedy_decoding_is_asked_for_as_nearly_as_the_server_takes_it() -> None:
    strict = error("Input validation error: `temperature` must be strictly positive", 422, error_type="validation")
    server = Personality(refuse=refusing("temperature", strict, lambda v: v == 0))
    ask(server, replace(PARAMS, n=1, temperature=0.0))
    assert server.requests[-1][1]["temperature"] == 0.01
    server.requests.clear()
    ask(server, replace(PARAMS, n=1, temperature=0.7))
    assert [body["temperature"] for _, body in server.requests] == [0.7]


@pytest.mark.parametrize(
    ("said", "largest"),
    [
        ("max_tokens is too large: 512. This model supports at most 128 completion tokens, you provided 512.", 128),
        ("max_tokens: 512 > 256, which is the maximum allowed number of output tokens for m", 256),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 64]", 64),
        ("`max_tokens` must be less than or equal to `200`", 200),
        ("max_tokens is too large", 256),
    ],
)
def test_a_token_limit_that_is_too_large_is_lowered(said: str, largest: int) -> None:
    refuse = refusing("max_tokens", error(said, param="max_tokens"), lambda v: v > largest)
    server = Personality(refuse=refuse)
    (generation, _), _ = ask(server, times=2)
    assert generation.completions[0].stop == END
    assert [body["max_tokens"] for _, body in server.requests] == [512, largest, largest]


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
    server = fixed(answer)
    with pytest.raises(expected, match=said):
        ask(server)
    assert server.count <= 3  # type: ignore[attr-defined]


UNREADABLE = {
    "another API": Answer({"response": "x = 1", "done": True}),
    "no choices": Answer({"choices": []}),
    "a list": Answer([1, 2]),
    "half an object": Answer(b'{"choices": [{"te'),
    "nothing": Answer(b""),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_server_that_never_gives_a_completion_is_soon_given_up(kind: str) -> None:
    server = fixed(UNREADABLE[kind])
    with pytest.raises(EngineError, match=r"never gave a completion.*ends in /v1"):
        ask(server)
    assert server.count == http_engine.FIRST_ANSWER_TRIES  # type: ignore[attr-defined]


NO_COMPLETIONS = {
    "vLLM": Answer({"detail": "Not Found"}, 404),
    "a method": Answer({"detail": "Method Not Allowed"}, 405),
    "OpenAI": error(
        "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use "
        "v1/chat/completions?",
        404,
        type="invalid_request_error",
        param="model",
    ),
    "vLLM, a model": error("The model does not support Completions API", 400, type="BadRequestError"),
    "LM Studio": Answer({"error": "Unexpected endpoint or method. (POST /v1/completions)"}, 200),
    "a page": Answer(b"<html>404</html>", 404),
    "Azure": error(
        "The completion operation does not work with the specified model, m.", 400, code="OperationNotSupported"
    ),
}


@pytest.mark.parametrize("kind", NO_COMPLETIONS)
def test_a_server_that_has_chat_only_is_asked_by_chat(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    server = Personality(paths=(CHAT, MODELS), missing=NO_COMPLETIONS[kind])
    with caplog.at_level(logging.WARNING):
        generations, _ = ask(server, times=3)
    assert [c.text for g in generations for c in g.completions] == [STEP] * 6
    assert {path for path, _ in server.requests} == {CHAT}
    assert server.refused == 1
    assert caplog.text.count("asked by chat") == 1
    assert "api=chat" in caplog.text


def test_an_api_that_was_chosen_by_hand_is_kept_and_the_error_names_the_other() -> None:
    server = Personality(
        paths=(COMPLETIONS, MODELS), missing=error("chat template is missing: no default chat template is allowed", 400)
    )
    settings = EndpointSettings(model="m", api="chat")
    with pytest.raises(ModelError, match=r"no /chat/completions for this model .*api=completions"):
        ask(server, settings=settings)
    assert server.requests == []


def test_an_address_above_the_api_is_corrected(caplog: pytest.LogCaptureFixture) -> None:
    for model in (None, "m"):
        server = Personality()
        settings = SETTINGS.model_copy(update={"model": model})
        (generation,), _ = ask(server, settings=settings, below="/")
        assert generation.completions[0].text == STEP
    assert "/v1 is, and is used" in caplog.text


def test_a_chat_that_starts_again_is_asked_for_the_next_step() -> None:
    """It does not know the field by which a server goes on from the assistant's text, and says nothing."""

    class Forgetful(Personality):
        async def __call__(self, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
            messages = body.get("messages", [])
            if messages and messages[-1]["role"] == "assistant":
                messages[-1]["content"] = "Let's begin."
            return await super().__call__(path, body, headers)

    prefix = PROMPT + STEP + END
    server = Forgetful()
    (first, second), engine = ask(server, settings=CHAT_SETTINGS, prompt=prefix, times=2)
    for generation in (first, second):
        assert [c.text for c in generation.completions] == ["\n\n# Now print the final answer\nprint(x)\n"] * 2
    assert [body["messages"][-1]["role"] for _, body in server.requests] == ["assistant", "user", "user"]
    assert engine.counts.restated == 2
    kept = CHAT_SETTINGS.model_copy(update={"continuation": "continue"})
    (only,), _ = ask(Forgetful(), settings=kept, prompt=prefix)
    assert only.completions[0].text == STEP


def thinking(where: str) -> Callable[[str, str | None, Body], Mapping[str, Any]]:
    """A model that thinks first, and where its server puts that."""
    thought = "Let me think. I could write x = 1\n"

    def dress(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if where in ("reasoning", "reasoning_content"):
            message[where] = thought
        elif where == "parts":
            message["content"] = [
                {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
                {"type": "text", "text": text},
            ]
        elif where == "text":
            message["content"] = f"<think>\n{thought}</think>{text}"
        elif where == "opened by the template":
            message["content"] = f"{thought}</think>{text}"
        elif where == "channels":
            message["content"] = (
                f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final<|message|>{text}"
            )
        return {"message": message, "finish_reason": "stop", "stop_reason": met}

    return dress


@pytest.mark.parametrize(
    "where", ["reasoning", "reasoning_content", "parts", "text", "opened by the template", "channels"]
)
def test_thoughts_are_no_part_of_a_step(where: str) -> None:
    server = Personality(dress=thinking(where))
    (generation,), _ = ask(server, settings=CHAT_SETTINGS)
    assert [(c.text, c.stop, c.finish_reason) for c in generation.completions] == [(STEP, END, "stop")] * 2


ONLY_THOUGHTS: dict[str, Mapping[str, Any]] = {
    "vLLM": {"message": {"content": None, "reasoning": "Let me"}, "finish_reason": "length", "stop_reason": None},
    "DeepSeek": {"message": {"content": "", "reasoning_content": "Let me"}, "finish_reason": "length"},
    "a marker in a thought": {
        "message": {"content": None, "reasoning_content": "I write x = 1"},
        "finish_reason": "stop",
        "stop_reason": END,
    },
    "in the text": {"message": {"content": "<think>\nLet me write\nx = 1\n"}, "finish_reason": "length"},
    "in the text, to a marker": {
        "message": {"content": "<think>\nx = 1\n"},
        "finish_reason": "stop",
        "stop_reason": END,
    },
    "in parts": {"message": {"content": [{"type": "thinking", "thinking": "Let me"}]}, "finish_reason": "length"},
    "in the text of a completion": {"text": "\n<think>\nx = 1\n", "finish_reason": "stop", "stop_reason": END},
}


@pytest.mark.parametrize("kind", ONLY_THOUGHTS)
def test_a_thought_without_a_step_is_never_a_step(kind: str) -> None:
    server = Personality(dress=lambda text, met, body: ONLY_THOUGHTS[kind])
    (generation,), engine = ask(server, settings=CHAT_SETTINGS)
    assert [(c.text.strip(), c.stop, c.finish_reason) for c in generation.completions] == [("", None, "reasoning")] * 2
    assert isinstance(engine, Noting)
    (note,) = [note for note in engine.notes() if note.kind == "reasoning"]
    assert note.count == 2
    assert "thinking off" in note.text


def test_a_model_that_only_thinks_ends_the_run_at_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Personality(dress=lambda text, met, body: ONLY_THOUGHTS["vLLM"])
    with pytest.raises(ModelError, match=r"16 of 16 completions were thoughts.*enable_thinking.*max_step_tokens"):
        ask(server, replace(PARAMS, n=8), settings=CHAT_SETTINGS, times=3)
    mixed = Personality()
    number = 0

    def dress(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
        nonlocal number
        number += 1
        return ONLY_THOUGHTS["vLLM"] if number % 5 else chat_choice(text, met, body)

    mixed.dress = dress
    _, engine = ask(mixed, replace(PARAMS, n=8), settings=CHAT_SETTINGS, times=5)
    assert (engine.counts.reasoning, engine.counts.stopped) == (32, 8)
    assert "32 of 40 completions were thoughts" in caplog.text


def test_marks_of_thoughts_in_code_stay_what_they_are() -> None:
    for code in ('x = "<think>"\n', "# see <think>\ny = 1\n", "if x:\n    pass\n"):
        assert without_thoughts(code) == (code, False, False)
    assert without_thoughts("<think>a</think>\n<think>b</think>\nx = 1") == ("\n\nx = 1", True, False)


def test_content_in_parts_is_read() -> None:
    def dress(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
        parts = [{"type": "text", "text": text[:9]}, {"type": "output_text", "text": text[9:]}, {"type": "image_url"}]
        return {"message": {"content": parts}, "finish_reason": "stop", "stop_reason": met}

    (generation,), engine = ask(Personality(dress=dress), settings=CHAT_SETTINGS)
    assert [c.text for c in generation.completions] == [STEP] * 2
    assert engine.counts.retries == 0


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


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"completion_tokens": 12, "prompt_tokens": 30}, True),
        ({"completion_tokens": "12", "prompt_tokens": "30"}, True),
        ({"completion_tokens": 12.0, "prompt_tokens": 30}, True),
        ({"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0}, False),
        ({"completion_tokens": None, "prompt_tokens": None}, False),
        ({"completion_tokens": True}, False),
        ({"completion_tokens": "many"}, False),
        ({}, False),
        (None, False),
        ("12", False),
    ],
)
def test_tokens_are_never_booked_as_none(usage: Any, counted: bool) -> None:
    (generation,), engine = ask(Personality(usage=usage), replace(PARAMS, n=1))
    (completion,) = generation.completions
    assert completion.num_tokens == (12 if counted else len(STEP) // 4)
    assert generation.num_prompt_tokens == (30 if counted else len(PROMPT) // 4)
    assert engine.counts.estimated_tokens == (0 if counted else 1)


def test_tokens_that_were_thoughts_are_estimated_with_the_text() -> None:
    message = {"content": "\nx = 1\n", "reasoning_content": "y" * 400}
    server = Personality(
        dress=lambda *_: {"message": message, "finish_reason": "stop", "stop_reason": END},
        usage={"completion_tokens": 0},
    )
    (generation,), _ = ask(server, replace(PARAMS, n=1), settings=CHAT_SETTINGS)
    assert generation.completions[0].num_tokens >= 100


def streamed(api: str) -> Answer:
    pieces: list[Mapping[str, Any]] = []
    for index in range(2):
        for part in (STEP[:7], STEP[7:]):
            one = {"text": part} if api == "completions" else {"delta": {"content": part, "role": "assistant"}}
            pieces.append({"id": "c", "choices": [{"index": index, "finish_reason": None, **one}]})
        pieces.append({"choices": [{"index": index, "delta": {}, "finish_reason": "stop", "stop_reason": END}]})
    pieces.append({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 12}})
    return Answer(stream(pieces), headers={"Content-Type": "text/event-stream"})


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_stream_that_nobody_asked_for_is_read(api: str) -> None:
    (generation,), engine = ask(fixed(streamed(api)), settings=SETTINGS.model_copy(update={"api": api}))
    assert [(c.text, c.stop, c.num_tokens) for c in generation.completions] == [(STEP, END, 6)] * 2
    assert engine.counts.retries == 0


@pytest.mark.parametrize("wrapping", ["gzip", "mark", "spaces"])
def test_wrapped_answers_are_read(wrapping: str) -> None:
    plain = b'{"choices": [{"text": "\\nx = 1\\n", "stop_reason": "<end_of_step>", "finish_reason": "stop"}]}'
    answers = {
        "gzip": Answer(gzip.compress(plain), headers={"Content-Encoding": "gzip"}),
        "mark": Answer(b"\xef\xbb\xbf" + plain),
        "spaces": Answer(b"\n\n  " + plain + b"\n\n"),
    }
    (generation,), _ = ask(fixed(answers[wrapping]), replace(PARAMS, n=1))
    assert generation.completions[0].text == "\nx = 1\n"


def test_prompts_that_the_server_cuts_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    class Ollama(Personality):
        """Keeps the last half of its context of 1,000 tokens of a prompt that does not fit, and says nothing."""

        async def __call__(self, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
            if "prompt" in body:
                tokens = len(body["prompt"]) // 4
                self.usage = {"prompt_tokens": tokens if tokens < 1000 else 600, "completion_tokens": 5}
            return await super().__call__(path, body, headers)

    async def run(lengths: list[int]) -> HttpEngine:
        async with serving(Ollama()) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS)
            for length in lengths:
                await engine.generate(steps.prompt("a b " * length), PARAMS)
            await engine.aclose()
            return engine

    assert asyncio.run(run([600, 700, 650, 900])).counts.cut_prompts == 0
    assert asyncio.run(run([600, 700, 1300])).counts.cut_prompts == 1  # half as dense as those before
    assert asyncio.run(run([1010, 1100])).counts.cut_prompts == 1  # of different length, and the same number
    assert "OLLAMA_CONTEXT_LENGTH" in caplog.text


def test_a_model_that_keeps_to_no_format_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    server = Personality(
        dress=lambda text, met, body: {"text": "The sum is 7.", "finish_reason": "stop", "stop_reason": None}
    )
    _, engine = ask(server, replace(PARAMS, n=8))
    assert engine.counts.ended == 8
    assert "8 of 8 completions ended without a marker" in caplog.text
    long = Personality(dress=lambda text, met, body: {"text": "The sum", "finish_reason": "length"})
    _, engine = ask(long, replace(PARAMS, n=8))
    assert "8 of 8 completions ran into the limit" in caplog.text


def test_a_good_server_gets_no_notes(caplog: pytest.LogCaptureFixture) -> None:
    for settings in (SETTINGS, CHAT_SETTINGS):
        _, engine = ask(Personality(), settings=settings, times=3)
        assert engine.notes() == ()
    assert caplog.text == ""
