"""Requests to a server that may be slow, broken or hostile: every way in which one can fail becomes a `Reply`.

What it is not: it knows nothing of completions. What is asked stands in `requests.py`, how answers are read in
`replies.py` and `completions.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx

from rstar_math.engines.http.replies import Reply, read_reply
from rstar_math.errors import ModelError

LARGEST_ANSWER_BYTES = 64 << 20
"""An answer that is longer is not read to its end: 64 candidates of 4,096 tokens with log-probabilities take 20 MiB."""


class Line(Protocol):
    """What requests go over: to one server, or to several of the same model."""

    @property
    def shown_url(self) -> str:
        """The URL as messages show it, without a password."""

    @property
    def has_key(self) -> bool:
        """Whether a key is sent."""

    def move(self, below: str) -> None:
        """Sends further requests to a path below the base URL."""

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One request; never raises for what the server or the line did."""


class Transport:
    """Connections to one server.

    Attributes:
      shown_url: the server's URL as messages show it, without a password.
      was_reached: whether anything ever listened there.
      has_key: whether a key is sent.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        """Opens nothing yet.

        Args:
          url: base URL.
          key: sent as a bearer token; None: no key.
          timeout_s: wall seconds of one request, from its first byte to the last of its answer.

        Raises:
          ModelError: the URL is none, or the key cannot be sent.
        """
        key = (key or "").strip()  # keys come from files with a newline at their end
        if not (key.isascii() and key.isprintable()):
            raise ModelError("the key has characters that HTTP cannot carry; check the environment variable it is in")
        try:
            self._url, self.shown_url = str(httpx.URL(url)).rstrip("/"), _without_password(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise ModelError(f"the URL of a model cannot be read: {error}") from error
        self.was_reached = False
        self.has_key = bool(key)
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            limits=httpx.Limits(max_connections=None),
        )

    def move(self, below: str) -> None:
        """Sends further requests to a path below the base URL, on the same server."""
        self._url += below
        self.shown_url += below

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One request; never raises for what the server or the line did."""
        try:
            # the client's own limit counts from one byte to the next: a server that drips would never end
            async with asyncio.timeout(self._timeout_s):
                async with self._client.stream(method, self._url + path, json=body) as response:
                    self.was_reached = True
                    content = await _read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Reply({}, f"no connection ({type(error).__name__}: {error})", 0)
        except (httpx.TimeoutException, TimeoutError) as error:
            self.was_reached = True  # it listens, and is busy or loads its model
            return Reply({}, f"no answer within {self._timeout_s:g} s ({type(error).__name__})", 0)
        except httpx.HTTPError as error:
            return Reply({}, f"the connection failed ({type(error).__name__}: {error})", 0)
        if content is None:
            return Reply({}, f"an answer of more than {LARGEST_ANSWER_BYTES >> 20} MiB", response.status_code)
        headers = response.headers
        return read_reply(response.status_code, content, headers.get("retry-after"), headers.get("location"))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


async def _read(response: httpx.Response) -> bytes | None:
    """The body; None where it is too long."""
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > LARGEST_ANSWER_BYTES:
            return None
    return bytes(content)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
