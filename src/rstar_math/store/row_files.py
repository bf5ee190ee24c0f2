"""Rows of a file that others made: JSON Lines, one JSON list, or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError
from rstar_math.store.files import read_json, read_jsonl
from rstar_math.store.paths import reading, shown

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
    with reading(path):
        open(path, "rb").close()  # where the system refuses, in its words
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:  # ValueError: text that is not UTF-8
        raise DataError(f"{shown(path)}, behind row {number}: no Parquet file that can be read: {error}") from error


def _starts_with_bracket(path: Path) -> bool:
    with reading(path), open(path, "rb") as f:
        return f.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _list_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        value = read_json(path)
    except DataError as error:
        raise DataError(f"{error} (it starts with '[', so it must be one JSON list)") from error
    for number, row in enumerate(value, start=1):
        if isinstance(row, list):
            row = {str(i): part for i, part in enumerate(row)}
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: expected a JSON object, got {str(row)[:80]!r}")
        yield number, row
