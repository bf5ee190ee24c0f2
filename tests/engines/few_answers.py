"""Servers of a few answers on loopback, what may go wrong with them, and asking them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from rstar_math import steps
from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.few_shot import Bootstrap
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.types import SamplingParams
from tests.engines.endpoint import RESET, TRUNCATED, Answer, Body, Endpoint, Handler, serving

PROMPT = steps.prompt("What is 1 + 1?")
PARAMS = SamplingParams(n=1, max_tokens=50, stop=steps.STOPS, seed=7)
QUICK = EndpointSettings(model="m", max_retry_s=20, timeout_s=5)


def choice(text: str, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"text": text, "finish_reason": finish, **more}


def one(text: str = " ok", **more: Any) -> Answer:
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    return Answer({"choices": [choice(text, stop_reason=steps.END_OF_STEP, **more)], "usage": usage})


def ask(
    handler: Handler,
    params: SamplingParams = PARAMS,
    settings: EndpointSettings = QUICK,
    bootstrap: Bootstrap | None = None,
    times: int = 1,
    prompt: str = PROMPT,
) -> tuple[list[Generation], Endpoint, HttpEngine]:
    async def run() -> tuple[list[Generation], Endpoint, HttpEngine]:
        async with serving(handler) as endpoint:
            engine = HttpEngine(endpoint.url, settings, bootstrap, api_key="secret")
            try:
                return [await engine.generate(prompt, params) for _ in range(times)], endpoint, engine
            finally:
                await engine.aclose()

    return asyncio.run(run())


def always(answer: Answer | Callable[[Body], Answer]) -> Handler:
    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        if path == "/v1/models":
            return Answer({"data": [{"id": "m"}, {"id": "other"}]})
        return answer(body) if callable(answer) else answer

    return handler


def in_turn(*answers: Answer) -> Handler:
    left = list(answers)

    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return handler


def good_bytes(text: str = " ok", finish: str = "stop") -> bytes:
    """The body of a plain answer."""
    made = [{"text": text, "finish_reason": finish, "stop_reason": steps.END_OF_STEP}]
    return json.dumps({"choices": made, "usage": {"prompt_tokens": 5, "completion_tokens": 3}}).encode()


def chunked(body: bytes, size: int) -> list[bytes]:
    """Head and body of an answer whose length is not told beforehand."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces),
        b"0\r\n\r\n",
    ]


FAULTS = {
    "busy": Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.01"}),
    "internal error": Answer({"error": "oops"}, 500),
    "bad gateway": Answer(b"<html>502</html>", 502),
    "malformed JSON": Answer(b'{"choices": [{"te'),
    "no choices": Answer({"error": {"message": "engine is restarting"}}),
    "null choices": Answer({"choices": None}),
    "choices of another kind": Answer({"choices": ["text"]}),
    "null text": Answer({"choices": [{"text": None, "finish_reason": "stop"}]}),
    "broken off": Answer({"choices": [{"text": "\nx", "finish_reason": "abort"}]}),
    "an error with status 200": Answer({"error": {"message": "CUDA out of memory", "code": 500}}),
    "an event stream with an error": Answer(b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n'),
    "a list": Answer([1, 2]),
    "nothing": Answer(b""),
    "no content": Answer(b"", 204),
    "no text encoding": Answer(b'{"choices": "\xff\xfe"}'),
    "nested without end": Answer(b"[" * 100_000),
    "damaged compression": Answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
    "no HTTP": Answer(raw=[b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "cut chunks": Answer(raw=chunked(good_bytes(), 7)[:4]),
    "truncated": Answer({"choices": [{"text": "x" * 500}]}, fault=TRUNCATED),
    "reset": Answer(fault=RESET),
}


def chat(text: str) -> Answer:
    message = {
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "stop_reason": steps.END_OF_STEP,
    }
    return Answer({"choices": [message], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
