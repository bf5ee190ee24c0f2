"""Result rows as JSON Lines that can be resumed: one row per key, appended as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from rstar_math.errors import DataError
from rstar_math.store.files import make_folder, write_jsonl
from rstar_math.store.journal import JournalWriter, read_journal, set_aside, tell_spoiled
from rstar_math.store.paths import shown


class RowStore:
    """Rows with a `key`, in a file that survives a kill, a full disk and a spoiled line.

    A last line cut short is dropped at the next start. A row that cannot be used is set aside in `<name>.spoiled`,
    counted and told; it counts as not there, so that it is made again.

    Attributes:
      path: the file.
      num_spoiled: rows that could not be used.
    """

    def __init__(self, path: Path, wrong_in: Callable[[dict[str, Any]], str | None] = lambda row: None) -> None:
        """Opens a file of rows, or makes it.

        Args:
          path: the file.
          wrong_in: says what is wrong with a row beside its key, or None.

        Raises:
          DataError: the file cannot be read, or holds other things than rows.
          PathError: it cannot be written to.
          DiskFullError: there is no room.
        """
        self.path = path
        make_folder(path.parent)

        def wrong(row: dict[str, Any]) -> str | None:
            return wrong_in(row) if isinstance(row.get("key"), str) else "no `key`"

        read = read_journal(path, wrong)
        if read.spoiled and not read.rows and any(line.reason == "no `key`" for line in read.spoiled):
            keys = sorted(read_journal(path).rows[0])
            raise DataError(f"{shown(path)} holds no result rows (a row without a key: {keys}); give another file")
        self._rows: dict[str, dict[str, Any]] = {row["key"]: row for row in read.rows}
        self.num_spoiled = len(read.spoiled)
        if read.spoiled or read.is_torn or len(self._rows) < len(read.rows) or not _ends_a_line(path):
            tell_spoiled(path, read, f"kept in {path.name}.spoiled, and made again")
            set_aside(path, read)
            write_jsonl(path, self._rows.values())
        self._journal = JournalWriter(path)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._rows[key]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(list(self._rows.values()))

    def append(self, row: dict[str, Any]) -> None:
        """Stores a row; a row with a key that is already there is ignored.

        Raises:
          DiskFullError: there is no room; the rows before are kept.
        """
        if row["key"] not in self._rows:
            self._journal.append(row)
            self._rows[row["key"]] = row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()


def _ends_a_line(path: Path) -> bool:
    """Whether a file ends with a line end, or is empty, so that a row can follow."""
    return not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
