"""Requests to a server that may be slow, broken or hostile: every way in which one can fail becomes a `Reply`.

What it is not: it knows nothing of completions. What is asked and how answers are read stands in `http_engine.py`.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from rstar_math.errors import ModelError

LARGEST_ANSWER_BYTES = 64 << 20
"""An answer that is longer is not read to its end: 64 candidates of 4,096 tokens with log-probabilities take 20 MiB."""

_PASSING = (408, 409, 425, 429)
"""Refusals that pass: time-out, conflict, too early, too many requests."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
      value: the JSON object, also of an answer that reports an error; empty where there is none.
      trouble: what is wrong with the answer; "" for nothing.
      status: of HTTP; 0: no answer at all.
      retry_after: seconds that the server asks to wait; 0 where it does not.
    """

    value: Mapping[str, Any]
    trouble: str
    status: int
    retry_after: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether asking again would give the same: a redirection, or a refusal that does not pass."""
        return 300 <= self.status < 500 and self.status not in _PASSING


class Transport:
    """Connections to one server.

    Attributes:
      shown_url: the server's URL as messages show it, without a password.
      was_reached: whether anything ever listened there.
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
            self._url, self.shown_url = str(httpx.URL(url)), _without_password(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise ModelError(f"the URL of a model cannot be read: {error}") from error
        self.was_reached = False
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            limits=httpx.Limits(max_connections=None),
        )

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
        return _reply(response, content)

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


def _reply(response: httpx.Response, content: bytes) -> Reply:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested without end
        value = None
    if response.is_success and isinstance(value, dict):
        return Reply(value, "", response.status_code)
    trouble = "an answer that is not JSON" if response.is_success else f"HTTP {response.status_code}"
    said = message_of(value) or content[:200].decode("utf-8", "replace").strip()
    if response.is_redirect:
        said = f"redirected to {response.headers.get('location')}"
    return Reply(
        value if isinstance(value, dict) else {},
        f"{trouble}: {said}" if said else trouble,
        response.status_code,
        seconds_of(response.headers.get("retry-after")),
    )


def message_of(value: object) -> str:
    """What a server says about an error, in any of the shapes in use; "" for nothing."""
    if not isinstance(value, dict):
        return ""
    error = value.get("error", value.get("detail", value.get("message", "")))
    if isinstance(error, dict):
        return " ".join(str(error[key]) for key in ("message", "code", "param") if error.get(key))
    return error if isinstance(error, str) else json.dumps(error)


def seconds_of(header: str | None) -> float:
    """Seconds that a Retry-After header asks to wait, as a number or as a date; 0 where it says nothing of use."""
    try:
        value = float(header or 0)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(header or "")
        except ValueError:
            return 0.0
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        value = (moment - datetime.now(UTC)).total_seconds()
    return value if value > 0 and math.isfinite(value) else 0.0


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
