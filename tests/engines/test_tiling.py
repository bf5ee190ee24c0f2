"""Fixed shapes of deterministic mode: how rows and queries are cut, and that shapes that disagree are not used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rstar_math.engines.torch.packed_tokens import PackedTokens
from rstar_math.engines.torch.tiling import QUERY_ROWS, Tiling, cut, find_tiling

TILING = Tiling(rows=(64, 16), blocks=(4, 2), shared_columns=192)
WEIGHT = torch.randn(32, 24, generator=torch.Generator().manual_seed(3))


def rows_times_weight(x: Tensor) -> Tensor:
    return (x[:, :, None] * WEIGHT).sum(1)  # each row by itself


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)


def tiling_of(row_work: object = rows_times_weight, attention: object = attend) -> Tiling:
    assert callable(row_work)
    assert callable(attention)
    return find_tiling(
        (row_work,),
        attention,
        row_sizes=(32,),
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        context_length=300,
        like=torch.zeros(1),
    )


def test_blocks_cover_all_rows_with_few_heights() -> None:
    for length in (16, 48, 64, 80, 208):
        pieces = cut(length, TILING.rows)
        assert np.concatenate([np.arange(length)[piece] for piece in pieces]).tolist() == list(range(length))
        assert {piece.stop - piece.start for piece in pieces} <= set(TILING.rows)
    assert cut(7, None) == [slice(0, 7)]
    assert [TILING.padded_rows(n) for n in (1, 16, 17)] == [16, 16, 32]


def test_work_that_depends_on_the_height_leaves_one_height() -> None:
    def drifting(x: Tensor) -> Tensor:
        return rows_times_weight(x) * (1 + 1e-6 * (len(x) > 20))

    assert len(tiling_of().rows) > 1
    tiling = tiling_of(drifting)
    assert len({height > 20 for height in tiling.rows}) == 1


def test_work_that_depends_on_the_place_leaves_single_rows() -> None:
    def drifting(x: Tensor) -> Tensor:
        return rows_times_weight(x) + 1e-6 * torch.arange(len(x))[:, None]

    assert tiling_of(drifting).rows == (1,)


def test_attention_that_depends_on_place_or_columns_is_kept_apart() -> None:
    def by_place(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        return attend(q, keys, values, mask) + 1e-6 * torch.arange(len(q))[:, None, None, None]

    def by_columns(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        return attend(q, keys, values, mask) * (1 + 1e-6 * keys.shape[2])

    assert tiling_of(attention=by_place).blocks == (1,)
    assert tiling_of(attention=by_columns).shared_columns == 64


def test_attention_to_many_columns_is_compared_when_it_is_first_asked_for() -> None:
    calls = list[int]()

    def by_place_at_many(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        calls.append(keys.shape[2])
        return attend(q, keys, values, mask) + 1e-6 * (keys.shape[2] > 256) * torch.arange(len(q))[:, None, None, None]

    tiling = tiling_of(attention=by_place_at_many)
    assert max(calls) <= 192
    assert tiling.blocks_at_once(192) == tiling.blocks_at_once(256) == tiling.blocks != (1,)
    assert tiling.blocks_at_once(320) == (1,)
    num_calls = len(calls)
    assert tiling.blocks_at_once(320) == (1,)
    assert len(calls) == num_calls
    assert tiling.blocks_at_once(2048) == (1,), "never compared"


def columns_of(lengths: Sequence[int], tiling: Tiling | None) -> dict[int, int]:
    """Columns that the attention of each group goes over, by the number that the group has."""
    counts = np.array(lengths)
    visible = np.arange(counts.max()) < counts[:, None, None]  # [G, 1, C]
    each = np.arange(len(counts))
    batch = PackedTokens.build(
        tokens=each,
        positions=counts - 1,
        slot=each,
        column=counts - 1,
        query=np.zeros_like(each),
        first_slot=0,
        visible=visible,
        wanted=each,
        tiling=tiling,
        device=torch.device("cpu"),
    )
    assert batch.visible.shape[2] >= max(lengths)
    found: dict[int, int] = {}
    for part in batch.parts:
        blocks = range(len(lengths)) if part.blocks is None else part.blocks[: part.num_blocks].tolist()
        found |= {lengths[block]: part.num_columns for block in blocks}
    return found


def test_long_sums_have_the_same_length_in_any_company() -> None:
    """Kernels cut long sums into blocks by their length, so the longest group of a batch must not decide on it."""
    together = columns_of([20, 300, 192, 193, 321], TILING)
    assert together == {20: 192, 192: 192, 193: 256, 300: 320, 321: 384}
    for length in (193, 300, 321):
        assert columns_of([length], TILING) == {length: together[length]}
    assert columns_of([20, 100], TILING) == {20: 128, 100: 128}  # shorter sums may share their length
    assert columns_of([20, 300], None) == {20: 300, 300: 300}  # outside deterministic mode one attention does


def test_queries_are_cut_by_their_column() -> None:
    """Which queries stand in a block is decided by their columns alone, so that a known prefix changes nothing."""
    length, visible_to = 45, np.tri(45, dtype=bool)

    def blocks(known: int) -> dict[tuple[int, ...], int]:
        new = np.arange(known, length)
        batch = PackedTokens.build(
            tokens=new,
            positions=new,
            slot=np.zeros_like(new),
            column=new,
            query=new - known,
            first_slot=0,
            visible=visible_to[None, known:],
            wanted=new[-1:] - known,
            tiling=TILING,
            device=torch.device("cpu"),
        )
        rows = batch.row[: len(new)].numpy()
        assert batch.visible.shape[1] == QUERY_ROWS
        return {
            tuple(new[rows // QUERY_ROWS == block].tolist()): int(batch.visible[block].any(0).sum())
            for block in range(len(batch.visible))
        }

    whole = blocks(0)
    assert sorted(column for block in whole for column in block) == list(range(length))
    for known in (8, 24, 40):
        assert blocks(known).items() <= whole.items()
