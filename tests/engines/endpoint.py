"""A little OpenAI-compatible server on loopback that behaves, and misbehaves, as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rstar_math.engines.base import Engine
from rstar_math.types import SamplingParams

Body = dict[str, Any]
TRUNCATED = "truncated"
RESET = "reset"
HANG = "hang"


@dataclass
class Answer:
    """What the server sends: status and body; or, as `fault`, what it does instead of answering.

    Attributes:
      raw: sent as it stands, piece by piece, in place of status, headers and body; then the connection is closed.
      pause_s: seconds between the pieces.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    raw: Iterable[bytes] = ()
    pause_s: float = 0.0


Handler = Callable[[str, Body, Mapping[str, str]], Awaitable[Answer]]


class Endpoint:
    """Listens on a port of its own; `received` keeps (path, body, headers) of every request."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self.handler, self.port = handler, port
        self.received: list[tuple[str, Body, Mapping[str, str]]] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops as a killed process does: what is in flight is cut off."""
        assert self._server is not None
        self._server.close()
        self._server.abort_clients() if hasattr(self._server, "abort_clients") else None
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
            raw = await reader.readexactly(int(headers.get("content-length", 0)))
            path = first.split()[1]
            body = json.loads(raw) if raw else {}
            self.received.append((path, body, headers))
            answer = await self.handler(path, body, headers)
            if self._server is None:
                return  # killed while it was working on this one
            await self._send(writer, answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        if answer.fault == RESET:
            return
        if answer.fault == HANG:
            await asyncio.sleep(30)
        if answer.raw:
            for piece in answer.raw:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(answer.pause_s)
            return
        payload = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        extra = "".join(f"{k}: {v}\r\n" for k, v in answer.headers.items())
        head = f"HTTP/1.1 {answer.status} X\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n{extra}\r\n"
        writer.write(head.encode() + (payload[: len(payload) // 2] if answer.fault == TRUNCATED else payload))
        await writer.drain()


@asynccontextmanager
async def serving(handler: Handler) -> Any:
    """An endpoint that runs as long as the `async with` block."""
    endpoint = Endpoint(handler)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.stop()


async def by_engine(engine: Engine, body: Body, *, max_n: int | None = None) -> Answer:
    """The completions API in front of an engine, as vLLM gives it: the stop string is cut off, and named."""
    params = SamplingParams(
        n=min(body.get("n", 1), max_n or 1_000),
        temperature=body["temperature"],
        max_tokens=body["max_tokens"],
        stop=tuple(body["stop"]),
        seed=body["seed"],
    )
    generation = await engine.generate(body["prompt"], params)
    choices = [
        {"index": i, "text": c.text, "finish_reason": "stop" if c.stop else "length", "stop_reason": c.stop}
        for i, c in enumerate(generation.completions)
    ]
    total = sum(c.num_tokens for c in generation.completions)
    usage = {"prompt_tokens": generation.num_prompt_tokens, "completion_tokens": total}
    return Answer({"choices": choices, "usage": usage})
