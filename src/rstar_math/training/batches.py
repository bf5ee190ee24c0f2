"""Which rows an optimiser step sees, and how they are dealt to processes and forward passes.

Batches are random draws, and they stay so whatever the number of processes: every process knows the whole batch, takes
its share, and cuts it into forward passes of rows that are about equally long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from rstar_math.config import TrainingSettings

WIDTH_STEP = 32
"""Rows are padded to a multiple of this many tokens: few shapes, or the kernel caches of CPU back ends grow."""

PASS_OVERHEAD_TOKENS = 256
"""What one more forward and backward pass costs, in tokens of a longer one (about 40 ms at 1 M parameters)."""

Group = TypeVar("Group")


@dataclass(frozen=True, slots=True)
class MicroLoss:
    """One forward pass's share of a batch's loss (shares add up to it), and the tokens it read."""

    loss: Tensor
    num_tokens: int


Pass = Callable[[], MicroLoss]
"""A forward pass that waits to be run."""


def num_optimiser_steps(settings: TrainingSettings, num_rows: int) -> int:
    """Optimiser steps of a training: as set, or as many as the epochs take."""
    if settings.num_steps is not None:
        return settings.num_steps
    assert settings.num_epochs is not None  # checked by the settings
    return max(1, round(settings.num_epochs * math.ceil(num_rows / settings.batch_size)))


def shuffled_batches(num_rows: int, batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Batches of row indices without end: each epoch a new order; its last batch may be smaller."""
    while True:
        order = torch.randperm(num_rows, generator=generator).tolist()
        for start in range(0, num_rows, batch_size):
            yield order[start : start + batch_size]


def padded_width(num_tokens: int) -> int:
    """`num_tokens` rounded up to a width that rows are padded to."""
    return -(-num_tokens // WIDTH_STEP) * WIDTH_STEP


def groups_of_like_width(rows: Iterable[int], widths: Sequence[int], max_rows: int | None) -> list[list[int]]:
    """Splits a batch into forward passes of rows that are about equally long, the longest first.

    Padding is weighed against `PASS_OVERHEAD_TOKENS` for every pass, and the cheapest split is taken. So batches can
    stay random draws (sorting whole epochs by length would make batches of one tier), and little is padded.

    Args:
      rows: indices of the batch's rows.
      widths: tokens of every row, by index.
      max_rows: most rows of one forward pass; None for no limit.
    """
    ordered = _longest_first(rows, widths)
    cheapest = [0] + [0] * len(ordered)  # padded tokens and overhead of the first i rows
    cut_before = [0] * (len(ordered) + 1)  # where the last of their groups starts
    for end in range(1, len(ordered) + 1):
        first = 0 if max_rows is None else max(0, end - max_rows)
        costs = [
            cheapest[start] + padded_width(widths[ordered[start]]) * (end - start) + PASS_OVERHEAD_TOKENS
            for start in range(first, end)
        ]
        cheapest[end] = min(costs)
        cut_before[end] = first + costs.index(cheapest[end])
    groups: list[list[int]] = []
    end = len(ordered)
    while end:
        groups.append(ordered[cut_before[end] : end])
        end = cut_before[end]
    return groups[::-1]


def best_fit(rows: Iterable[int], widths: Sequence[int], room: int) -> list[list[int]]:
    """Rows laid end to end in as few long rows of at most `room` tokens as best fit decreasing finds."""
    bins: list[list[int]] = []
    left: list[int] = []
    for row in _longest_first(rows, widths):
        fitting = [i for i, free in enumerate(left) if free >= widths[row]]
        if fitting:
            fullest = min(fitting, key=lambda i: left[i])
            bins[fullest].append(row)
            left[fullest] -= widths[row]
        else:
            bins.append([row])
            left.append(room - widths[row])
    return bins


def passes(
    rows: Iterable[int],
    widths: Sequence[int],
    process: tuple[int, int],
    cut: Callable[[list[int]], Sequence[Group]],
    run: Callable[[Group], MicroLoss],
) -> list[Pass]:
    """The forward passes over a batch that one of the processes makes.

    Rows are dealt by length, so that all have about as much to do. All make equally many passes, because sharded
    weights are gathered in each: a process with fewer repeats its shortest row and counts it as nothing.

    Args:
      rows: indices of the batch's rows, at least one, the same in every process.
      widths: tokens of every row, by index.
      process: index of this process and their number.
      cut: how a share is cut into groups, each for one pass.
      run: a group's share of the batch's loss.
    """
    index, number = process
    ordered = _longest_first(rows, widths)
    shares = [cut(share) if (share := ordered[i::number]) else [] for i in range(number)]
    most = max(map(len, shares))
    made: list[Pass] = [partial(run, group) for group in shares[index]]
    filler = partial(_uncounted, run, cut(ordered[-1:])[0]) if len(made) < most else None
    return made + [filler for _ in range(most - len(made)) if filler is not None]


def _uncounted(run: Callable[[Group], MicroLoss], group: Group) -> MicroLoss:
    return MicroLoss(run(group).loss * 0.0, 0)


def _longest_first(rows: Iterable[int], widths: Sequence[int]) -> list[int]:
    return sorted(rows, key=lambda row: (-widths[row], row))
