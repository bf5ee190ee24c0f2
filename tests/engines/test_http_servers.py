"""The HTTP engine and servers that do not accept what is asked: it finds out, and asks otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.errors import ModelError
from tests.engines.asking import CHAT_SETTINGS, PARAMS, PROMPT, SETTINGS, STEP, ask
from tests.engines.endpoint import Answer, Body, serving
from tests.engines.personalities import (
    CHAT,
    COMPLETIONS,
    END,
    MODELS,
    Personality,
    error,
    refusing,
)

pytestmark = pytest.mark.usefixtures("short_pauses")


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
