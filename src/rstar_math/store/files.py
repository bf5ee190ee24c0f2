"""Files that are whole or absent: written under a temporary name, synced, renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to; renames it to `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that readers see the old or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Writes JSON (two spaces, keys in the order given)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
      DataError: the file cannot be read or is not JSON; names the file and the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number from 1, object) of a JSON Lines file; blank lines are skipped.

    Raises:
      DataError: the file cannot be read, or a line is not a JSON object; names the file and the line.
    """
    try:
        with open(path, "rb") as f:
            for number, line in enumerate(f, start=1):
                if not line.strip():
                    continue
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                    row = json.loads(text)
                except UnicodeDecodeError as error:
                    raise DataError(f"{path}, line {number}: not UTF-8 text ({error.reason})") from error
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{path}, line {number}: not valid JSON ({error}): {text.strip()[:80]!r}"
                    ) from error
                if not isinstance(row, dict):
                    raise DataError(f"{path}, line {number}: expected a JSON object, got {text.strip()[:80]!r}")
                yield number, row
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the objects of a JSON Lines file up to the first line that is not whole; nothing where there is no file.

    That line was being written when its process was killed: it is the last.
    """
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):  # text has more line ends than JSON Lines has
        try:
            row = json.loads(line.decode("utf-8"))
        except ValueError:
            return
        if not isinstance(row, dict):
            return
        yield row


def fingerprint(value: object) -> str:
    """A short hash of a JSON value, equal for equal values whatever the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder_fingerprint(folder: Path) -> str:
    """A short hash of the content of all files of a folder, for example of a model."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files and folders that a killed process left in `folder`."""
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
