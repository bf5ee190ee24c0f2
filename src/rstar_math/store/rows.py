"""Result rows as JSON Lines that can be resumed: one row per key, appended as it is finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rstar_math.errors import DataError
from rstar_math.store.files import read_journal, write_text


class RowStore:
    """Rows with a `key`, in a file that survives a kill: a last line cut short is dropped at the next start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for row in read_journal(path):
            if "key" not in row:
                raise DataError(f"{path} holds no result rows (a row without a key: {sorted(row)}); give another file")
            self._rows[row["key"]] = row
        write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in self._rows.values()))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the store)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._rows[key]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(list(self._rows.values()))

    def append(self, row: dict[str, Any]) -> None:
        """Stores a row; a row with a key that is already there is ignored."""
        if row["key"] in self._rows:
            return
        self._rows[row["key"]] = row
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
