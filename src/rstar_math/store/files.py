"""Files that are whole or absent: written under a temporary name, synced, renamed. And JSON, read with care."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from rstar_math.errors import DataError, PathError
from rstar_math.store.paths import is_device, reading, require_name, shown, writing
from rstar_math.terminal.visible import visible, visible_json


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to; renames it to `path` when the block ends well.

    A symbolic link stays one: what it names is replaced. A device or a pipe (/dev/null) is written to in place.

    Raises:
      PathError: the path cannot be written to.
      DiskFullError: there is no room; what `path` held before is still there.
    """
    require_name(path)
    with writing(path):
        if is_device(path):
            yield path
            return
        target = path.resolve() if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers_of(target)
    temporary = target.with_name(f".{target.name[:180]}.{this_machine()}-{os.getpid()}.tmp")
    try:
        with writing(path):
            yield temporary
            with open(temporary, "rb") as f:
                os.fsync(f.fileno())
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):  # nothing was made, or the file system is gone: the first error says so
            temporary.unlink(missing_ok=True)
        raise


def _remove_leftovers_of(target: Path) -> None:
    """Removes what killed processes of this machine left while they wrote `target`."""
    begin = f".{target.name[:180]}.{this_machine()}-"
    for path in target.parent.iterdir():
        if path.name.startswith(begin) and path.name.endswith(".tmp"):
            pid = path.name[len(begin) : -len(".tmp")]
            if pid.isdecimal() and not is_alive(int(pid)):
                with suppress(OSError):  # another user's, or removed by another process just now
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@functools.cache
def this_machine() -> str:
    """Stands in the names of temporary files: in a folder that machines share, a process id says nothing alone."""
    return hashlib.sha256(platform.node().encode("utf-8", "backslashreplace")).hexdigest()[:6]


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that readers see the old or the new one, never a part.

    Control characters, and half of a surrogate pair, which UTF-8 cannot hold, are written as escapes (`\\x1b`).
    """
    with replacing(path) as temporary:
        temporary.write_text(visible(text), encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Writes JSON (two spaces, keys in the order given)."""
    write_text(path, visible_json(value, indent=2, allow_nan=True) + "\n")


def write_jsonl(path: Path, rows: Iterable[object]) -> None:
    """Writes JSON Lines, whole or not at all."""
    with replacing(path) as temporary, open(temporary, "wb") as f:
        f.writelines(json_line(row) for row in rows)


def json_line(row: object) -> bytes:
    """A line of JSON Lines; control characters and halves of surrogate pairs stand as the escapes that JSON has."""
    return (visible_json(row, allow_nan=True) + "\n").encode()


def read_text(path: Path) -> str:
    """Reads a text file (UTF-8, with or without a byte order mark).

    Raises:
      DataError: the file cannot be read, or is no such text; names the file.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is no UTF-8 text: {error.reason} at byte {error.start}") from error


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
      DataError: the file cannot be read or is not JSON (NaN and Infinity are none); names the file and the line.
    """
    try:
        return json.loads(read_text(path), parse_constant=_no_number)
    except RecursionError as error:
        raise DataError(f"{shown(path)} is not valid JSON: nested too deeply") from error
    except ValueError as error:
        raise DataError(f"{shown(path)} is not valid JSON: {error}") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number from 1, object) of a JSON Lines file; blank lines are skipped.

    Raises:
      DataError: the file cannot be read, or a line is not a JSON object; names the file and the line.
    """
    with reading(path):
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    with file:
        number = 0
        while True:
            with reading(path):
                line = file.readline()
            if not line:
                return
            number += 1
            if line.strip():
                yield number, _object(line, number, f"{shown(path)}, line {number}")


def _object(line: bytes, number: int, where: str) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        hint = "; it looks like UTF-16" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise DataError(f"{where}: not UTF-8 text ({error.reason}{hint})") from error
    try:
        row = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({str(error)[:200]}): {text.strip()[:80]!r}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, got {text.strip()[:80]!r}")
    return row


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


def fingerprint(value: object) -> str:
    """A short hash of a JSON value, equal for equal values whatever the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


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


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it, where there is none.

    Raises:
      PathError: it cannot be made; names the path.
      DiskFullError: there is no room.
    """
    require_name(path)
    with writing(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            kind = "a symbolic link to nowhere" if path.is_symlink() else "a file, where a folder is needed"
            raise PathError(f"cannot write to {shown(path)}: it is {kind}") from None
