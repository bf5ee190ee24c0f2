"""Keys and values of every layer for the groups of a batch, in one tensor that grows when needed."""

from __future__ import annotations

import torch


class KeyValuePool:
    """Keys and values of every layer, grown when needed.

    Attributes:
      storage: `[layers, slots, 2, kv_heads, columns, head_dim]`, keys before values.
    """

    def __init__(
        self, num_layers: int, num_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.storage = torch.zeros(num_layers, 0, 2, num_heads, 0, head_dim, dtype=dtype, device=device)

    @property
    def num_slots(self) -> int:
        """Slots there is room for."""
        return self.storage.shape[1]

    @property
    def num_columns(self) -> int:
        """Columns there is room for in each slot."""
        return self.storage.shape[4]

    def reserve(self, num_slots: int, num_columns: int) -> None:
        """Makes room for at least this many slots and columns, keeping what is there."""
        slots, columns = self.num_slots, self.num_columns
        if slots >= num_slots and columns >= num_columns:
            return
        # more than was asked for, so that a growing batch does not copy its pool at every step
        num_slots = slots if slots >= num_slots else max(16, 1 << (num_slots - 1).bit_length())
        num_columns = columns if columns >= num_columns else (num_columns + num_columns // 2 + 63) // 64 * 64
        layers, _, _, heads, _, head_dim = self.storage.shape
        grown = self.storage.new_empty(layers, num_slots, 2, heads, num_columns, head_dim)
        grown[:, :slots, :, :, :columns] = self.storage
        # zeros in what is new: a masked column still takes part in a product, where NaN times 0 would be NaN
        grown[:, :slots, :, :, columns:] = 0
        grown[:, slots:] = 0
        self.storage = grown

    def copy(self, source: int, target: int, num_columns: int) -> None:
        """Copies the first columns of a slot to another."""
        self.storage[:, target, :, :, :num_columns] = self.storage[:, source, :, :, :num_columns]
