"""Rows of a file that others made: JSON Lines, one JSON list, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError
from rstar_math.store.files import read_jsonl

ROW_FILES = (".jsonl", ".json", ".parquet")


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number from 1, row): the line of a JSON Lines file, the place in a JSON list or in a Parquet file.

    A row that is itself a list, as in lists of conversations, becomes a mapping with the keys "0", "1", ... (that is
    also how the hub's library loads it).

    Raises:
      DataError: the file cannot be read, or a row is no object; names the file and the row.
    """
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
    elif _starts_with_bracket(path):
        yield from _list_rows(path)
    else:
        yield from read_jsonl(path)


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _starts_with_bracket(path: Path) -> bool:
    try:
        with open(path, "rb") as f:
            return f.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _list_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} starts with '[' and is not one JSON list: {error}") from error
    for number, row in enumerate(value, start=1):
        if isinstance(row, list):
            row = {str(i): part for i, part in enumerate(row)}
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: expected a JSON object, got {str(row)[:80]!r}")
        yield number, row
