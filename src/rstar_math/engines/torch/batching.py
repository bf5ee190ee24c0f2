"""From many awaiting searches to one worker thread: what is awaited at the same time is handed over together.

Searches run on an event loop; the model runs in one worker thread, so that the loop never blocks. While the worker is
idle, jobs are collected until the loop is quiet (every search waits for something); while it works, it takes what has
come in whenever it has room.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from rstar_math.errors import EngineError

Request = TypeVar("Request")
Result = TypeVar("Result")

_QUIET_TURNS = 2
"""Turns of the event loop without a new job after which it counts as quiet: a finished step program or grade takes one
turn to reach its search and one to become the next request."""


_LET_GO_S = 0.25
"""How long a request that was given up waits until the worker has let go of it."""


@dataclass(eq=False, slots=True)
class Job(Generic[Request, Result]):
    """A request and where its answer goes; `let_go` is set when the worker has nothing more to do for it."""

    request: Request
    future: asyncio.Future[Result]
    loop: asyncio.AbstractEventLoop
    let_go: asyncio.Event


class Batcher(Generic[Request, Result]):
    """Collects jobs and runs `work` in one worker thread while there are any.

    `work` takes jobs with `take`, answers them with `finish` and `fail`, and returns when it has none left. It is
    called again for whatever came in meanwhile. An exception that leaves it fails every job that it had taken.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: deque[Job[Request, Result]] = deque()
        self._taken: set[Job[Request, Result]] = set()
        self._num_submitted = 0
        self._working = False
        self._closed = False
        self._watched: set[asyncio.AbstractEventLoop] = set()

    async def answer(self, request: Request, *, until_let_go: bool = False) -> Result:
        """Submits a request from a coroutine and waits for its answer.

        Args:
          request: what is asked.
          until_let_go: a coroutine that is cancelled goes on when the worker has let go of the request, so that what it
            cost is known then; a worker that does not come to it within a quarter of a second is not waited for.

        Raises:
          EngineError: it was closed, or the work failed.
        """
        if self._closed:
            raise EngineError("the engine was closed; load it again")
        loop = asyncio.get_running_loop()
        job = Job[Request, Result](request, loop.create_future(), loop, asyncio.Event())
        with self._lock:
            self._waiting.append(job)
            self._num_submitted += 1
        if loop not in self._watched:
            self._watched.add(loop)
            loop.call_soon(self._start_when_quiet, loop, self._num_submitted, _QUIET_TURNS)
        try:
            return await job.future
        except asyncio.CancelledError:
            with self._lock:
                is_taken = job in self._taken
            if is_taken and until_let_go:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LET_GO_S):
                        await job.let_go.wait()
            raise

    async def aclose(self) -> None:
        """Ends the worker thread; jobs not yet taken are cancelled."""
        self._closed = True
        with self._lock:
            abandoned = list(self._waiting)
            self._waiting.clear()
        for job in abandoned:
            job.loop.call_soon_threadsafe(job.future.cancel)
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)

    # In the worker thread.

    def take(self, fits: Callable[[Request], bool]) -> list[Job[Request, Result]]:
        """Takes waiting jobs, oldest first, up to the first that does not fit (`fits` sees each once)."""
        taken = []
        with self._lock:
            while self._waiting:
                job = self._waiting[0]
                if not job.future.done():  # cancelled while it waited
                    if not fits(job.request):
                        break
                    taken.append(job)
                self._waiting.popleft()
            self._taken.update(taken)
        return taken

    def finish(self, answers: Sequence[tuple[Job[Request, Result], Result]]) -> None:
        """Gives answers back to the loops that wait for them."""
        for job, result in answers:
            self._taken.discard(job)
            _on_loop(job, _set_result, job, result)

    def fail(self, job: Job[Request, Result], error: Exception) -> None:
        """Lets the coroutine that waits for `job` raise `error`."""
        self._taken.discard(job)
        _on_loop(job, _set_exception, job, error)

    def drop(self, job: Job[Request, Result]) -> None:
        """Nothing more is done for a job that was given up."""
        self._taken.discard(job)
        _on_loop(job, job.let_go.set)

    # On the event loop.

    def _start_when_quiet(self, loop: asyncio.AbstractEventLoop, num_seen: int, turns_left: int) -> None:
        if self._working:
            self._watched.discard(loop)
            return
        if self._num_submitted != num_seen:
            turns_left = _QUIET_TURNS
        if turns_left:
            loop.call_soon(self._start_when_quiet, loop, self._num_submitted, turns_left - 1)
            return
        self._watched.discard(loop)
        with self._lock:
            if self._working or self._closed:
                return
            self._working = True
        self._executor.submit(self._run)

    def _run(self) -> None:
        while True:
            try:
                self._work()
            except Exception as error:  # whatever the model raised belongs to those who wait for it
                for job in tuple(self._taken):
                    failure = EngineError(f"the model failed: {type(error).__name__}: {error}")
                    failure.__cause__ = error
                    self.fail(job, failure)
            with self._lock:
                if not self._waiting:
                    self._working = False
                    return


def _on_loop(job: Job[Request, Result], call: Callable[..., None], *args: object) -> None:
    if not job.loop.is_closed():
        job.loop.call_soon_threadsafe(call, *args)


def _set_result(job: Job[Request, Result], result: Result) -> None:
    if job.future.done():
        job.let_go.set()
    else:
        job.future.set_result(result)


def _set_exception(job: Job[Request, Result], error: Exception) -> None:
    if job.future.done():
        job.let_go.set()
    else:
        job.future.set_exception(error)
