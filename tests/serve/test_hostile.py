"""Hostile requests: each is refused in the right way, and the server is none the worse for it."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine
from rstar_math.serve.app import Server
from rstar_math.serve.settings import ServeSettings
from rstar_math.steps import ANSWER, END_OF_ANSWER, END_OF_CODE, OUTPUT
from rstar_math.types import Completion, SamplingParams
from tests.api.fake_model import fake_model
from tests.serve.hostile import ESCAPES, HOST, KEY, REQUESTS, Hostile, request
from tests.serve.serving import CHAT, ask, serving

RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[httpx.Client, Server]]:
    settings = ServeSettings(port=0, keys=(KEY,), receive_s=1.0)
    with fake_model() as model, serving({"fake": model}, settings) as found:
        found[0].headers["Authorization"] = f"Bearer {KEY}"
        yield found


def reply_to(client: httpx.Client, data: bytes, wait_s: float = 10.0) -> bytes:
    """What comes back before the connection ends."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=wait_s) as connection:
        received = b""
        with suppress(OSError):  # it may be refused before all of it was sent
            connection.sendall(data)
        with suppress(OSError):
            while part := connection.recv(65_536):
                received += part
        return received


def test_there_are_enough_of_them() -> None:
    assert len(REQUESTS) >= 60
    assert len({hostile.name for hostile in REQUESTS}) == len(REQUESTS)


@pytest.mark.parametrize("hostile", REQUESTS, ids=lambda hostile: hostile.name)
def test_it_is_refused(served: tuple[httpx.Client, Server], hostile: Hostile) -> None:
    client, server = served
    began = time.monotonic()
    received = reply_to(client, hostile.data)
    assert time.monotonic() - began < 5
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), received[:200]
    assert int(head.split()[1]) in hostile.statuses, received[:500]
    assert not RAW.search(received.decode("utf-8"))
    if b"application/json" in head:
        error = json.loads(body)["error"]
        assert error["message"]
        assert len(body) < 10_000
    assert KEY.encode() not in received
    assert server.searches.slots.num_running == server.searches.slots.num_waiting == 0


def test_slow_heads_and_slow_bodies_are_cut_off(served: tuple[httpx.Client, Server]) -> None:
    client, _ = served
    body = request(json.dumps(ask()))
    for data, status in ((b"POST /v1", None), (body[:60], None), (body[:-5], b"408")):
        began = time.monotonic()
        received = reply_to(client, data)
        assert 0.5 < time.monotonic() - began < 4
        assert received.split()[1:2] == ([status] if status else [])


def test_after_all_that_it_answers(served: tuple[httpx.Client, Server]) -> None:
    client, _ = served
    assert client.post(CHAT, json=ask()).status_code == 200
    assert client.get("/health").status_code == 200
    assert client.get(f"http://{HOST}:{client.base_url.port}/openapi.json").status_code == 200


class Shouting(FakeEngine):
    """Writes control characters wherever it can."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """One step, or the answer."""
        if OUTPUT in prompt:
            text, stop = f"\n{ANSWER}It is \\boxed{{7{ESCAPES}}}.", END_OF_ANSWER
        else:
            text, stop = f"\n# {ESCAPES}\nprint(7)\n", END_OF_CODE
        return Generation((Completion(text, stop, 9, 0.0),) * params.n, 9)


def test_what_a_model_writes_never_comes_out_raw(capfd: pytest.CaptureFixture[str]) -> None:
    with fake_model(Shouting()) as model, serving({"fake": model}) as (client, _):
        whole = client.post(CHAT, json=ask())
        message = whole.json()["choices"][0]["message"]
        assert "\\boxed{7\\x1b]0;owned" in message["content"]
        stream = client.post(CHAT, json=ask(stream=True)).text
        text = client.post("/v1/completions", json={"model": "fake", "prompt": "Why?"}).json()["choices"][0]["text"]
    for said in (whole.text, stream, *message.values(), text):
        assert not RAW.search(str(said))
    assert not RAW.search("".join(capfd.readouterr()))


def test_a_page_that_may_ask_is_told_so() -> None:
    settings = ServeSettings(port=0, allow_origins=("https://chat.example",), allow_hosts=("rstar.example",))
    with fake_model() as model, serving({"fake": model}, settings) as (client, _):
        origin = {"Origin": "https://chat.example"}
        preflight = client.options(CHAT, headers=origin)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
        reply = client.post(CHAT, json=ask(), headers=origin | {"Host": "rstar.example"})
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == "https://chat.example"
        own = {"Origin": f"http://{client.base_url.host}:{client.base_url.port}"}
        assert client.post(CHAT, json=ask(), headers=own).status_code == 200
        assert client.post(CHAT, json=ask(), headers={"Origin": "https://other.example"}).status_code == 403
