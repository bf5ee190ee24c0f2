"""What stands before every request: who may ask, from where, how much, and how slowly."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rstar_math.serve.errors import RequestError
from rstar_math.serve.settings import ServeSettings, is_loopback

_OPEN_PATHS = ("/health",)
_NAMES = re.compile(r"[A-Za-z0-9_, -]{1,2000}")
"""Names of headers, separated by commas."""
_MAX_HEADERS = 100
MAX_HEAD_BYTES = 16_384
"""Bytes of a request's line and headers."""


class Guard:
    """Wraps the application: Host, Origin, key, size and speed are looked at before anything else is."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, open_paths: Collection[str] = ()) -> None:
        """Reads nothing yet.

        Args:
          app: what is guarded.
          settings: who may ask, and limits.
          open_paths: further paths that need no key.
        """
        self._app, self._settings = app, settings
        self._open_paths = frozenset({*_OPEN_PATHS, *open_paths})
        self._hosts = {host.lower() for host in settings.allow_hosts}
        self._keys = [_digest(key) for key in settings.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # uvicorn is told of no web sockets; there are none
        headers = Headers(scope=scope)
        cors: dict[str, str] = {}
        try:
            _check_head(headers)
            scope = _without_last_slash(scope)
            host = self._host(headers)
            cors = self._origin(headers, host)
            if scope["method"] == "OPTIONS" and cors:
                await _reply(send, 204, b"", cors | _preflight(headers))
                return
            if scope["path"] not in self._open_paths:
                self._key(headers)
            body = await self._body(scope, headers, receive)
        except RequestError as error:
            close = {"Connection": "close", "Content-Type": "application/json"}
            await _reply(send, error.status, json.dumps(error.body).encode(), error.headers | cors | close)
            return
        except _Gone:
            return
        await self._app(scope, _receive(body, receive), _send(send, cors))

    def _host(self, headers: Headers) -> str:
        """The name under which the client reached this server: none that somebody else's DNS may have made up."""
        given = headers.getlist("host")
        host = _name(given[0]) if len(given) == 1 else None
        if host is None or not (_is_address(host) or is_loopback(host) or host in self._hosts):
            raise RequestError(
                403,
                "this server does not go by the name that the Host header says; start it with --allow-host NAME",
                code="host_not_allowed",
            )
        return given[0].lower()

    def _origin(self, headers: Headers, host: str) -> dict[str, str]:
        """Headers for a browser whose page may ask; a page that may not is refused."""
        given = headers.getlist("origin")
        if not given:
            return {}
        origin = given[0]
        if len(given) > 1 or not (origin in self._settings.allow_origins or urlsplit(origin).netloc.lower() == host):
            raise RequestError(
                403,
                "pages of this origin may not ask; start the server with --allow-origin URL",
                code="origin_not_allowed",
            )
        exposed = {"Access-Control-Expose-Headers": "X-Request-Id, Retry-After"}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} | exposed

    def _key(self, headers: Headers) -> None:
        if not self._keys:
            return
        given = headers.getlist("authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        digest = _digest(key.strip()) if scheme.lower() == "bearer" else b""
        matches = [hmac.compare_digest(digest, known) for known in self._keys]  # all of them: no key is told by time
        if not any(matches):
            raise RequestError(401, "the API key is missing or wrong", code="invalid_api_key")

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """The whole body, within its limits; of methods that have none, nothing is read."""
        if scope["method"] != "POST":
            return b""
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "send JSON, with Content-Type: application/json", code="unsupported_media_type")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestError(415, "send the body as it is, without Content-Encoding", code="unsupported_media_type")
        too_large = RequestError(
            413, f"a request may have {self._settings.max_body_bytes:,} bytes", code="request_too_large"
        )
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._settings.max_body_bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.receive_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    body += message.get("body", b"")
                    if len(body) > self._settings.max_body_bytes:
                        raise too_large
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            late = f"the body did not arrive within {self._settings.receive_s:g} s"
            raise RequestError(408, late, code="request_timeout") from None
        return bytes(body)


def _without_last_slash(scope: Scope) -> Scope:
    """`/v1/models/` is `/v1/models`: a redirection would have to know how clients reach a proxy before this server."""
    path = scope["path"]
    if path.endswith("/") and (path.startswith("/v1/") or path in ("/health/", "/metrics/")):
        return {**scope, "path": path.rstrip("/")}
    return scope


class _Gone(Exception):
    """The client went away before it had sent everything."""


def _check_head(headers: Headers) -> None:
    """Refuses a head that is too large, or that says twice how long the body is.

    Raises:
      RequestError: it is, or does.
    """
    if len(headers.raw) > _MAX_HEADERS or sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEAD_BYTES:
        raise RequestError(431, f"a request may have {_MAX_HEADERS} headers of {MAX_HEAD_BYTES:,} bytes in all")
    if "transfer-encoding" in headers and "content-length" in headers:
        raise RequestError(400, "a request has either Content-Length or Transfer-Encoding")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _name(host: str) -> str | None:
    """The name in a Host header, without its port; None for what is no such header."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
        name = parts.hostname
    except ValueError:
        return None
    return name if name and parts.netloc == host and parts.username is None else None


def _is_address(host: str) -> bool:
    """Whether a host is a bare address, which needs no DNS, so that nobody can point a name of theirs at it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _preflight(headers: Headers) -> dict[str, str]:
    """Lets a page that may ask send what headers it wants: clients have their own (`openai` has `X-Stainless-*`)."""
    wanted = headers.get("access-control-request-headers", "")
    return {
        "Access-Control-Allow-Methods": "GET, HEAD, POST",
        "Access-Control-Allow-Headers": wanted if _NAMES.fullmatch(wanted) else "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    }


async def _reply(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _receive(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes: the client going away."""
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _send(send: Send, headers: dict[str, str]) -> Send:
    """Sends with further headers, and with those that keep a browser from taking a reply for something else."""
    further = headers | {"X-Content-Type-Options": "nosniff"}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in further.items()]

    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *raw]}
        await send(message)

    return send_with
