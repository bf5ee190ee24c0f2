"""Deterministic mode: every product has one of a few fixed shapes, so that no row's result depends on its company.

How a library sums depends on the shapes that it is given, on the processor, and on its version. It does not depend on
the numbers: a row of a product is a function of that row alone, of its place, and of the shapes. So rows are cut into
blocks of a few fixed heights, and attention into blocks of a few fixed sizes. Then only the place within a block and
the choice of the block's height are left, and both are finite: `find_tiling` puts the same row into every place of
every shape and compares all bits. Heights that do not agree are not used. A block of one row always agrees with
itself, so that there is a tiling on every machine; it may be slower there.

What remains is promised by the library: the same call with the same shapes, on memory that is aligned alike, by one
thread, gives the same bits every time (oneMKL's "run-to-run" reproducibility). torch aligns its memory to 64 bytes.
The bits of two machines may differ.

Since numbers do not matter, models of the same shapes share what was found. Attention to many columns is compared when
it is first asked for: most models of a process never see so many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_ROW_HEIGHTS = ((128, 64, 32, 16), (48, 16), (64, 16), (64,), (48,), (24,), (16,), (8,), (1,))
"""Heights of blocks of rows that are tried, the first best. 64 rows cost an eighth more than any number at once, 16 a
half more (128 and 384 columns, AVX-512); smaller blocks at the end waste fewer rows. oneMKL's AVX2 kernels for Intel
processors treat the rows of 8 and of 32 differently by their place, and sum otherwise from 64 rows on; 48 and 16 agree
(seen on an emulated Skylake and Haswell)."""

_BLOCKS_AT_ONCE = ((16, 8, 4), (16,), (1,))
"""Attention blocks of one call that are tried, the first best."""

QUERY_ROWS = 8
"""Queries of an attention block. A query's place in its block is its column modulo 8, or its number among the
candidates of its group: both are its own, so it does not matter how a library treats places."""

COLUMN_STEP = 64
"""Attention blocks see a multiple of this many columns."""

_MOST_CHECKED_COLUMNS = 1024
"""Blocks that see more columns than this are attended to one at a time, which needs no check."""

_MOST_SHARED_COLUMNS = 192
"""Up to here blocks are compared at once, beyond when they are first used."""

_NUM_TRIALS = 4


@dataclass(frozen=True, slots=True)
class Tiling:
    """The shapes of a model's products.

    Attributes:
      rows: heights of blocks of rows, decreasing, each a multiple of the last.
      blocks: numbers of attention blocks of one call, decreasing, each a multiple of the last, up to 192 columns.
      shared_columns: blocks that see at most this many columns may be attended to with the columns of the largest of
        them; all others with their own number, rounded up to `COLUMN_STEP`.
      blocks_beyond: the same as `blocks` for a larger number of columns; None: the same numbers.
    """

    rows: tuple[int, ...]
    blocks: tuple[int, ...]
    shared_columns: int
    blocks_beyond: Callable[[int], tuple[int, ...]] | None = None

    def padded_rows(self, num_rows: int) -> int:
        """`num_rows` rounded up to what blocks of rows can cover."""
        return -(-num_rows // self.rows[-1]) * self.rows[-1]

    def blocks_at_once(self, num_columns: int) -> tuple[int, ...]:
        """Numbers of attention blocks of one call, where each sees so many columns."""
        if num_columns > _MOST_CHECKED_COLUMNS:
            return (1,)
        if num_columns <= _MOST_SHARED_COLUMNS or self.blocks_beyond is None:
            return self.blocks
        return self.blocks_beyond(num_columns)


def cut(length: int, heights: Sequence[int] | None) -> list[slice]:
    """Slices that cover `length`, a multiple of the last height; one slice where there are no heights."""
    if heights is None:
        return [slice(0, length)]
    slices, start = list[slice](), 0
    for height in heights:
        while length - start >= height:
            slices.append(slice(start, start + height))
            start += height
    assert start == length
    return slices


def find_tiling(
    row_work: Sequence[Callable[[Tensor], Tensor]],
    attend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    *,
    row_sizes: Sequence[int],
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    context_length: int,
    like: Tensor,
) -> Tiling:
    """The best tiling whose blocks all agree, to the last bit, with this model on this machine.

    Args:
      row_work: all that the model does with rows, `[T, row_sizes[i]]` to `[T, ...]`: whatever depends on a row alone.
      attend: (queries `[B, kv_heads, Q, head_dim]`, keys, values `[B, kv_heads, C, head_dim]`, mask `[B, 1, Q, C]`) to
        `[B, kv_heads, Q, head_dim]`.
      row_sizes: length of the rows that each of `row_work` takes.
      num_heads, num_kv_heads, head_dim: of the attention.
      context_length: most columns.
      like: a tensor of the device and the dtype.
    """
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(like.device, like.dtype)

    trials = [[drawn(1, size) for _ in range(_NUM_TRIALS)] for size in row_sizes]

    def rows_agree(heights: Sequence[int]) -> bool:
        for work, rows in zip(row_work, trials, strict=True):
            for row in rows:
                results = [work(row.repeat(height, 1)) for height in heights]
                if not all(torch.equal(result, results[0][:1].expand_as(result)) for result in results):
                    return False
        return True

    queries = num_heads // num_kv_heads * QUERY_ROWS
    most_columns = min(_MOST_CHECKED_COLUMNS, -(-context_length // COLUMN_STEP) * COLUMN_STEP)
    q = drawn(1, num_kv_heads, queries, head_dim)
    kv = drawn(2, 1, num_kv_heads, most_columns, head_dim)

    def attended(num_blocks: int, num_seen: int, num_columns: int) -> Tensor:
        mask = like.new_zeros(num_blocks, 1, queries, num_columns)
        mask[..., num_seen:] = float("-inf")
        keys, values = (t[:, :, :num_columns].repeat(num_blocks, 1, 1, 1) for t in kv)
        return attend(q.repeat(num_blocks, 1, 1, 1), keys, values, mask)

    def blocks_agree(numbers: Sequence[int], num_columns: int) -> bool:
        results = [attended(number, num_columns, num_columns) for number in numbers]
        return all(torch.equal(result, results[0][:1].expand_as(result)) for result in results)

    def agreeing(columns: Sequence[int]) -> tuple[int, ...]:
        for numbers in _BLOCKS_AT_ONCE:
            if numbers == (1,) or all(blocks_agree(numbers, num_columns) for num_columns in columns):
                return numbers
        raise AssertionError("a block alone agrees with itself")

    @cache
    def blocks_beyond(num_columns: int) -> tuple[int, ...]:
        with torch.inference_mode():
            return agreeing([num_columns])

    most_at_once = min(most_columns, _MOST_SHARED_COLUMNS)
    blocks = agreeing(range(COLUMN_STEP, most_at_once + 1, COLUMN_STEP))

    def share(num_columns: int) -> bool:
        """Whether fewer columns give the same bits among so many, the others masked."""
        fewer = range(COLUMN_STEP, num_columns, COLUMN_STEP)
        return all(torch.equal(attended(blocks[-1], n, n), attended(blocks[-1], n, num_columns)) for n in fewer)

    shared = COLUMN_STEP
    while shared + COLUMN_STEP <= most_at_once and share(shared + COLUMN_STEP):
        shared += COLUMN_STEP
    rows = next(heights for heights in _ROW_HEIGHTS if heights == (1,) or rows_agree(heights))
    return Tiling(rows, blocks, shared, blocks_beyond)
