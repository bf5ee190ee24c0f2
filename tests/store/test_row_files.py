"""Files of rows that others made: each of their faults is named with the file and the row."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rstar_math.errors import DataError
from rstar_math.store.row_files import read_rows

BAD = {
    "NaN in a list": ("rows.json", b'[{"a": NaN}]', "NaN is no JSON value"),
    "Infinity in a line": ("rows.jsonl", b'{"a": Infinity}\n', "line 1"),
    "a list cut off": ("rows.json", b'[{"a": 1}, ', "must be one JSON list"),
    "a list of numbers": ("rows.json", b"[1]", "row 1"),
    "no UTF-8 in a list": ("rows.json", b'[{"a": "\xff"}]', "no UTF-8"),
    "no Parquet": ("rows.parquet", b"PAR1" * 20, "no Parquet file"),
    "an empty Parquet file": ("rows.parquet", b"", "no Parquet file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    file, content, said = BAD[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        list(read_rows(tmp_path / file))
    assert file in str(caught.value)


def test_text_of_a_parquet_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    text = pa.array([b"good", b"\xff\xfe"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"problem": text}), path)
    with pytest.raises(DataError, match=r"rows\.parquet"):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.parquet"])
def test_a_file_that_is_not_there_or_is_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_rows(tmp_path / name))
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="folder"):
        list(read_rows(tmp_path / name))
