"""Decoding state of a batch: rows are admitted with their prompts, take one token per step, and are dropped.

Two implementations of `Decoder`: `PackedRows` for the architectures that `rstar_math.engines.torch.packed` knows, and
`ModuleRows`, which calls the forward pass of any transformers model. Neither samples nor knows of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rstar_math.engines.torch.packed import PackedDecoder
from rstar_math.engines.torch.packed_tokens import PackedTokens
from rstar_math.engines.torch.prefix_cache import PrefixCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache

IntArray = np.ndarray

MAX_GROUP_ROWS = 8
"""Candidates that share one pool slot. Every candidate's attention runs over the columns of all of them, so larger
groups waste more than reading the prefix once saves (measured at 1M parameters: 8 beats 4, 16 and 32)."""

_PREFILL_TOKENS = 1024
"""Most tokens of one prefill forward pass. Bounds its memory; and of prompts that start alike, those in later passes
find what the earlier ones read (128 prompts of a search at once, 1M parameters, tokens per CPU-second with 4096, 2048,
1024 and 512: 1,644, 2,152, 2,322, 2,420; where passes know nothing of one another: 1,340)."""

_PREFIX = -1  # owner of a column that all candidates of the group see
_NOBODY = -2  # owner of an unused column
_UNUSED_ROW = -3  # a query row that belongs to no candidate sees the prefix only


class Decoder(Protocol):
    """The rows of a batch, in the order in which they were admitted."""

    def admit(self, prompts: Sequence[Sequence[int]], num_rows: Sequence[int]) -> Tensor:
        """Adds `num_rows[i]` rows that continue prompt i, behind the rows there are.

        Returns:
          `[len(prompts), V]` logits of the token after each prompt.
        """
        ...

    def step(self, tokens: IntArray) -> Tensor:
        """Appends one token to every row; `[R]` ids in, `[R, V]` logits of the next token out."""
        ...

    def keep(self, rows: IntArray) -> None:
        """Drops every row whose index is not in `rows` (increasing)."""
        ...


class PackedRows:
    """Rows of a `PackedDecoder`: the candidates of a prompt share its keys and values."""

    def __init__(self, decoder: PackedDecoder, prefixes: PrefixCache) -> None:
        """Starts without rows.

        Args:
          decoder: the model.
          prefixes: prompts read before, also by others that share the cache.
        """
        self._decoder = decoder
        self._prefixes = prefixes
        self._pool = decoder.new_pool()
        self._owner = np.full((0, 0), _NOBODY, dtype=np.int32)  # [slots, columns] candidate that a column belongs to
        self._num_columns = np.zeros(0, dtype=np.int64)  # [groups] columns in use; groups fill the first slots
        self._slot = np.zeros(0, dtype=np.int64)  # [R] slot of each row's group
        self._candidate = np.zeros(0, dtype=np.int32)  # [R] number within the group
        self._position = np.zeros(0, dtype=np.int64)  # [R] position of the next token
        self._rank = np.zeros(0, dtype=np.int64)  # [R] number among the group's rows that are left

    def admit(self, prompts: Sequence[Sequence[int]], num_rows: Sequence[int]) -> Tensor:
        """See `Decoder.admit`; every distinct prompt is read once."""
        distinct = sorted({tuple(prompt) for prompt in prompts}, key=len)
        first_slot = len(self._num_columns)
        source = {prompt: first_slot + i for i, prompt in enumerate(distinct)}
        sizes = [
            (prompt, min(MAX_GROUP_ROWS, count - start))
            for prompt, count in zip(map(tuple, prompts), num_rows, strict=True)
            for start in range(0, count, MAX_GROUP_ROWS)
        ]
        num_slots = first_slot + len(sizes)
        self._reserve(num_slots, max(map(len, distinct)) + MAX_GROUP_ROWS)
        hidden = self._prefill(distinct, first_slot)  # [distinct, D]
        self._reserve(num_slots, 0)

        slots, used = [], set[int]()
        next_slot = first_slot + len(distinct)
        for prompt, _ in sizes:
            slot = source[prompt]
            if slot in used:
                self._pool.copy(slot, next_slot, len(prompt))
                slot, next_slot = next_slot, next_slot + 1
            used.add(slot)
            slots.append(slot)
        columns = np.zeros(num_slots, dtype=np.int64)
        columns[:first_slot] = self._num_columns
        for slot, (prompt, _) in zip(slots, sizes, strict=True):
            columns[slot] = len(prompt)
            self._owner[slot] = _NOBODY
            self._owner[slot, : len(prompt)] = _PREFIX
        self._num_columns = columns
        counts = [count for _, count in sizes]
        self._slot = np.concatenate((self._slot, np.repeat(slots, counts)))
        self._candidate = np.concatenate((self._candidate, *(np.arange(count, dtype=np.int32) for count in counts)))
        self._position = np.concatenate((self._position, np.repeat([len(prompt) for prompt, _ in sizes], counts)))
        self._rank_rows()

        logits = self._decoder.logits(self._padded(hidden))  # [distinct, V], and rows of padding
        return logits[[source[tuple(prompt)] - first_slot for prompt in prompts]]

    def step(self, tokens: IntArray) -> Tensor:
        """See `Decoder.step`."""
        alive = np.bincount(self._slot, minlength=len(self._num_columns))  # [G] rows of each group
        column = self._num_columns[self._slot] + self._rank  # [R]
        self._num_columns = self._num_columns + alive
        num_columns = int(self._num_columns.max())
        self._reserve(len(alive), num_columns)
        self._owner[self._slot, column] = self._candidate
        asking = np.full((len(alive), int(alive.max())), _UNUSED_ROW, dtype=np.int32)  # [G, M]
        asking[self._slot, self._rank] = self._candidate
        owner = self._owner[: len(alive), None, :num_columns]
        visible = (owner == _PREFIX) | (owner == asking[:, :, None])  # [G, M, C]
        hidden = self._forward(
            tokens=tokens,
            positions=self._position,
            slot=self._slot,
            column=column,
            query=self._rank,
            first_slot=0,
            visible=visible,
            wanted=np.arange(len(tokens)),
        )
        self._position = self._position + 1
        return self._decoder.logits(hidden)[: len(tokens)]  # [R, V]

    def keep(self, rows: IntArray) -> None:
        """See `Decoder.keep`; a group without rows gives its slot to the last group."""
        self._slot, self._candidate = self._slot[rows], self._candidate[rows]
        self._position = self._position[rows]
        num_groups = len(self._num_columns)
        alive = np.bincount(self._slot, minlength=num_groups)
        for empty in np.flatnonzero(alive == 0)[::-1].tolist():  # from the back: the last slot then holds a group
            last = num_groups - 1
            if empty != last:
                self._pool.copy(last, empty, int(self._num_columns[last]))
                self._owner[empty] = self._owner[last]
                self._num_columns[empty] = self._num_columns[last]
                self._slot[self._slot == last] = empty
            num_groups -= 1
        self._num_columns = self._num_columns[:num_groups]
        self._rank_rows()

    def _prefill(self, prompts: Sequence[Sequence[int]], first_slot: int) -> Tensor:
        """Reads whole prompts into the slots from `first_slot` on; `[prompts, D]`, the output of their last tokens."""
        known: list[int] = []
        hidden: list[Tensor] = []
        start = 0
        while start < len(prompts):
            end, num_tokens = start, 0
            while end < len(prompts) and (end == start or num_tokens + len(prompts[end]) <= _PREFILL_TOKENS):
                # looked up now: what the passes before this one have read is known by now
                limit = len(prompts[end]) - 1
                known.append(self._prefixes.load(self._pool, first_slot + end, prompts[end], limit))
                num_tokens += len(prompts[end]) - known[end]
                end += 1
            batch = range(start, end)
            query = np.concatenate([np.arange(len(prompts[i]) - known[i]) for i in batch])
            position = np.concatenate([np.arange(known[i], len(prompts[i])) for i in batch])
            counts = np.array([len(prompts[i]) - known[i] for i in batch])
            slot = np.repeat(np.arange(first_slot + start, first_slot + end), counts)
            last_visible = np.zeros((len(batch), counts.max()), dtype=np.int64)  # [G, M]
            last_visible[slot - first_slot - start, query] = position
            columns = np.arange(max(len(prompts[i]) for i in batch))
            hidden.append(
                self._forward(
                    tokens=np.concatenate([np.asarray(prompts[i][known[i] :]) for i in batch]),
                    positions=position,
                    slot=slot,
                    column=position,
                    query=query,
                    first_slot=first_slot + start,
                    visible=columns <= last_visible[:, :, None],  # [G, M, C]
                    wanted=np.cumsum(counts) - 1,
                )[: len(batch)]
            )
            for i in batch:
                self._prefixes.store(self._pool, first_slot + i, prompts[i])
            start = end
        return torch.cat(hidden)

    def _padded(self, hidden: Tensor) -> Tensor:
        """`[S, D]` with as many rows more as a tiling needs."""
        tiling = self._decoder.tiling
        return hidden if tiling is None else F.pad(hidden, (0, 0, 0, tiling.padded_rows(len(hidden)) - len(hidden)))

    def _forward(
        self,
        *,
        tokens: IntArray,
        positions: IntArray,
        slot: IntArray,
        column: IntArray,
        query: IntArray,
        first_slot: int,
        visible: np.ndarray,
        wanted: IntArray,
    ) -> Tensor:
        batch = PackedTokens.build(
            tokens=tokens,
            positions=positions,
            slot=slot,
            column=column,
            query=query,
            first_slot=first_slot,
            visible=visible,
            wanted=wanted,
            tiling=self._decoder.tiling,
            device=self._decoder.device,
        )
        return self._decoder.forward(batch, self._pool)

    def _reserve(self, num_slots: int, num_columns: int) -> None:
        self._pool.reserve(num_slots, num_columns)
        slots, columns = self._pool.num_slots, self._pool.num_columns
        if self._owner.shape != (slots, columns):
            grown = np.full((slots, columns), _NOBODY, dtype=np.int32)
            grown[: self._owner.shape[0], : self._owner.shape[1]] = self._owner
            self._owner = grown

    def _rank_rows(self) -> None:
        order = np.argsort(self._slot, kind="stable")
        counts = np.bincount(self._slot, minlength=len(self._num_columns))
        starts = np.cumsum(counts) - counts
        self._rank = np.empty_like(self._slot)
        self._rank[order] = np.arange(len(order)) - starts[self._slot[order]]


class ModuleRows:
    """Rows of any transformers causal LM, through its own forward pass and cache.

    Rows admitted with prompts of the same length form a cohort with a cache of its own, so nothing is ever padded.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._cohorts: list[tuple[IntArray, Cache]] = []  # (rows of the cohort, their cache)
        self._num_rows = 0

    def admit(self, prompts: Sequence[Sequence[int]], num_rows: Sequence[int]) -> Tensor:
        """See `Decoder.admit`; every distinct prompt is read once."""
        starts = self._num_rows + np.cumsum(num_rows) - num_rows
        logits: list[Tensor | None] = [None] * len(prompts)
        for length in sorted({len(prompt) for prompt in prompts}):
            members = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
            distinct = sorted({tuple(prompts[i]) for i in members})
            where = {prompt: j for j, prompt in enumerate(distinct)}
            ids = torch.tensor(distinct, device=self._model.device)  # [distinct, length]
            output = self._model(input_ids=ids, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            source = [where[tuple(prompts[i])] for i in members]
            cache.batch_select_indices(
                torch.tensor(np.repeat(source, [num_rows[i] for i in members]), device=self._model.device)
            )
            rows = np.concatenate([np.arange(starts[i], starts[i] + num_rows[i]) for i in members])
            self._cohorts.append((rows, cache))
            for i, j in zip(members, source, strict=True):
                logits[i] = output.logits[j, -1]
        self._num_rows += sum(num_rows)
        return torch.stack([row for row in logits if row is not None])

    def step(self, tokens: IntArray) -> Tensor:
        """See `Decoder.step`."""
        logits: Tensor | None = None
        for rows, cache in self._cohorts:
            ids = torch.from_numpy(np.ascontiguousarray(tokens[rows])).to(self._model.device)[:, None]
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            if logits is None:
                logits = output.logits.new_empty(len(tokens), output.logits.shape[-1])  # [R, V]
            logits[torch.from_numpy(rows).to(logits.device)] = output.logits[:, -1]
        assert logits is not None
        return logits

    def keep(self, rows: IntArray) -> None:
        """See `Decoder.keep`."""
        new_number = np.full(self._num_rows, -1)
        new_number[rows] = np.arange(len(rows))
        cohorts = []
        for members, cache in self._cohorts:
            left = np.flatnonzero(new_number[members] >= 0)
            if not len(left):
                continue
            if len(left) < len(members):
                cache.batch_select_indices(torch.from_numpy(left).to(self._model.device))
            cohorts.append((new_number[members[left]], cache))
        self._cohorts = cohorts
        self._num_rows = len(rows)
