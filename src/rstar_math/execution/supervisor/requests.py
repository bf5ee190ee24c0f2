"""A program on its way through the executor."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rstar_math.types import Execution

Steps = tuple[str, ...]
Key = tuple[Steps, str]
"""A prefix and the code after it: what a result is remembered by."""


class Batch:
    """Requests whose last executions are awaited together.

    Attributes:
      done: ends when all of them have ended; with the first error, if there was one.
      executions: of each its last execution, once it has run.
    """

    __slots__ = ("_error", "_num_open", "done", "executions")

    def __init__(self, done: asyncio.Future[None], num_executions: int) -> None:
        self.done = done
        self.executions: list[Execution | None] = [None] * num_executions
        self._num_open = 0
        self._error: Exception | None = None

    def add(self, place: int, request: Request) -> None:
        """Waits for `request` at `place` of the executions as well."""
        self._num_open += 1
        request.waiters.append(_Place(self, place))

    def ended(self, error: Exception | None = None) -> None:
        """One of them has ended."""
        self._num_open -= 1
        self._error = self._error or error
        if self._num_open or self.done.done():
            return
        if self._error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self._error)
            self.done.exception()  # an awaiter that is gone must not make the loop complain


class _Place:
    """Waits for one execution of a batch, as a future waits for all of a request."""

    __slots__ = ("_batch", "_place")

    def __init__(self, batch: Batch, place: int) -> None:
        self._batch, self._place = batch, place

    def done(self) -> bool:
        return self._batch.done.done()

    def set_result(self, result: list[Execution], /) -> None:
        self._batch.executions[self._place] = result[-1]
        self._batch.ended()

    def set_exception(self, exception: Exception, /) -> None:
        self._batch.ended(exception)


Waiter = asyncio.Future[list[Execution]] | _Place

NOBODY_WAITS = "Killed: nobody waits for it any more"
"""What is said of a program whose search was given up while it ran."""


@dataclass(eq=False, slots=True)
class Request:
    """What to run, and who waits for it.

    Attributes:
      prefix: the steps before the last.
      steps: all steps.
      first: index of the first step whose execution is wanted.
      profile: the zygote that it needs.
      warm: whether it may run in a warm worker.
      key: what its result is remembered by; None for whole programs, which run past every cache.
      builds: runs only for the snapshot that it leaves.
      record: keeps what each of its statements did, whatever the settings.
      starts: how often its process has been lost.
      crowded_out: it was ended because all programs together took too much memory; alone it may not be.
      executions: what has come of it so far.
      waiters: those who wait for `executions`.
    """

    prefix: Steps
    steps: Steps
    first: int
    profile: str
    warm: bool
    key: Key | None = None
    builds: bool = False
    record: bool = False
    starts: int = 0
    crowded_out: bool = False
    executions: list[Execution] = field(default_factory=list)
    waiters: list[Waiter] = field(default_factory=list)

    @property
    def fresh(self) -> bool:
        """To be run from the start in a fork of a clean zygote, whatever is known."""
        return self.key is None and not self.builds

    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        if self.builds:
            return True
        for waiter in self.waiters:  # noqa: SIM110  (asked for every program: `any` takes longer)
            if not waiter.done():
                return True
        return False

    def complete(self) -> None:
        """Gives `executions` to whoever waits."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(self.executions)

    def fail(self, error: Exception) -> None:
        """Raises `error` in whoever waits."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)
                if isinstance(waiter, asyncio.Future):
                    waiter.exception()  # an awaiter that is gone must not make the loop complain


def readable(text: str) -> str:
    """`text` as something that can be written to a file: what is no character becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
