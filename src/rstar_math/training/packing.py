"""Shared-prefix packing: the texts of one problem as a token trie in one row of a batch.

The steps compared at the nodes of a tree share their prefixes. A row holds every shared token once; a token attends
to its ancestors in the trie (a 4D attention mask) and its position id is its depth, so that its hidden state is the one
it has in its own text alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrieRow:
    """Token sequences as a trie, its tokens in depth-first order.

    The tokens below and at token i are then exactly those in [i, subtree_end[i]), which makes the mask two comparisons.

    Attributes:
      token_ids: `[T]`.
      depths: `[T]` position of each token in its own text.
      subtree_ends: `[T]` exclusive end of each token's subtree.
    """

    token_ids: IntArray
    depths: IntArray
    subtree_ends: IntArray

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)


def pack(sequences: Sequence[Sequence[int]]) -> tuple[TrieRow, IntArray]:
    """The trie of non-empty token sequences, and `[len(sequences)]` the index of each one's last token in it."""
    last = np.zeros(len(sequences), np.int64)
    token_ids: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    path: list[int] = []  # trie index of each token of the sequence before
    before: Sequence[int] = ()
    # In lexicographic order a sequence follows its prefixes, and its neighbours share the most with it: the trie in
    # depth-first order.
    for i in sorted(range(len(sequences)), key=lambda i: tuple(sequences[i])):
        sequence = sequences[i]
        num_shared = _num_shared(before, sequence)
        for node in path[num_shared:]:
            ends[node] = len(token_ids)
        del path[num_shared:]
        for depth in range(num_shared, len(sequence)):
            path.append(len(token_ids))
            token_ids.append(sequence[depth])
            depths.append(depth)
            ends.append(0)
        last[i] = path[-1]
        before = sequence
    for node in path:
        ends[node] = len(token_ids)
    return TrieRow(np.array(token_ids), np.array(depths), np.array(ends)), last


def num_packed_tokens(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens of the trie of `sequences`, without building it."""
    ordered = sorted(tuple(sequence) for sequence in sequences)
    return sum(len(s) for s in ordered) - sum(_num_shared(a, b) for a, b in pairwise(ordered))


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Rows padded to one width, as a model reads them.

    Attributes:
      input_ids: `[B, T]`.
      position_ids: `[B, T]`.
      attention_mask: `[B, 1, T, T]` bool, True where the token of the third axis sees that of the fourth.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor


def collate(rows: Sequence[TrieRow], width: int, pad_token_id: int, device: torch.device) -> PackedBatch:
    """Pads rows on the right to `width` tokens; a padding token sees itself alone."""
    input_ids = np.full((len(rows), width), pad_token_id, np.int64)
    position_ids = np.zeros((len(rows), width), np.int64)
    ends = np.tile(np.arange(1, width + 1), (len(rows), 1))
    for i, row in enumerate(rows):
        input_ids[i, : row.num_tokens] = row.token_ids
        position_ids[i, : row.num_tokens] = row.depths
        ends[i, : row.num_tokens] = row.subtree_ends
    index = torch.arange(width, device=device)
    subtree_ends = torch.from_numpy(ends).to(device)
    sees = (index[None, :] <= index[:, None]) & (index[None, :, None] < subtree_ends[:, None, :])  # [B, T, T]
    return PackedBatch(
        torch.from_numpy(input_ids).to(device), torch.from_numpy(position_ids).to(device), sees.unsqueeze(1)
    )


def _num_shared(a: Sequence[int], b: Sequence[int]) -> int:
    num = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        num += 1
    return num
