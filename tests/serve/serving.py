"""A server on the loopback address in a thread of the test, over models of fakes; and what asks it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from rstar_math.api.model import RStarMathModel
from rstar_math.serve.app import Server
from rstar_math.serve.listening import bound_socket, url_of
from rstar_math.serve.process import HttpServer
from rstar_math.serve.settings import ServeSettings

CHAT = "/v1/chat/completions"
Reply = Any
"""JSON of a reply, as it came."""


@contextmanager
def serving(
    models: Mapping[str, RStarMathModel], settings: ServeSettings | None = None
) -> Iterator[tuple[httpx.Client, Server]]:
    """A running server, and a client for it."""
    used = settings or ServeSettings(port=0)
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    server = Server(models, used)

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await http.serve([bound])

    http = HttpServer(server, ready.set)
    with bound_socket(used) as bound:
        thread = threading.Thread(target=asyncio.run, args=(run(),), name="server")
        thread.start()
        try:
            assert ready.wait(1500)
            with httpx.Client(base_url=url_of(bound), timeout=1500) as client:
                yield client, server
        finally:
            for _ in range(2):  # the second time it does not wait for answers
                if thread.is_alive():
                    loops[0].call_soon_threadsafe(http.end)
                thread.join(5)
            assert not thread.is_alive()


def ask(question: str = "Question?", **fields: object) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": "fake", "messages": [{"role": "user", "content": question}], **fields}


def answered(client: httpx.Client, question: str = "Question?", **fields: object) -> Reply:
    """A reply to a question, which must be 200."""
    reply = client.post(CHAT, json=ask(question, **fields))
    assert reply.status_code == 200, reply.text
    return reply.json()


def streamed(client: httpx.Client, question: str = "Question?", **fields: object) -> list[Reply]:
    """The chunks of a stream, up to [DONE]."""
    with client.stream("POST", CHAT, json=ask(question, stream=True, **fields)) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        return list(chunks(reply))


def chunks(reply: httpx.Response) -> Iterator[Reply]:
    """The chunks of a stream while they come; fails where it ends without [DONE]."""
    for line in reply.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without [DONE]")


def raw(client: httpx.Client, data: bytes, wait_s: float = 5.0) -> bytes:
    """What a server replies to bytes as they are, until it closes."""
    address = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(address, timeout=wait_s) as connection:
        connection.sendall(data)
        received = b""
        while data := connection.recv(65_536):
            received += data
        return received
