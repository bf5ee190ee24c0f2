"""How servers listen: the socket, uvicorn's settings, and connections that must say in time what they want."""

from __future__ import annotations

import asyncio
import functools
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from rstar_math.errors import ConfigError
from rstar_math.serve.guard import MAX_HEAD_BYTES, Guard
from rstar_math.serve.settings import ServeSettings


def bound_socket(settings: ServeSettings) -> socket.socket:
    """The address, taken before models are loaded; nothing listens on it yet.

    Raises:
      ConfigError: there is no such address, or another program has it.
    """
    bound: socket.socket | None = None
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise ConfigError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; give another --host or "
            "--port (0: any free port)"
        ) from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Where clients find a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def config_of(app: Guard, settings: ServeSettings, graceful_s: int) -> uvicorn.Config:
    """uvicorn's settings for an app: HTTP/1.1 alone, with bounded heads, connections and waits.

    Args:
      app: what answers, behind its guard.
      settings: limits.
      graceful_s: seconds that open connections have at the end.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=graceful_s,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    config.load()
    config.http_protocol_class = functools.partial(_BoundedConnection, settings.receive_s)  # type: ignore[assignment]
    return config


class _BoundedConnection(H11Protocol):
    """A connection whose first request must arrive in time."""

    def __init__(
        self,
        receive_s: float,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._receive_s = receive_s
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self._head is not None:
            self._head.cancel()
            self._head = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head is not None:
            self._head.cancel()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self._receive_s, self.transport.abort)
