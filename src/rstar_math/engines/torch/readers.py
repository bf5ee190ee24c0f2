"""How a reward model reads groups of texts: packed, or through transformers' own forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rstar_math.engines.torch.groups import Group
from rstar_math.engines.torch.packed import PackedDecoder
from rstar_math.engines.torch.packed_tokens import PackedTokens
from rstar_math.engines.torch.prefix_cache import PrefixCache
from rstar_math.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PackedReader:
    """Logits through `PackedDecoder`: a group's prefix is read once, if at all, and its branches beside each other."""

    def __init__(self, decoder: PackedDecoder, prefixes: PrefixCache) -> None:
        self._decoder = decoder
        self._prefixes = prefixes
        self._pool = decoder.new_pool()

    def __call__(self, groups: Sequence[Group]) -> list[list[float]]:
        self._pool.reserve(len(groups), max(group.num_tokens for group in groups))
        # what is behind a score that is wanted must be read, known or not
        known = [
            self._prefixes.load(self._pool, i, group.prefix, min(len(group.prefix), group.first_end - 1))
            for i, group in enumerate(groups)
        ]
        num_columns = max(group.num_tokens for group in groups)
        num_queries = max(group.num_tokens - start for group, start in zip(groups, known, strict=True))
        visible = np.zeros((len(groups), num_queries, num_columns), dtype=bool)  # [G, M, C]
        visible[:, :, 0] = True  # rows of no token see something, whatever it is
        tokens, positions, columns, wanted = list[int](), list[np.ndarray](), list[np.ndarray](), list[int]()
        for i, (group, start) in enumerate(zip(groups, known, strict=True)):
            offset = len(tokens) - start  # index of a token of this group: offset + column
            width = len(group.prefix)
            seen = visible[i]
            seen[: width - start, :width] = np.tri(width - start, width, start, dtype=bool)
            seen[width - start : group.num_tokens - start, :width] = True
            tokens.extend(group.prefix[start:])
            positions.append(np.arange(start, width))
            column = width
            for branch, ends in zip(group.branches, group.ends, strict=True):
                rows = slice(column - start, column - start + len(branch))
                seen[rows, column : column + len(branch)] = np.tri(len(branch), dtype=bool)
                tokens.extend(branch)
                positions.append(width + np.arange(len(branch)))
                wanted.extend(offset + (end - 1 if end <= width else column + end - 1 - width) for end in ends)
                column += len(branch)
            columns.append(np.arange(start, group.num_tokens))
        counts = [len(column) for column in columns]
        batch = PackedTokens.build(
            tokens=np.array(tokens, dtype=np.int64),
            positions=np.concatenate(positions),
            slot=np.repeat(np.arange(len(groups)), counts),
            column=np.concatenate(columns),
            query=np.concatenate([np.arange(count) for count in counts]),
            first_slot=0,
            visible=visible,
            wanted=np.array(wanted, dtype=np.int64),
            tiling=self._decoder.tiling,
            device=self._decoder.device,
        )
        hidden = self._decoder.forward(batch, self._pool)  # [S', D]
        for i, group in enumerate(groups):
            self._prefixes.store(self._pool, i, group.prefix)
        logits = self._decoder.value(hidden)[: len(wanted)]
        flat = iter(logits.cpu().tolist())
        return [[next(flat) for ends in group.ends for _ in ends] for group in groups]


class ModuleReader:
    """Logits through transformers' own forward pass; texts of one length are read together, so nothing is padded."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._backbone = model.base_model
        self._head, self._bias = scalar_head(model)

    def __call__(self, groups: Sequence[Group]) -> list[list[float]]:
        texts = [
            (group.prefix + branch, ends)
            for group in groups
            for branch, ends in zip(group.branches, group.ends, strict=True)
        ]
        logits: list[list[float]] = [[] for _ in texts]
        for length in sorted({len(ids) for ids, _ in texts}):
            members = [i for i, (ids, _) in enumerate(texts) if len(ids) == length]
            ids = torch.tensor([texts[i][0] for i in members], device=self._head.device)
            hidden = self._backbone(input_ids=ids, use_cache=False).last_hidden_state  # [members, length, D]
            values = F.linear(hidden, self._head, self._bias).squeeze(-1).float().cpu()  # [members, length]
            for i, row in zip(members, values.tolist(), strict=True):
                logits[i] = [row[end - 1] for end in texts[i][1]]
        flat = iter(logits)
        return [[value for _ in group.branches for value in next(flat)] for group in groups]


def scalar_head(model: PreTrainedModel) -> tuple[Tensor, Tensor | None]:
    """Weight `[1, D]` and bias `[1]`, or None, of a reward model's head.

    Raises:
      ModelError: the model has no linear head of that name.
    """
    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Linear):
        raise ModelError(f"{type(model).__name__} has no linear `score` head, as a reward model needs")
    return head.weight.detach(), None if head.bias is None else head.bias.detach()
