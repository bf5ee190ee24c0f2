"""What changes while somebody looks: one look at the files for all who watch the same, however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool

from rstar_math.errors import RStarError
from rstar_math.view.library import Library

EVERY_S = 0.15
"""Seconds between two looks."""

_PING_S = 10.0


class Watching:
    """Looks at a set of trees as long as a page watches it."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._watched: dict[str, _Watched] = {}
        self._is_ending = False

    async def changes(self, name: str) -> AsyncIterator[dict[str, Any] | None]:
        """Changes of a set of trees, or of what there is at all where `name` is ""; None where nothing has long.

        The first one comes at once and says how things are. A reader that is slow is told the last state alone.
        """
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = _Watched(self._library, name)
        watched.num_watching += 1
        try:
            seen = -1
            while not self._is_ending:
                if watched.version == seen:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_PING_S):
                            await watched.wait(seen)
                if self._is_ending:
                    return
                if watched.version == seen:
                    yield None
                    continue
                seen = watched.version
                yield watched.state
        finally:
            watched.num_watching -= 1
            if not watched.num_watching:
                watched.end()
                self._watched.pop(name, None)

    def end(self) -> None:
        """Ends all watching: whoever waits for a change is told that there will be none."""
        self._is_ending = True
        for watched in list(self._watched.values()):
            watched.end()


class _Watched:
    """One thing that is watched, by any number of pages."""

    def __init__(self, library: Library, name: str) -> None:
        self._library, self._name = library, name
        self.num_watching = 0
        self.version = -1
        self.state: dict[str, Any] = {}
        self._is_ended = False
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._look_on())

    async def wait(self, seen: int) -> None:
        while self.version == seen and not self._is_ended:
            await self._changed.wait()

    def end(self) -> None:
        self._is_ended = True
        self._task.cancel()
        self._changed.set()

    async def _look_on(self) -> None:
        while True:
            try:
                state = await run_in_threadpool(self._look)
            except RStarError as error:
                state = {"error": str(error)[:500]}
            if state != self.state or self.version < 0:
                self.state, self.version = state, self.version + 1
                self._changed.set()
                self._changed = asyncio.Event()
            await asyncio.sleep(EVERY_S)

    def _look(self) -> dict[str, Any]:
        if not self._name:
            return {"sets": self._library.tree_sets()}
        trees = self._library.trees(self._name)
        return {"num_trees": trees.index().num_rows, "growing": trees.growing()}
