"""What has run before or runs already, so that nobody who asks for the same has it run again."""

from __future__ import annotations

from collections.abc import Sequence

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.lru import LRU
from rstar_math.execution.supervisor.requests import Key, Request, Steps
from rstar_math.execution.supervisor.source import steps_without_comments, without_comments
from rstar_math.types import Execution

ENTRY_BYTES = 400
"""What a remembered result takes beyond its text."""


class Results:
    """Results by program, the least recently used of them forgotten first, and the requests on their way.

    Args:
      settings: how many results are remembered, in how many bytes, and whether comments count.
    """

    def __init__(self, settings: ExecutionSettings) -> None:
        self._by_key: LRU[Key, Execution] = LRU(settings.cache_entries, settings.cache_mb << 20)
        self._in_flight: dict[Key, Request] = {}
        # the released rules find labels in the text of a statement, its comments included
        self._comments_count = settings.output == "statements"

    def prefix(self, steps: Sequence[str]) -> Steps:
        """A prefix as it is remembered."""
        before = tuple(steps)
        return before if self._comments_count else steps_without_comments(before)

    def key(self, prefix: Steps, code: str) -> Key:
        """`code` after a remembered prefix, as it is remembered."""
        return prefix, code if self._comments_count else without_comments(code)

    def find(self, key: Key) -> Execution | Request | None:
        """The result of a program, or the request that it is on its way by, or None."""
        known = self._by_key.get(key)
        return self._in_flight.get(key) if known is None else known

    def begin(self, key: Key, request: Request) -> None:
        """A program is on its way."""
        self._in_flight[key] = request

    def end(self, request: Request) -> None:
        """A request is on its way no longer, whatever has come of it."""
        if request.key is not None and self._in_flight.get(request.key) is request:
            del self._in_flight[request.key]

    def forget_requests(self) -> None:
        """None is on its way any more; results are kept."""
        self._in_flight.clear()

    def remember(self, request: Request) -> None:
        """Remembers what has come of a request, where it says something certain about the program.

        How long the wall clock ran, and what killed a process, does not.
        """
        if request.key is None or request.crowded_out:
            return
        execution = request.executions[-1]
        if execution.status not in ("wall_limit", "killed"):
            num_bytes = ENTRY_BYTES + len(request.key[1]) + len(execution.output) + len(execution.error or "")
            self._by_key.put(request.key, execution, num_bytes)
