"""The viewer's process: it serves pages until a signal comes."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from rstar_math.serve.settings import ServeSettings
from rstar_math.view.app import view_app
from rstar_math.view.library import Library


def serve_pages(library: Library, settings: ServeSettings, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serves the pages of a library until SIGINT or SIGTERM.

    Args:
      library: what is shown.
      settings: who may ask, and limits.
      bound: from `rstar_math.serve.process.bound_socket`.
      ready: is called when browsers may come.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="rstar view: %(message)s")
    config = uvicorn.Config(
        view_app(library, settings),
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
        timeout_graceful_shutdown=1,
    )
    _Viewer(config, ready).run([bound])


class _Viewer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
