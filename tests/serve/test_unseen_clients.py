"""What clients of all kinds send: answered, ignored with a note, or refused in OpenAI's shape; never 500, never open.

The requests are written by hand after what the `openai` package, langchain, litellm, chat front ends, curl, lm-eval and
inspect_ai send. The `openai` package itself is asked for what it offers beyond plain calls.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from rstar_math.api.model import RStarMathModel
from rstar_math.serve.settings import ServeSettings
from tests.api.fake_model import SlowEngine, fake_model
from tests.serve.serving import CHAT, answered, ask, raw, serving

GREEDY = "fake:greedy"
QUESTION = "Question?"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def model() -> Iterator[RStarMathModel]:
    with fake_model() as made:
        yield made


@pytest.fixture(scope="module")
def client(model: RStarMathModel) -> Iterator[httpx.Client]:
    with serving({"fake": model}) as (made, _):
        yield made


def turn(role: str, content: object, **more: object) -> dict[str, object]:
    return {"role": role, "content": content, **more}


ANSWERED: dict[str, dict[str, Any]] = {
    "everything that says nothing of the answer": json.loads(
        """
        {"user": "u", "metadata": {"a": "b"}, "store": true, "service_tier": "auto", "safety_identifier": "x",
         "prompt_cache_key": "k", "parallel_tool_calls": false, "logit_bias": {}, "logprobs": false, "n": 1,
         "tools": [], "functions": [], "tool_choice": "auto", "modalities": ["text"], "audio": null, "stop": null,
         "response_format": {"type": "text"}, "top_logprobs": null, "stream_options": null, "seed": null}
        """
    ),
    "samplers of all kinds": {"top_p": 0.1, "top_k": 40, "min_p": 0.05, "presence_penalty": 0.5, "verbosity": "low"},
    "numbers as text and as floats": {"seed": "1", "max_tokens": 4096.0, "temperature": 0},
    "four stop strings that do not occur": {"stop": ["</s>", "<|im_end|>", "Observation:", "Human:"]},
    "content in parts": {"messages": [turn("user", [{"type": "text", "text": QUESTION}])]},
    "a developer's message": {"messages": [turn("developer", "Be brief."), turn("user", QUESTION)]},
    "a system message behind the question": {"messages": [turn("user", QUESTION), turn("system", "Use LaTeX.")]},
    "a name": {"messages": [turn("user", QUESTION, name="bob")]},
    "an assistant's turn as it came": {
        "messages": [
            turn("user", "Other?"),
            turn("assistant", None, tool_calls=[{"id": "1"}], reasoning_content="so", refusal=None, audio=None),
            turn("tool", "7", tool_call_id="1"),
            turn("user", QUESTION),
        ]
    },
    "an image in an earlier turn": {
        "messages": [turn("user", [{"type": "image_url", "image_url": {"url": "data:,"}}]), turn("user", QUESTION)]
    },
    "tools that must not be called": {"tools": [TOOL], "tool_choice": "none"},
    "thinking in the words of other servers": {"reasoning": {"effort": "low"}, "thinking": {"type": "enabled"}},
    "a template's arguments": {"chat_template_kwargs": {"enable_thinking": False}},
}

REFUSED: dict[str, dict[str, Any]] = {
    "tools": {"tools": [TOOL], "tool_choice": "auto"},
    "a tool by name": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    "an answer as JSON": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    "log-probabilities": {"logprobs": True, "top_logprobs": 2},
    "an assistant's turn to be gone on with": {"messages": [turn("user", QUESTION), turn("assistant", "So")]},
    "a tool's reply at the end": {"messages": [turn("user", QUESTION), turn("tool", "7", tool_call_id="1")]},
    "nothing but a system message": {"messages": [turn("system", "Be brief.")]},
    "an empty question": {"messages": [turn("user", "")]},
    "no parts": {"messages": [turn("user", [])]},
    "no content": {"messages": [{"role": "user"}]},
    "an image": {"messages": [turn("user", [{"type": "image_url", "image_url": {"url": "data:,"}}])]},
    "a sound": {"messages": [turn("user", [{"type": "input_audio", "input_audio": {"data": ""}}])]},
    "all tokens there are": {"max_tokens": -1},
    "a hot temperature": {"temperature": 3},
    "a prompt where messages belong": {"messages": QUESTION},
}


@pytest.mark.parametrize("name", ANSWERED)
def test_it_is_answered_as_the_question_alone(client: httpx.Client, name: str) -> None:
    plain = answered(client, model=GREEDY)["choices"][0]["message"]["content"]
    assert answered(client, **{"model": GREEDY, **ANSWERED[name]})["choices"][0]["message"]["content"] == plain


def test_what_was_ignored_is_said(client: httpx.Client) -> None:
    def notes(name: str) -> list[str]:
        found: list[str] = answered(client, **{"model": GREEDY, **ANSWERED[name]})["choices"][0]["rstar"]["notes"]
        return found

    assert notes("everything that says nothing of the answer") == []
    assert notes("samplers of all kinds") == ["ignored: min_p, presence_penalty, top_k, top_p, verbosity"]
    assert notes("thinking in the words of other servers") == ["ignored: reasoning, thinking"]
    assert any("3 earlier messages" in note for note in notes("an assistant's turn as it came"))


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_told_why(client: httpx.Client, name: str) -> None:
    reply = client.post(CHAT, json={**ask(model=GREEDY), **REFUSED[name]})
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"]
    assert len(reply.json()["error"]["message"]) > 10


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *[("GET", path, 200) for path in ("/v1/models", "/v1/models/", "/v1/models/fake", "/health/", "/metrics")],
        *[("HEAD", path, 200) for path in ("/v1/models", "/v1/models/fake:greedy", "/health", "/metrics")],
        *[(method, CHAT, 405) for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")],
        *[("GET", path, 404) for path in ("/", "/v1", "/v1/models/org/model", "/docs", "/api/tags", "/v1/v1/models")],
        *[("POST", path, 404) for path in ("/v1/responses", "/v1/embeddings", "/chat/completions", "/tokenize")],
    ],
)
def test_paths_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    reply = client.request(method, path, json={} if method == "POST" else None)
    assert reply.status_code == status
    assert bool(reply.content) == (method != "HEAD")
    if status >= 400 and method != "HEAD":
        assert reply.json()["error"]["message"]
    if status == 405:
        assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "Application/JSON"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Accept": "text/html", "Accept-Encoding": "br"}, 200),
        ({"OpenAI-Organization": "o", "OpenAI-Beta": "b", "X-Stainless-Lang": "python", "Idempotency-Key": "k"}, 200),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_headers(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    body = json.dumps(ask(model=GREEDY)).encode()
    packed = gzip.compress(body) if "Content-Encoding" in headers else body
    reply = client.post(
        f"{CHAT}/?api-version=1", content=packed, headers={"Content-Type": "application/json"} | headers
    )
    assert reply.status_code == status, reply.text


def test_connections_that_stay_that_ask_first_and_that_are_old(client: httpx.Client) -> None:
    body = json.dumps(ask(model=GREEDY)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    length = f"Content-Length: {len(body)}\r\n".encode()
    twice = raw(client, (head + length + b"\r\n" + body) + (head + length + b"Connection: close\r\n\r\n" + body))
    assert twice.count(b"HTTP/1.1 200 OK") == 2
    asks = raw(client, head + length + b"Expect: 100-continue\r\nConnection: close\r\n\r\n" + body)
    assert asks.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    in_chunks = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for part in (body[:9], body[9:]):
        in_chunks += f"{len(part):x}\r\n".encode() + part + b"\r\n"
    assert raw(client, head + in_chunks + b"0\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    old = raw(client, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200 OK")
    for strange in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /health HTTP/1.0\r\n\r\n"):
        assert b'{"error"' in raw(client, strange)


def test_a_page_may_send_the_headers_of_its_client() -> None:
    settings = ServeSettings(port=0, allow_origins=("https://chat.example",))
    wanted = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"
    with fake_model() as model, serving({"fake": model}, settings) as (client, _):
        for asked, told in ((wanted, wanted), ("x\x80", "Authorization, Content-Type")):
            headers = {b"Origin": b"https://chat.example", b"Access-Control-Request-Headers": asked.encode("latin-1")}
            reply = client.request("OPTIONS", CHAT, headers=headers)
            assert (reply.status_code, reply.headers["access-control-allow-headers"]) == (204, told)


class Parsed(BaseModel):
    """A shape that an answer cannot have."""

    answer: int


def test_what_the_openai_package_offers(client: httpx.Client, model: RStarMathModel) -> None:
    alone = model.solve(QUESTION, "greedy")
    fields: Any = {"model": GREEDY, "messages": [turn("user", QUESTION)]}
    where: Any = {"base_url": f"{client.base_url}/v1", "api_key": "none", "max_retries": 0}
    with openai.OpenAI(**where) as ours:
        plain = ours.chat.completions.create(**fields)
        content = plain.choices[0].message.content
        assert plain.usage is not None
        assert plain.usage.completion_tokens == alone.cost.tokens_generated
        assert plain._request_id == plain.id
        raw_reply = ours.chat.completions.with_raw_response.create(**fields)
        assert raw_reply.headers["x-request-id"] == raw_reply.parse().id
        with ours.chat.completions.stream(**fields, stream_options={"include_usage": True}) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        assert {"chunk", "content.delta", "content.done"} <= kinds
        assert final.choices[0].message.content == content
        assert final.usage is not None
        assert final.usage.completion_tokens == plain.usage.completion_tokens
        with pytest.raises(openai.BadRequestError, match="the answer is text"):
            ours.chat.completions.parse(**fields, response_format=Parsed)
        assert ours.chat.completions.parse(**fields).choices[0].message.content == content
        with ours.chat.completions.with_streaming_response.create(**fields) as streaming:
            assert json.loads(streaming.read())["choices"][0]["message"]["content"] == content
        with pytest.raises(openai.NotFoundError, match="chat/completions, completions, models"):
            ours.responses.create(model=GREEDY, input=QUESTION)
        assert ours.models.retrieve("fake:forest").id == "fake:forest"
        with pytest.raises(openai.NotFoundError, match="no such model"):
            ours.models.retrieve("gpt-5")

    async def awaited() -> list[str | None]:
        async with openai.AsyncOpenAI(**where) as theirs:
            pieces = [piece async for piece in await theirs.chat.completions.create(**fields, stream=True)]
            whole = await asyncio.gather(*(theirs.chat.completions.create(**fields) for _ in range(3)))
            streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces)
            return [streamed, *(reply.choices[0].message.content for reply in whole)]

    assert asyncio.run(awaited()) == [content] * 4


def test_the_openai_package_waits_tries_again_and_gives_up() -> None:
    settings = ServeSettings(port=0, max_concurrent=1, max_queued=0)
    engine = SlowEngine(0.01)
    fields: Any = {"model": "fake", "messages": [turn("user", QUESTION)]}
    with fake_model(engine) as model, serving({"fake": model}, settings) as (client, server):
        where = f"{client.base_url}/v1"
        endless = httpx.Client(base_url=where, timeout=1500)
        with (
            endless,
            endless.stream("POST", "/chat/completions", json=ask(stream=True, rstar={"tokens": 10**8})) as held,
        ):
            lines = held.iter_lines()  # the stream ends with whoever reads it
            next(lines)
            with openai.OpenAI(base_url=where, api_key="none", max_retries=0) as hasty:
                with pytest.raises(openai.RateLimitError, match="try again later") as refused:
                    hasty.chat.completions.create(**fields)
                assert int(refused.value.response.headers["retry-after"]) >= 1
            threading.Timer(0.5, held.close).start()
            with openai.OpenAI(base_url=where, api_key="none", max_retries=2) as patient:
                began = time.monotonic()
                reply = patient.chat.completions.with_raw_response.create(**fields)
                assert reply.retries_taken >= 1
                assert time.monotonic() - began >= 1  # as long as the server said
        with openai.OpenAI(base_url=where, api_key="none", max_retries=1, timeout=0.1) as impatient:
            with pytest.raises(openai.APITimeoutError):
                impatient.chat.completions.create(**fields, extra_body={"rstar": {"tokens": 10**8}})
        until = time.monotonic() + 1
        while server.searches.slots.num_running or engine.num_under_way:
            assert time.monotonic() < until, "a search that was given up went on"
            time.sleep(0.01)
