"""The server's process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Mapping

import uvicorn
from sse_starlette.sse import AppStatus
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from rstar_math.api.model import RStarMathModel
from rstar_math.errors import ConfigError
from rstar_math.serve.app import Server
from rstar_math.serve.guard import MAX_HEAD_BYTES
from rstar_math.serve.settings import ServeSettings
from rstar_math.view.library import Library

log = logging.getLogger("rstar_math.serve")


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


def serve(
    models: Mapping[str, RStarMathModel],
    settings: ServeSettings,
    bound: socket.socket,
    ready: Callable[[], None],
    library: Library | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; then running answers end, up to a limit. A second signal gives them up.

    Args:
      models: by the names that clients give.
      settings: limits.
      bound: from `bound_socket`.
      ready: is called when clients may come.
      library: shown on pages under `/view/`; None: there are none.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="rstar serve: %(message)s")
    asyncio.run(HttpServer(Server(models, settings, library), ready).serve([bound]))


class HttpServer(uvicorn.Server):
    """uvicorn, which ends when the answers have."""

    def __init__(self, server: Server, ready: Callable[[], None]) -> None:
        self._server, self._ready = server, ready
        self._ending: asyncio.Task[None] | None = None
        AppStatus.enable_automatic_graceful_drain = False  # streams end when their answers do
        settings = server.settings
        config = uvicorn.Config(
            server.app,
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
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        config.load()
        config.http_protocol_class = functools.partial(_Bounded, settings.receive_s)  # type: ignore[assignment]
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The signals of this server; afterwards they are the command's again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            loop.add_signal_handler(number, self.end)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])

    def end(self) -> None:
        """Refuses what comes, and ends when what runs has ended; called again, at once. In the server's own loop."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(self._server.settings.shutdown_s))
        else:
            self._ending.cancel()
            self._server.searches.give_up()
            self.should_exit = True

    async def _end(self, within_s: float) -> None:
        log.warning("ending: running answers have %g s", within_s)
        if self._server.pages is not None:
            self._server.pages.end()
        await self._server.searches.aclose(within_s)
        await asyncio.sleep(0.05)  # what was answered is sent
        self.should_exit = True


class _Bounded(H11Protocol):
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
