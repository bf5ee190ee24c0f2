"""An event loop in a thread of its own: what it works on can be waited for by any thread, or awaited on any other loop.

One code path serves blocking and awaiting callers. It does not matter whether the caller has a running loop (a server,
Jupyter) or none.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from rstar_math.errors import EngineError

T = TypeVar("T")


class BackgroundLoop:
    """The loop and its thread. `close` it when done."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._calls: set[_Call[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits, blocking, for `work`. An interrupt (Ctrl-C) stops the work before it is passed on.

        Raises:
          EngineError: the loop is gone: closed meanwhile, or left behind in another process. Or this is its own thread,
            which would wait for itself.
          Exception: whatever `work` raises.
        """
        call = self._begin(work)
        try:
            return call.result.result()
        except BaseException:
            call.stop()
            call.ended.wait()
            raise

    async def acall(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work`. Cancelling stops the work, and waits until it has stopped; otherwise as `call`."""
        call = self._begin(work)
        waiting = asyncio.wrap_future(call.result)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            call.stop()
            await asyncio.wait([waiting])
            waiting.exception()  # looked at, so that the loop does not complain that nobody did
            raise

    def stop_calls(self) -> None:
        """Stops what is worked on, and waits until it has stopped; whoever waits for it gets an EngineError."""
        for call in tuple(self._calls):
            call.stop()
        for call in tuple(self._calls):
            call.ended.wait(timeout=10)

    def close(self) -> None:
        """Stops what is still worked on, then the thread."""
        if self._process != os.getpid():
            return  # the thread stayed behind in the process that started it
        self.stop_calls()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, T]) -> _Call[T]:
        problem = None
        if self._process != os.getpid():
            problem = "belongs to the process that made it; make one in each process"
        elif threading.current_thread() is self._thread:
            problem = "cannot be called from the searches that run in it"
        elif self._loop.is_closed():
            problem = "has been closed"
        if problem:
            work.close()
            raise EngineError(f"{self._name} {problem}")
        call = _Call(self._loop, work, self._name)
        self._calls.add(call)
        call.result.add_done_callback(lambda _: self._calls.discard(call))
        call.start()
        return call


class _Call(Generic[T]):
    """One piece of work on the loop.

    Attributes:
      result: what it gives; never cancelled.
      ended: set when nothing of it runs any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], name: str) -> None:
        self.result: Future[T] = Future()
        self.result.set_running_or_notify_cancel()  # from now on a waiter that is cancelled cannot cancel it
        self.ended = threading.Event()
        self._loop, self._work, self._name = loop, work, name
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        self._loop.call_soon_threadsafe(self._start)

    def stop(self) -> None:
        """Cancels the work; does nothing where it has ended."""
        if not self.ended.is_set():
            self._loop.call_soon_threadsafe(self._stop)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._work)
        self._task.add_done_callback(self._finish)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        self.ended.set()
        if task.cancelled():
            self.result.set_exception(EngineError(f"{self._name} was closed, or stopped, while it worked on this"))
        elif (error := task.exception()) is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(task.result())
