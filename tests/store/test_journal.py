"""Files that grow by lines: a cut tail, a spoiled middle, a full disk in the middle of a line."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.errors import DataError, DiskFullError
from rstar_math.store.journal import JournalWriter, append_line, read_journal, set_aside, tell_spoiled
from rstar_math.store.rows import RowStore

ROWS: list[dict[str, Any]] = [{"key": f"k{i}", "text": "a\u2028b\u0085é\ud800"} for i in range(4)]


def _write(path: Path, rows: list[dict[str, Any]] = ROWS) -> bytes:
    with JournalWriter(path) as journal:
        for row in rows:
            journal.append(row)
    return path.read_bytes()


def test_rows_survive_their_file_half_surrogates_included(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert list(read_journal(path)) == []
    whole = _write(path)
    assert read_journal(path).rows == tuple(ROWS)
    assert b"\\ud800" in whole


def test_cut_anywhere_the_whole_lines_stay_and_the_next_line_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = _write(path)
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        num_whole = sum(cut >= end for end in ends)
        found = read_journal(path)
        assert found.rows == tuple(ROWS[:num_whole]), cut
        assert not found.spoiled
        assert found.is_torn == (cut not in {0, *ends, *(end + 1 for end in ends)})
        append_line(path, {"key": "last"})
        again = read_journal(path)
        assert again.rows == (*ROWS[:num_whole], {"key": "last"}), cut
        assert len(again.spoiled) == found.is_torn


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe{", "not UTF-8 text"),
        (b"[1]", "a list, not an object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"seconds": 3}', "no key"),
    ],
)
def test_a_spoiled_line_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes, reason: str
) -> None:
    path = tmp_path / "journal.jsonl"
    lines = _write(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line + b"\r\n", *lines[2:]]))
    found = read_journal(path, lambda row: None if "key" in row else "no key")
    assert found.rows == tuple(ROWS)
    assert [(s.number, s.reason) for s in found.spoiled] == [(3, reason)]
    tell_spoiled(path, found, "left out")
    assert f"journal.jsonl: line 3 cannot be used ({reason}); left out" in caplog.text
    set_aside(path, found)
    assert (tmp_path / "journal.jsonl.spoiled").read_bytes() == line + b"\r\n"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("odd") / "journal.jsonl"
    path.write_bytes(content)
    before = read_journal(path)
    append_line(path, {"a": 1})
    assert read_journal(path).rows == (*before.rows, {"a": 1})


@pytest.mark.parametrize("part", range(0, 60, 7))
def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    path = tmp_path / "events.jsonl"
    whole = _write(path)
    write = os.write
    room = part

    def nearly_full(descriptor: int, content: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        content, room = content[:room], 0
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(DiskFullError, match=r"the disk is full while writing .*events\.jsonl"):
        append_line(path, {"key": "k" * 100})
    assert path.read_bytes() == whole
    monkeypatch.undo()
    append_line(path, {"key": "k"})
    assert read_journal(path).rows == (*ROWS, {"key": "k"})


def test_a_real_limit_on_size_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    code = (
        "import sys; from pathlib import Path; from rstar_math.store.rows import RowStore\n"
        "with RowStore(Path(sys.argv[1])) as rows:\n"
        "    for i in range(1000): rows.append({'key': f'k{i}'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert "DiskFullError: the disk is full (or a limit" in done.stderr
    found = read_journal(path)
    assert found.rows
    assert not found.spoiled
    assert not found.is_torn
    with RowStore(path) as rows:
        for i in range(1000):
            rows.append({"key": f"k{i}"})
    assert read_journal(path).rows == tuple({"key": f"k{i}"} for i in range(1000))


def test_a_spoiled_row_is_set_aside_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.jsonl"
    _write(path)
    path.write_bytes(path.read_bytes().replace(b'"k1"', b"7"))
    with RowStore(path) as rows:
        assert rows.num_spoiled == 1
        assert "k1" not in rows
        assert "k3" in rows
        rows.append(ROWS[1])
    assert "line 2 cannot be used (no `key`); kept in rows.jsonl.spoiled, and made again" in caplog.text
    assert {row["key"] for row in read_journal(path)} == {"k0", "k1", "k2", "k3"}
    with RowStore(path, lambda row: "odd" if row["key"] == "k2" else None) as rows:
        assert [row["key"] for row in rows] == ["k0", "k3", "k1"]
    assert (tmp_path / "rows.jsonl.spoiled").read_bytes().count(b"\n") == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is a folder, where a file is needed"):
        read_journal(tmp_path)
