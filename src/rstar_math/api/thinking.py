"""An answer while it is thought about: its events one by one, a way to have the answer now, a way to give it up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from rstar_math.api.background import BackgroundLoop
from rstar_math.search.course import Course
from rstar_math.search.events import Answered, Event
from rstar_math.types import Solution


class Thinking:
    """What `RStarMathModel.stream` gives: an async iterator of events, whose last one is `Answered`.

    async with model.stream(question) as thinking:
        async for event in thinking:
            ...

    The search begins when it is made, in the model's own thread, and does not wait for whoever reads. Leaving the block
    before the end stops it, its requests to the model and its programs. It belongs to the event loop that made it;
    `answer_now` may be called from any thread.

    Attributes:
      course: how far the answer has come.
    """

    def __init__(self, loop: BackgroundLoop, begin: Callable[[Course], Coroutine[Any, Any, Solution]]) -> None:
        self.course = Course(self._hear)
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._is_waiting = False
        self._is_over = False
        self._task = self._loop.create_task(loop.acall(begin(self.course)))
        self._task.add_done_callback(self._finish)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
          StopAsyncIteration: the answer was given.
          RStarError: the model, the sandbox or the grader failed; whatever `solve` raises.
        """
        while True:
            if self._events:
                return self._events.popleft()
            if self._is_over:
                raise StopAsyncIteration
            self._wake.clear()
            self._is_waiting = True  # from now on an event wakes this loop
            if not self._events and not self._is_over:
                await self._wake.wait()
            self._is_waiting = False
            if self._task.done() and not self._events:
                self._is_over = True
                return Answered(self._task.result())

    async def solution(self) -> Solution:
        """The solution, when it is found; events that nobody has read stay to be read. Raises as `solve` does."""
        return await asyncio.shield(self._task)

    def events(self) -> list[Event]:
        """The events that came and were not read yet; does not wait."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def answer_now(self) -> None:
        """Ends the thinking: the best answer so far is chosen and checked, and comes as the last event."""
        self.course.answer_now()

    async def aclose(self) -> None:
        """Stops the search, where it has not ended, and waits until nothing of it runs any more."""
        self._is_over = True
        self._task.cancel()
        await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _hear(self, event: Event) -> None:
        """Runs in the model's thread. Nobody is woken who does not wait: that costs both threads time."""
        self._events.append(event)
        if self._is_waiting:
            self._is_waiting = False
            self._loop.call_soon_threadsafe(self._wake.set)

    def _finish(self, task: asyncio.Task[Solution]) -> None:
        self._wake.set()
        if not task.cancelled():
            task.exception()  # looked at: it may be that nobody reads on
