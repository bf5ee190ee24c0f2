"""Keys and values of prefixes that were read before, so that the children of a node read only what is new.

Stored in blocks of a few tokens, each under all tokens up to its end: solutions that share a prefix share its blocks,
and a lookup finds the longest known prefix, whatever request stored it. Bounded in bytes, least recently used first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rstar_math.engines.torch.key_values import KeyValuePool

BLOCK_TOKENS = 8
"""Tokens of a block. What lies behind the last whole block is read again: 4 tokens on average."""


class PrefixCache:
    """Blocks of keys and values, by the tokens that lead to their end.

    Attributes:
      tokens_reused: tokens that did not have to be read again so far.
    """

    def __init__(self, max_bytes: int) -> None:
        """Makes an empty cache; with `max_bytes` 0 it stays empty."""
        self.tokens_reused = 0
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._blocks: OrderedDict[bytes, Tensor] = OrderedDict()  # each [layers, 2, kv_heads, BLOCK_TOKENS, head_dim]

    @property
    def num_bytes(self) -> int:
        """Bytes held now."""
        return self._num_bytes

    def load(self, pool: KeyValuePool, slot: int, tokens: Sequence[int], limit: int) -> int:
        """Copies the longest known prefix of `tokens`, at most `limit` tokens, into the first columns of a slot.

        Returns:
          The number of tokens of that prefix, a multiple of `BLOCK_TOKENS`.
        """
        if not self._blocks:
            return 0
        key = _key(tokens)
        found: list[Tensor] = []
        for end in _block_ends(limit):
            block = self._blocks.get(_prefix(key, end))
            if block is None:
                break
            found.append(block)
        num_tokens = len(found) * BLOCK_TOKENS
        for end in reversed(_block_ends(num_tokens)):  # the first blocks, shared by most, count as used last
            self._blocks.move_to_end(_prefix(key, end))
        if found:
            pool.storage[:, slot, :, :, :num_tokens] = torch.cat(found, dim=3)
            self.tokens_reused += num_tokens
        return num_tokens

    def store(self, pool: KeyValuePool, slot: int, tokens: Sequence[int]) -> None:
        """Keeps the whole blocks of a slot whose first columns hold `tokens`."""
        if not self._max_bytes:
            return
        key = _key(tokens)
        for end in reversed(_block_ends(len(tokens))):
            prefix = _prefix(key, end)
            if prefix in self._blocks:
                break  # and so are those before it: they were used at least as lately
            block = pool.storage[:, slot, :, :, end - BLOCK_TOKENS : end].clone()
            self._blocks[prefix] = block
            self._num_bytes += block.nbytes
        while self._num_bytes > self._max_bytes:
            self._num_bytes -= self._blocks.popitem(last=False)[1].nbytes


def _block_ends(num_tokens: int) -> range:
    return range(BLOCK_TOKENS, num_tokens + 1, BLOCK_TOKENS)


def _key(tokens: Sequence[int]) -> bytes:
    return np.asarray(tokens, dtype=np.int32).tobytes()


def _prefix(key: bytes, num_tokens: int) -> bytes:
    return key[: 4 * num_tokens]
