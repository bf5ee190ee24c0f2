"""Calls on a folder that machines share: tried again where it stalls, and honest about who was first."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from rstar_math.cluster import shared_files
from rstar_math.errors import PathError


def failing(times: int, number: int) -> list[OSError]:
    return [OSError(number, "x") for _ in range(times)]


def test_a_call_is_tried_again_while_it_fails_in_a_way_that_passes(tmp_path: Path) -> None:
    errors = failing(2, errno.ESTALE)

    def call() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert shared_files.patiently(call, tmp_path) == "done"


def test_it_is_given_up_after_some_time_and_at_once_where_it_is_refused(tmp_path: Path) -> None:
    for number, patience_s in ((errno.EIO, 0.0), (errno.EACCES, 1e9)):
        errors = failing(9, number)

        def call(errors: list[OSError] = errors) -> None:
            raise errors.pop()

        with pytest.raises(PathError, match=str(tmp_path)):
            shared_files.patiently(call, tmp_path, patience_s)
        assert len(errors) >= 7


def test_one_is_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert shared_files.move(tmp_path / "a", tmp_path / "b")
    assert not shared_files.move(tmp_path / "a", tmp_path / "b")
    assert shared_files.move(tmp_path / "a", tmp_path / "b", is_ours=True)


def test_files_are_whole_and_leave_nothing(tmp_path: Path) -> None:
    shared_files.write_whole(tmp_path / "a", "one")
    shared_files.write_whole(tmp_path / "a", "two")
    assert shared_files.read(tmp_path / "a") == "two"
    assert shared_files.read_from(tmp_path / "a", 1) == b"wo"
    assert shared_files.names(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError):
        shared_files.write_whole(tmp_path / "gone" / "a", "x")
    shared_files.remove(tmp_path / "a")
    shared_files.remove(tmp_path / "a")
    assert shared_files.read(tmp_path / "a") is None
    assert shared_files.names(tmp_path / "gone") == []
    shared_files.make_folders(tmp_path / "f" / "g")
    shared_files.remove_folder(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []
