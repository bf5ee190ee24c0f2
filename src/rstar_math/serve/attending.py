"""A client that waits for a whole reply: as long as it is there, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from rstar_math.serve.errors import RequestError
from rstar_math.serve.searches import Running

T = TypeVar("T")


def client_id(request: Request) -> str | None:
    """What the client calls its request, for the control call."""
    return request.headers.get("x-client-request-id", "")[:256] or None


async def unless_gone(work: Coroutine[Any, Any, T], running: Running, request: Request) -> T:
    """Awaits `work`, and gives the searches up where the client goes away, or anything fails.

    Raises:
      RequestError: 499 where the client is gone (nobody reads it); whatever `work` raises.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RequestError(499, "the client went away")
        return working.result()
    finally:
        running.give_up()
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
