"""Rows of data sets at the hub, through the `datasets` library (extra `train`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rstar_math.errors import DataError


def read_hub(repository: str, split: str, config: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of a split, in order; from the cache where it is there.

    Raises:
      DataError: `datasets` is not installed, or the data set cannot be loaded.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(
            f"reading {repository} from the hub needs the package `datasets`: pip install 'rstar-math[train]', or give "
            "a JSONL file or a folder of such files"
        ) from error
    try:
        rows = load_dataset(repository, config, split=split)
    except Exception as error:  # connection, unknown name, unknown split, gated: each of another type
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{repository} ({config or 'default'}, {split}) cannot be loaded from the hub: {first}. Without a "
            "connection give a JSONL file, or a folder of such files (--from)"
        ) from error
    for row in rows:
        yield dict(row)
