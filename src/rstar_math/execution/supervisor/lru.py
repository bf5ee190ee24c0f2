"""A table bounded in entries and in bytes, of which the least recently used entries go first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LRU(Generic[K, V]):
    """Remembers at most `max_entries` values that take at most `max_bytes` together.

    Args:
      max_entries: 0 remembers nothing.
      max_bytes: of what `put` says that its entries take.
    """

    def __init__(self, max_entries: int, max_bytes: float = float("inf")) -> None:
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.num_bytes = 0
        """What all entries take together."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """The value of `key`, which counts as used; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, num_bytes: int = 0) -> None:
        """Remembers `value`, unless it alone takes more than there is room for."""
        if key in self._entries:
            self.pop(key)
        if num_bytes > self._max_bytes:
            return
        self._entries[key] = (value, num_bytes)
        self.num_bytes += num_bytes
        while len(self._entries) > self._max_entries or self.num_bytes > self._max_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self.num_bytes -= freed

    def pop(self, key: K) -> V | None:
        """Forgets `key`; returns its value, None where there was none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.num_bytes -= entry[1]
        return entry[0]
