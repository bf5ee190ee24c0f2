"""Waiting for several things at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def all_of(work: Iterable[Awaitable[T]]) -> list[T]:
    """Waits for everything, then raises the first error if there is one: no part of a search outlives the search."""
    waiting = list(work)
    if not waiting:  # not even a turn of the event loop
        return []
    if len(waiting) == 1:  # needs no task of its own
        return [await waiting[0]]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [r for r in results if not isinstance(r, BaseException)]
