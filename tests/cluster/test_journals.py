"""Results on their way: read once, in order, and whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rstar_math.cluster import journals
from rstar_math.cluster.journals import JournalReader, WorkerJournal


def keys(reader: JournalReader) -> list[str]:
    return [row["key"] for row in reader.read()]


def test_rows_are_read_once_and_long_journals_are_followed_and_removed(tmp_path: Path) -> None:
    journal, reader = WorkerJournal(tmp_path, "ann", max_bytes=60), JournalReader(tmp_path)
    journal.append([{"key": "a"}, {"key": "b"}])
    assert keys(reader) == ["a", "b"]
    journal.append([{"key": "c" * 50}])
    journal.append([{"key": "d"}])
    assert keys(reader) == ["c" * 50, "d"]
    assert keys(reader) == []
    assert len(list(tmp_path.iterdir())) == 2
    reader.remove_read()
    assert [p.name for p in tmp_path.iterdir()] == ["ann.00001.jsonl"]


def test_a_line_is_read_when_its_end_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ann.00000.jsonl"
    reader = JournalReader(tmp_path)
    whole = json.dumps({"key": "a"})
    path.write_text(whole[:4])
    assert keys(reader) == []
    path.write_text(whole + "\n")
    assert keys(reader) == ["a"]


def test_a_worker_goes_on_behind_a_line_that_a_failing_write_cut_off(tmp_path: Path) -> None:
    (tmp_path / "ann.00000.jsonl").write_text('{"key": "a"}\n{"key": ')
    WorkerJournal(tmp_path, "ann").append([{"key": "b"}])
    reader = JournalReader(tmp_path)
    assert keys(reader) == ["a", "b"]
    assert reader.num_spoiled == 1


def test_a_block_that_comes_before_the_one_in_front_of_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ann.00000.jsonl"
    first, second = b'{"key": "a"}\n', b'{"key": "b"}\n'
    reader = JournalReader(tmp_path)
    path.write_bytes(b"\0" * len(first) + second)
    assert keys(reader) == []
    path.write_bytes(first + second)
    assert keys(reader) == ["a", "b"]
    path.write_bytes(first + second + b"\0\n" + first)
    assert keys(reader) == []
    monkeypatch.setattr(journals, "GIVE_UP_S", 0.0)
    assert keys(reader) == ["a"]


def test_a_job_that_was_cleared_away_takes_no_rows(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WorkerJournal(tmp_path / "gone", "ann").append([{"key": "a"}])
