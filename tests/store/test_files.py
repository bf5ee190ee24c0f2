"""Files are whole or absent, and say what is wrong with them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rstar_math.errors import DataError, DiskFullError
from rstar_math.store import files


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_replaces_its_older_self(tmp_path: Path) -> None:
    path = tmp_path / "new" / "value.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"é": [1, None]})
    assert files.read_json(path) == {"é": [1, None]}
    assert _names(path.parent) == ["value.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "value.txt"
    files.write_text(path, "old")

    def write() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise error

    with pytest.raises(DiskFullError if isinstance(error, OSError) else type(error)):
        write()
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["value.txt"]


def test_a_full_disk_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "value.txt"
    files.write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"the disk is full while writing .*value\.txt"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["value.txt"]


def test_the_new_file_is_synced_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        order.append("fsync")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    files.write_text(tmp_path / "x", "y")
    assert order == ["fsync", "replace"]


def test_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".part-00000.parquet.123.tmp").write_text("half")
    (tmp_path / ".policy.99.tmp").mkdir()
    (tmp_path / ".policy.99.tmp" / "weights").write_text("half")
    (tmp_path / ".lock").write_text("")
    (tmp_path / "kept.tmp").write_text("a user's own")
    files.remove_leftovers(tmp_path)
    assert _names(tmp_path) == [".lock", "kept.tmp"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n\n{"a": \n', r"rows.jsonl, line 3: not valid JSON \(.*\): '{\"a\":'"),
        (b'{"a": 1}\n[1, 2]\n', r"rows.jsonl, line 2: expected a JSON object, got '\[1, 2\]'"),
        (b'{"a": 1}\n{"a": "\xff"}\n', r"rows.jsonl, line 2: not UTF-8 text"),
        (b"\n\nplain text\n", r"rows.jsonl, line 3: not valid JSON .*'plain text'"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", r"rows.jsonl, line 1: not valid JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", r"rows.jsonl, line 1: not valid JSON"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(files.read_jsonl(path))


def test_lines_end_where_json_lines_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('\ufeff{"a": "x\u2028y\u0085z"}\r\n  \n{"a": 2}'.encode())
    assert list(files.read_jsonl(path)) == [(1, {"a": "x\u2028y\u0085z"}), (3, {"a": 2})]
    assert list(files.read_jsonl(tmp_path / "rows.jsonl"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            files.read_json(path)
        with pytest.raises(DataError, match="cannot read"):
            list(files.read_jsonl(path))
    (tmp_path / "x.json").write_bytes(b"{\xff}")
    with pytest.raises(DataError, match=r"x\.json is no UTF-8 text"):
        files.read_json(tmp_path / "x.json")


def test_fingerprints(tmp_path: Path) -> None:
    assert files.fingerprint({"a": 1, "b": [2]}) == files.fingerprint({"b": [2], "a": 1})
    assert files.fingerprint({"a": 1}) != files.fingerprint({"a": 2})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    one = files.folder_fingerprint(tmp_path)
    assert one == files.folder_fingerprint(tmp_path)
    (tmp_path / "a" / "x").write_text("2")
    two = files.folder_fingerprint(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert len({one, two, files.folder_fingerprint(tmp_path)}) == 3
