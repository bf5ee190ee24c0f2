"""Texts that start alike are one group: what they share is read once, and the rest of each beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MAX_GROUP_TEXTS = 16


_MAX_GROUP_TOKENS = 1024
"""Texts of a group see each other's columns masked, so large groups waste attention."""


@dataclass(frozen=True, slots=True)
class Group:
    """Texts that start alike, read as one tree.

    Attributes:
      prefix: tokens that all of them start with.
      branches: the tokens of each behind the prefix.
      ends: for each, the numbers of its tokens after which a score is wanted.
    """

    prefix: list[int]
    branches: tuple[list[int], ...]
    ends: tuple[tuple[int, ...], ...]

    @property
    def num_tokens(self) -> int:
        """Tokens that are read: those of the prefix once."""
        return len(self.prefix) + sum(map(len, self.branches))

    @property
    def first_end(self) -> int:
        """The first number of tokens after which a score is wanted."""
        return min(ends[0] for ends in self.ends)


def in_groups(sequences: Sequence[tuple[list[int], tuple[int, ...]]]) -> list[Group]:
    """Puts neighbours that share at least half of their tokens into groups; order is kept."""
    groups: list[Group] = []
    start = 0
    while start < len(sequences):
        shared = len(sequences[start][0])
        end, num_tokens = start + 1, shared
        while end < len(sequences) and end - start < _MAX_GROUP_TEXTS:
            ids = sequences[end][0]
            common = _num_common(sequences[start][0], ids, shared)
            num_tokens += len(ids) - common
            if 2 * common < len(ids) or num_tokens > _MAX_GROUP_TOKENS:
                break
            shared, end = common, end + 1
        members = sequences[start:end]
        groups.append(
            Group(
                prefix=members[0][0][:shared],
                branches=tuple(ids[shared:] for ids, _ in members),
                ends=tuple(ends for _, ends in members),
            )
        )
        start = end
    return groups


def _num_common(one: Sequence[int], other: Sequence[int], limit: int) -> int:
    """Number of tokens, at most `limit`, with which both start."""
    limit = min(limit, len(one), len(other))
    for i in range(limit):
        if one[i] != other[i]:
            return i
    return limit
