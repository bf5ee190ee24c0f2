"""The server's process: its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Mapping

import uvicorn
from sse_starlette.sse import AppStatus

from rstar_math.api.model import RStarMathModel
from rstar_math.serve.app import Server
from rstar_math.serve.listening import config_of
from rstar_math.serve.settings import ServeSettings
from rstar_math.view.library import Library

log = logging.getLogger("rstar_math.serve")


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
      bound: from `rstar_math.serve.listening.bound_socket`.
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
        super().__init__(config_of(server.app, server.settings, graceful_s=5))

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
