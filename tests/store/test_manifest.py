"""Manifests: stages that are whole, and files that are what their stage left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rstar_math.errors import DataError, RunError
from rstar_math.store import manifest as manifest_module
from rstar_math.store.manifest import Manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "round-1"
    (folder / "policy").mkdir(parents=True)
    (folder / "policy" / "weights").write_bytes(b"0123456789")
    (folder / "policy" / ".half.tmp").write_text("no part of it")
    (folder / "pairs").write_text("pairs")
    Manifest(folder).finish("policy", ("policy", "pairs"), num_steps=3, accuracy=0.5, none=None)
    return folder


def test_whole_stages_and_untouched_files(folder: Path) -> None:
    manifest = Manifest(folder)
    assert "policy" in manifest
    assert "ppm" not in manifest
    assert manifest["policy"] == {"num_steps": 3, "accuracy": 0.5, "none": None}
    assert manifest.count("policy", "num_steps") == 3
    assert manifest.share("policy", "accuracy") == 0.5
    assert manifest.share("policy", "none") is None
    manifest.verify(in_full=True)
    assert set(json.loads(manifest.path.read_text())["files"]) == {"policy/weights", "pairs"}
    os.utime(folder / "pairs", (1, 1))  # copied elsewhere: another time, the same content
    Manifest(folder).verify()


@pytest.mark.parametrize("content", [b"", b"012345678", b"0123456780", b"01234567890"])
def test_a_changed_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "policy" / "weights").write_bytes(content)
    with pytest.raises(RunError, match=r"policy/weights was changed .* delete .*round-1 and the rounds behind"):
        Manifest(folder).verify()
    Manifest(folder).verify(("pairs",))


def test_a_removed_file_is_named_where_it_is_needed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "pairs").unlink()
    with pytest.raises(RunError, match="pairs is missing"):
        Manifest(folder).verify()
    Manifest(folder).verify(may_lack=True)
    assert "pairs is missing" in caplog.text
    (folder / "pairs").mkdir()
    with pytest.raises(RunError, match="pairs was changed"):
        Manifest(folder).verify()


def test_a_large_file_is_hashed_where_its_size_or_time_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "QUICK_BYTES", 4)
    weights = folder / "policy" / "weights"
    before = weights.stat()
    weights.write_bytes(b"0123456780")
    with pytest.raises(RunError):
        Manifest(folder).verify()
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk does it
    Manifest(folder).verify()
    manifest_module._sha256.cache_clear()
    with pytest.raises(RunError):
        Manifest(folder).verify(in_full=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "it holds a list, not an object"),
        ('{"stages": {}}', "format is None"),
        ('{"format": 1}', "stages must be an object of objects"),
        ('{"format": 1, "stages": {"policy": 3}}', "stages must be an object of objects"),
        ('{"format": 1, "stages": {}, "files": []}', "files must be an object"),
        ('{"format": 1, "stages": {}, "files": {"a": {"sha256": "x"}}}', r"files\.a needs num_bytes"),
        ('{"format": 1, "stages": {"policy": {"n": NaN}}}', "NaN is no JSON value"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_manifest_of_another_shape_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=rf"manifest\.json.*{message}"):
        Manifest(tmp_path)


def test_a_number_that_was_changed_is_noticed(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"num_steps": 3', '"num_steps": 8'))
    with pytest.raises(DataError, match=r"manifest\.json was changed since it was written"):
        Manifest(folder)


@pytest.mark.parametrize("value", ["-1", "true", '"3"', "0.5", "null"])
def test_a_count_that_is_none_is_named(tmp_path: Path, value: str) -> None:
    text = f'{{"format": 1, "stages": {{"ppm": {{"num_pairs": {value}, "accuracy": [1]}}}}}}'
    (tmp_path / "manifest.json").write_text(text)  # of an earlier version: without checksums
    manifest = Manifest(tmp_path)
    with pytest.raises(DataError, match=r"manifest\.json: stages\.ppm\.num_pairs is .*; it must be a count"):
        manifest.count("ppm", "num_pairs")
    with pytest.raises(DataError, match=r"stages\.ppm\.accuracy is \[1\]; it must be between 0 and 1"):
        manifest.share("ppm", "accuracy")
    with pytest.raises(DataError, match=r"stages\.ppm\.num_steps is missing"):
        manifest.count("ppm", "num_steps")
