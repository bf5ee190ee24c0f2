"""A program on its way through the executor."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rstar_math.types import Execution

Steps = tuple[str, ...]
Key = tuple[Steps, str]
"""A prefix and the code after it: what a result is remembered by."""


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
      waiters: futures of those who wait for `executions`.
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
    waiters: list[asyncio.Future[list[Execution]]] = field(default_factory=list)

    @property
    def fresh(self) -> bool:
        """To be run from the start in a fork of a clean zygote, whatever is known."""
        return self.key is None and not self.builds

    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return self.builds or not all(waiter.done() for waiter in self.waiters)

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
                waiter.exception()  # an awaiter that is gone must not make the loop complain


def readable(text: str) -> str:
    """`text` as something that can be written to a file: what is no character becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
