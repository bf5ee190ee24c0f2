"""The viewer's process: it serves pages until a signal comes."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from rstar_math.serve.listening import config_of
from rstar_math.serve.settings import ServeSettings
from rstar_math.view.again import Again
from rstar_math.view.app import view_app
from rstar_math.view.learning import Learning
from rstar_math.view.library import Library


def serve_pages(
    library: Library,
    settings: ServeSettings,
    bound: socket.socket,
    ready: Callable[[], None],
    learning: Learning | None = None,
) -> None:
    """Serves the pages of a library until SIGINT or SIGTERM.

    Args:
      library: what is shown.
      settings: who may ask, and limits.
      bound: from `rstar_math.serve.listening.bound_socket`.
      ready: is called when browsers may come.
      learning: who teaches; None: nobody.
    """
    Viewer(library, settings, ready, learning=learning).run([bound])


class Viewer(uvicorn.Server):
    """uvicorn, whose streams end when it does."""

    def __init__(
        self,
        library: Library,
        settings: ServeSettings,
        ready: Callable[[], None],
        again: Again | None = None,
        learning: Learning | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
          library, settings, ready: as `serve_pages` takes them.
          again: runs steps once more; None: in the sandbox.
          learning: who teaches; None: nobody.
        """
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="rstar view: %(message)s")
        app, self._pages = view_app(library, settings, again, learning)
        super().__init__(config_of(app, settings, graceful_s=1))
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams first: nothing waits for them."""
        self._pages.end()
        await super().shutdown(sockets)
