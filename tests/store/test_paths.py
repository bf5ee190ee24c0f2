"""What is wrong with a path is found before any work, and named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rstar_math.errors import PathError
from rstar_math.store.files import write_text
from rstar_math.store.paths import require_file, require_folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "plain.txt").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to("not-there")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


BAD = [
    "plain.txt/x",
    "plain.txt/x/y",
    "n" * 300,
    "d/" * 3000 + "x",
    "nowhere",
    "nowhere/x",
    "circle",
    "circle/x",
    "a\0b",
]


@pytest.mark.parametrize("name", [*BAD, "plain.txt"])
def test_no_folder_can_be_there(place: Path, name: str) -> None:
    with pytest.raises(PathError):
        require_folder(place / name)
    assert sorted(p.name for p in place.iterdir()) == ["circle", "folder", "nowhere", "plain.txt"]


@pytest.mark.parametrize("name", [*BAD, "folder"])
def test_no_file_can_be_there(place: Path, name: str) -> None:
    with pytest.raises(PathError):
        require_file(place / name)
    if name != "nowhere":
        with pytest.raises(PathError):
            write_text(place / name, "new")
    assert (place / "plain.txt").read_text() == "precious"


def test_places_that_are_fine(place: Path) -> None:
    require_folder(place / "new" / "er")
    require_folder(place / "folder")
    require_file(place / "new" / "file")
    require_file(place / "plain.txt")
    require_file(Path(os.devnull))
    assert not (place / "new").exists()


def test_a_device_is_never_replaced_and_a_link_stays_one() -> None:
    write_text(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()
