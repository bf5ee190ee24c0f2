"""What programs have printed that ran before, for whoever asks for the same again."""

from __future__ import annotations

from rstar_math.execution.supervisor.lru import LRU
from rstar_math.execution.supervisor.requests import Key
from rstar_math.types import Execution

ENTRY_BYTES = 400
"""What a remembered result takes beyond its text."""


class Results:
    """Results by program, the least recently used of them forgotten first.

    Args:
      max_entries: most of them; 0: nothing is remembered.
      max_bytes: most that they take.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._by_key: LRU[Key, Execution] = LRU(max_entries, max_bytes)

    def get(self, key: Key) -> Execution | None:
        """The result of a program, or None."""
        return self._by_key.get(key)

    def put(self, key: Key, execution: Execution) -> None:
        """Remembers a result, where it says something certain about the program.

        How long the wall clock ran, and what killed a process, does not.
        """
        if execution.status not in ("wall_limit", "killed"):
            num_bytes = ENTRY_BYTES + len(key[1]) + len(execution.output) + len(execution.error or "")
            self._by_key.put(key, execution, num_bytes)
