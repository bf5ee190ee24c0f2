"""Batches: numbers of steps, groups of like width and packed rows by hand; every row is read once by one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from rstar_math.config import SFTSettings
from rstar_math.training import batches
from rstar_math.training.batches import MicroLoss


def settings(**changes: object) -> SFTSettings:
    return SFTSettings.model_validate({"num_steps": 12, "batch_size": 4, "dtype": "float32"} | changes)


def test_epochs_become_steps() -> None:
    assert batches.num_optimiser_steps(settings(num_steps=None, num_epochs=2, batch_size=4), num_rows=10) == 6
    assert batches.num_optimiser_steps(settings(num_steps=None, num_epochs=0.5, batch_size=4), num_rows=10) == 2
    assert batches.num_optimiser_steps(settings(num_steps=7), num_rows=10) == 7


def test_groups_of_like_width_by_hand() -> None:
    widths = [320, 30, 300, 256, 31, 10]
    # at 320, 320, 256 | 32, 32, 32: 320 * 3 + 256 + 32 * 3 + 256 = 1568. Alone at 256, the fourth row would save 64 and
    # cost a pass of 256; the three short ones at 320 would save a pass and cost 288 each
    assert batches.groups_of_like_width([0, 1, 2, 3, 4, 5], widths, None) == [[0, 2, 3], [4, 1, 5]]
    assert batches.groups_of_like_width([3, 5, 0, 2], widths, 2) == [[0, 2], [3, 5]]
    assert batches.groups_of_like_width([4, 2], widths, 1) == [[2], [4]]
    assert batches.groups_of_like_width([], widths, None) == []


def test_best_fit_by_hand() -> None:
    widths = [5, 9, 4, 1, 3]
    # 9; 5 and 4 in a second row; 3 in a third; 1 fits best behind the 9, and behind 5 and 4
    assert batches.best_fit(range(5), widths, 10) == [[1, 3], [0, 2], [4]]
    assert batches.best_fit([], widths, 10) == []


@pytest.mark.parametrize("number", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [[4], [3, 1], [0, 1, 2, 3, 4, 5]])
@pytest.mark.parametrize("max_rows", [None, 1, 2])
def test_every_row_counts_in_one_process_and_all_make_equally_many_passes(
    number: int, rows: list[int], max_rows: int | None
) -> None:
    widths = [320, 30, 300, 256, 31, 10]
    seen: list[int] = []
    num_passes = set()
    num_tokens = 0
    for index in range(number):

        def run(group: list[int]) -> MicroLoss:
            assert group
            assert max_rows is None or len(group) <= max_rows
            return MicroLoss(torch.tensor(float(sum(2**row for row in group))), sum(widths[row] for row in group))

        made = [
            one()
            for one in batches.passes(
                rows, widths, (index, number), lambda s: batches.groups_of_like_width(s, widths, max_rows), run
            )
        ]
        num_passes.add(len(made))
        num_tokens += sum(micro.num_tokens for micro in made)
        seen += [row for micro in made for row in range(6) if int(micro.loss) >> row & 1]
    assert sorted(seen) == sorted(rows)
    assert num_tokens == sum(widths[row] for row in rows)
    assert len(num_passes) == 1


def test_long_and_short_rows_are_dealt_evenly() -> None:
    widths = [100, 90, 20, 10]
    shares = [
        [one().num_tokens for one in batches.passes(range(4), widths, (i, 2), lambda s: [s], _tokens_of(widths))]
        for i in range(2)
    ]
    assert shares == [[120], [100]]


def _tokens_of(widths: list[int]) -> Callable[[list[int]], MicroLoss]:
    return lambda group: MicroLoss(torch.zeros(()), sum(widths[row] for row in group))
