"""`manifest.json`: which stages of a folder are whole, what each made, and checksums of the files that it left.

A stage leaves its entry last: it is there, so the stage is whole. What a stage made (counts and measures, no times) is
the same in a run that was stopped and resumed; the checksums stand apart, because files also hold times.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError, RunError
from rstar_math.store.files import fingerprint, read_json, write_json
from rstar_math.store.paths import reading, shown
from rstar_math.store.round import Round

_log = logging.getLogger(__name__)

FORMAT = 1

QUICK_BYTES = 64 << 20
"""A larger file is hashed again only where its size or its time says that it was written to."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A file as a stage left it.

    Attributes:
      num_bytes: its size.
      mtime_ns: when it was written to last, in nanoseconds.
      sha256: of its content, 64 hex digits.
    """

    num_bytes: int
    mtime_ns: int
    sha256: str


class Manifest:
    """Which stages of a folder are whole, with what each made and the checksums of its files."""

    def __init__(self, folder: Path) -> None:
        """Reads the manifest of a folder; where there is none, no stage is whole.

        Raises:
          DataError: it cannot be read, has not this format, or was changed; names the file and the key.
        """
        self.folder = folder
        self.path = folder / "manifest.json"
        self._stages: dict[str, dict[str, Any]] = {}
        self._files: dict[str, Checksum] = {}
        if self.path.exists():
            self._read(read_json(self.path))

    def _read(self, value: object) -> None:
        where = shown(self.path)
        if not isinstance(value, dict):
            raise DataError(f"{where} is no manifest: it holds a {type(value).__name__}, not an object")
        if value.get("format") != FORMAT:
            raise DataError(f"{where}: format is {value.get('format')!r:.80}; this version reads format {FORMAT}")
        stages, files = value.get("stages"), value.get("files", {})
        if not isinstance(stages, dict) or not all(isinstance(made, dict) for made in stages.values()):
            raise DataError(f"{where}: stages must be an object of objects")
        if not isinstance(files, dict):
            raise DataError(f"{where}: files must be an object, got a {type(files).__name__}")
        if "checksum" in value and value["checksum"] != fingerprint([stages, files]):
            raise DataError(
                f"{where} was changed since it was written: its checksum is another; restore it from a copy"
            )
        self._stages = stages
        for name, entry in files.items():
            if not isinstance(entry, dict) or {*entry} != {"num_bytes", "mtime_ns", "sha256"}:
                raise DataError(f"{where}: files.{name} needs num_bytes, mtime_ns and sha256")
            self._files[name] = Checksum(**entry)

    @property
    def num_files(self) -> int:
        """How many files have a checksum."""
        return len(self._files)

    def __contains__(self, stage: str) -> bool:
        return stage in self._stages

    def __getitem__(self, stage: str) -> dict[str, Any]:
        return self._stages[stage]

    def count(self, stage: str, key: str) -> int:
        """A count that a stage made.

        Raises:
          DataError: the stage or the key is missing, or it is no count; names file and key.
        """
        value = self._made(stage, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise DataError(f"{shown(self.path)}: stages.{stage}.{key} is {value!r:.80}; it must be a count")
        return value

    def share(self, stage: str, key: str) -> float | None:
        """A share in [0, 1] that a stage measured; None where it measured none.

        Raises:
          DataError: as `count`.
        """
        value = self._made(stage, key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise DataError(f"{shown(self.path)}: stages.{stage}.{key} is {value!r:.80}; it must be between 0 and 1")
        return float(value)

    def _made(self, stage: str, key: str) -> object:
        if stage not in self._stages or key not in self._stages[stage]:
            raise DataError(f"{shown(self.path)}: stages.{stage}.{key} is missing")
        return self._stages[stage][key]

    def finish(self, stage: str, files: Iterable[str] = (), **made: Any) -> None:
        """Marks a stage as whole; everything that it made is on disk by now.

        Args:
          stage: its name.
          files: names of the files and folders that it left, from the folder of the manifest.
          made: counts and measures.
        """
        for name in files:
            for path in _files_below(self.folder / name):
                self._files[str(path.relative_to(self.folder))] = _checksum(path)
        self._stages[stage] = made
        as_json = {
            name: {"num_bytes": c.num_bytes, "mtime_ns": c.mtime_ns, "sha256": c.sha256}
            for name, c in sorted(self._files.items())
        }
        value = {"format": FORMAT, "stages": self._stages, "files": as_json}
        write_json(self.path, value | {"checksum": fingerprint([self._stages, as_json])})

    def verify(self, below: Iterable[str] = (), *, in_full: bool = False, may_lack: bool = False) -> None:
        """Holds the files of the finished stages against their checksums.

        Args:
          below: only these files and folders; empty: all.
          in_full: hash files over `QUICK_BYTES` also where size and time are as they were.
          may_lack: files may be missing, which is told on the log.

        Raises:
          RunError: a file was changed or removed; names it and what to do.
        """
        wanted = tuple(below)
        missing: list[str] = []
        for name, recorded in self._files.items():
            if wanted and not any(name == part or name.startswith(f"{part}/") for part in wanted):
                continue
            path = self.folder / name
            if not path.exists():
                missing.append(name)
            elif not _is_as_recorded(path, recorded, in_full):
                raise RunError(
                    f"{shown(path)} was changed or damaged since its stage was finished: it is not the file that "
                    f"{self.path.name} beside it names. {_way_out(self.folder)}"
                )
        if missing and not may_lack:
            raise RunError(f"{shown(self.folder / missing[0])} is missing{_and_more(missing)}. {_way_out(self.folder)}")
        if missing:
            _log.warning("%s is missing%s", shown(self.folder / missing[0]), _and_more(missing))


def _and_more(names: list[str]) -> str:
    return f", and {len(names) - 1} more files" if len(names) > 1 else ""


def _way_out(folder: Path) -> str:
    behind = " and the rounds behind it" if Round.at(folder) else ""
    return (
        f"Restore it from a copy; or, to make it again, delete {shown(folder)}{behind} and run the same "
        "`rstar evolve` again"
    )


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for child in sorted(path.rglob("*")) if path.is_dir() else ():
        if child.is_file() and not child.name.startswith(".") and child.suffix != ".spoiled":
            yield child


def _checksum(path: Path) -> Checksum:
    with reading(path):
        state = path.stat()
        return Checksum(state.st_size, state.st_mtime_ns, _sha256(path, state.st_size, state.st_mtime_ns))


def _is_as_recorded(path: Path, recorded: Checksum, in_full: bool) -> bool:
    with reading(path):
        state = path.stat()
        if not path.is_file() or state.st_size != recorded.num_bytes:
            return False
        if state.st_size > QUICK_BYTES and state.st_mtime_ns == recorded.mtime_ns and not in_full:
            return True
        return _sha256(path, state.st_size, state.st_mtime_ns) == recorded.sha256


@functools.lru_cache(maxsize=10_000)
def _sha256(path: Path, num_bytes: int, mtime_ns: int) -> str:
    """The hash of a file's content; a file of the same size and time is not read again by the same process."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
