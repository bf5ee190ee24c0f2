"""Machines on which no height of a block agrees with another, for tests."""

from __future__ import annotations

import pytest

from rstar_math.engines.torch import tiling


def use_smallest_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on models are loaded as where every block must be of one row, one place, and its own columns."""
    monkeypatch.setattr(tiling, "_ROW_HEIGHTS", ((1,),))
    monkeypatch.setattr(tiling, "_BLOCKS_AT_ONCE", ((1,),))
    monkeypatch.setattr(tiling, "_MOST_SHARED_COLUMNS", tiling.COLUMN_STEP)
