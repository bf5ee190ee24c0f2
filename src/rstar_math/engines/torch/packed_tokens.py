"""Tokens of many sequences, packed for one call of the decoder: where each lies, what it sees, in which blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rstar_math.engines.torch.tiling import COLUMN_STEP, QUERY_ROWS, Tiling


@dataclass(frozen=True, slots=True)
class Part:
    """Attention blocks that see the same number of columns.

    Attributes:
      blocks: `[P']` their numbers; those behind the first P are padding. None: all blocks, as they are.
      slots: `[P']` pool slots of their groups, or the slots themselves where they lie side by side in order.
      num_blocks: P.
      num_columns: columns that they see.
    """

    blocks: Tensor | None
    slots: Tensor | slice
    num_blocks: int
    num_columns: int


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Tokens to read, N in all, belonging to G groups in neighbouring slots of the pool.

    Without a tiling a group is one attention block of M queries. With one, a block has `QUERY_ROWS` queries, and a
    group has as many blocks as it needs.

    Attributes:
      tokens: `[N']` ids; those behind the first N are padding.
      positions: `[N']` position of each token in its own sequence.
      slot: `[N]` pool slot of each token's group.
      column: `[N]` column of the slot that receives the token's key and value.
      row: `[N']` row of the token among the queries of all B blocks, M per block; those of the first N are different.
      dense: whether `row` is 0 .. N' - 1 in order, with N' = N = B * M, so that nothing has to be moved.
      num_slots: slots that the call looks into, from slot 0 on.
      visible: `[B, M, C]` whether a token sees a column; every row sees at least one, unused rows too.
      parts: the attention blocks by how many columns they see.
      wanted: `[S']` indices of the tokens whose output is wanted; those behind the first S are padding.
    """

    tokens: Tensor
    positions: Tensor
    slot: Tensor
    column: Tensor
    row: Tensor
    dense: bool
    num_slots: int
    visible: Tensor
    parts: tuple[Part, ...]
    wanted: Tensor

    @classmethod
    def build(
        cls,
        *,
        tokens: np.ndarray,
        positions: np.ndarray,
        slot: np.ndarray,
        column: np.ndarray,
        query: np.ndarray,
        first_slot: int,
        visible: np.ndarray,
        wanted: np.ndarray,
        tiling: Tiling | None,
        device: torch.device,
    ) -> PackedTokens:
        """Cuts into blocks, pads, and moves everything to the device.

        Args:
          tokens, positions, slot, column: `[N]`, see the attributes.
          query: `[N]` number of the token among its group's tokens of this call, 0 .. M - 1. With a tiling, those of a
            group that is read into its columns begin at a column that is a multiple of `QUERY_ROWS`.
          first_slot: slot of the first group.
          visible: `[G, M, C]` whether a token sees a column; every group has something in column 0.
          wanted: `[S]`, see the attributes.
          tiling: the shapes to use; None: as they come.
          device: where the model is.
        """

        def moved(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        block_slot = first_slot + np.arange(len(visible))
        row = (slot - first_slot) * visible.shape[1] + query
        num_tokens, num_slots = len(tokens), first_slot + len(visible)
        if tiling is None:
            slots = slice(first_slot, num_slots)
            parts = [Part(None, slots, len(visible), visible.shape[2])]
        else:
            visible, block_slot, row = _in_blocks(visible, block_slot, row)
            parts = []
            for blocks, num_columns in _by_columns(visible, tiling):
                more = -len(blocks) % tiling.blocks_at_once(num_columns)[-1]
                padded = np.pad(blocks, (0, more), mode="edge")
                beside = len(blocks) == len(visible) and bool((np.diff(block_slot) == 1).all())
                last_slot = int(block_slot[0]) + len(padded)
                slots_of_part = slice(int(block_slot[0]), last_slot) if beside else moved(block_slot[padded])
                if beside:
                    num_slots = max(num_slots, last_slot)
                parts.append(Part(moved(padded), slots_of_part, len(blocks), num_columns))
            more_columns = max(part.num_columns for part in parts) - visible.shape[2]
            visible = np.pad(visible, ((0, 0), (0, 0), (0, max(0, more_columns))))
            more_tokens = tiling.padded_rows(num_tokens) - num_tokens
            more_wanted = tiling.padded_rows(len(wanted)) - len(wanted)
            tokens, positions, row = (np.pad(array, (0, more_tokens)) for array in (tokens, positions, row))
            wanted = np.pad(wanted, (0, more_wanted))
        dense = len(row) == num_tokens == visible.shape[0] * visible.shape[1] and bool((np.diff(row) == 1).all())
        return cls(
            tokens=moved(tokens),
            positions=moved(positions),
            slot=moved(slot),
            column=moved(column),
            row=moved(row),
            dense=dense,
            num_slots=num_slots,
            visible=moved(visible),
            parts=tuple(parts),
            wanted=moved(wanted),
        )


def _in_blocks(
    visible: np.ndarray, group_slot: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts the queries of groups into blocks of `QUERY_ROWS`, without those that nobody uses.

    Args:
      visible: `[G, M, C]`.
      group_slot: `[G]`.
      row: `[N]` rows in use, of G * M.

    Returns:
      `[B, QUERY_ROWS, C]` of the blocks, `[B]` their slots, `[N]` the rows in use, of B * QUERY_ROWS.
    """
    num_groups, num_queries, num_columns = visible.shape
    per_group = -(-num_queries // QUERY_ROWS)
    group, query = np.divmod(row, num_queries)
    more = per_group * QUERY_ROWS - num_queries
    if more:
        visible = np.pad(visible, ((0, 0), (0, more), (0, 0)))
        visible[:, num_queries:, 0] = True
    block, place = np.divmod(group * (per_group * QUERY_ROWS) + query, QUERY_ROWS)
    blocks = visible.reshape(num_groups * per_group, QUERY_ROWS, num_columns)
    slots = np.repeat(group_slot, per_group)
    used = np.unique(block)
    if len(used) < len(blocks):
        blocks, slots = blocks[used], slots[used]
        block = np.searchsorted(used, block)
    return blocks, slots, block * QUERY_ROWS + place


def _by_columns(visible: np.ndarray, tiling: Tiling) -> list[tuple[np.ndarray, int]]:
    """Blocks with the number of columns that they are attended to with; see `Tiling.shared_columns`."""
    seen: np.ndarray = np.asarray(visible.any(axis=1))  # [B, C]
    own = visible.shape[2] - np.argmax(seen[:, ::-1], axis=1)  # [B] up to the last that is seen
    own = own + -own % COLUMN_STEP
    sharing = own <= tiling.shared_columns
    if sharing.any():
        own[sharing] = own[sharing].max()
    return [(np.flatnonzero(own == columns), int(columns)) for columns in np.unique(own)]
