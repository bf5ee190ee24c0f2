"""Paths that people give: what is wrong with one, found before any work is done; and what the system refused, by name.

Nothing here writes. `writing` and `reading` turn the errors of the operating system, and of libraries that pass them
on, into errors that name the path; `require_folder` and `require_file` look at a path before the work that ends there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rstar_math.errors import DataError, DiskFullError, PathError, RStarError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_REFUSED = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EBUSY, errno.ENXIO, errno.ENODEV, errno.ESTALE),
        *(errno.ENOTEMPTY, errno.EXDEV, errno.EINVAL, errno.EMFILE, errno.ENFILE, errno.ETXTBSY),
    }
)
"""What the system says about files. Errors of connections and processes are none of them."""

_OF_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors and tokenizers end their messages, whose exceptions are no OSError."""

_MAX_SHOWN = 200


def shown(path: Path | str) -> str:
    """A path for a message: cut in the middle where it is very long, escaped where it has control characters."""
    text = str(path)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _MAX_SHOWN else f"{text[:120]}...{text[-60:]}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names `path` where the system refuses to write in the block.

    Raises:
      PathError: the path cannot be written to.
      DiskFullError: there is no room.
    """
    try:
        yield
    except Exception as error:  # safetensors and tokenizers have exceptions of their own
        if (explained := explanation(error, path)) is None:
            raise
        raise explained from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Names `path` where the system refuses to read in the block.

    Raises:
      DataError: the path cannot be read.
    """
    try:
        require_name(path)
        yield
    except PathError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {_reason(error, path)}") from error


def explanation(error: BaseException, path: Path | None = None) -> RStarError | None:
    """An error of the system as one that names the path; None where it is not about a file.

    Args:
      error: an OSError, or what a library made of one.
      path: what was being written, where the error names no file.
    """
    number = error_number(error)
    if number not in _FULL | _REFUSED:
        return None
    named = error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else None
    place = path if path is not None else named
    doing = "use" if path is None else "write"
    if number in _FULL:
        where = f" while writing {shown(place)}" if place is not None else " while writing the output"
        limit = " (or a limit of this process on the size of files)" if number == errno.EFBIG else ""
        return DiskFullError(
            f"the disk is full{limit}{where}; make room and run the same command again: what was finished is kept"
        )
    if place is None:
        return PathError(f"a file cannot be read or written: {os.strerror(number)}")
    return PathError(f"cannot {doing} {shown(place)}: {_reason(error, Path(place), number)}")


def error_number(error: BaseException) -> int:
    """The number of an error of the system, also where a library passed it on in words; 0: it is none."""
    if isinstance(error, OSError):
        return error.errno or 0
    match = _OF_RUST.search(str(error)[-400:])
    return int(match[1]) if match else 0


def require_name(path: Path) -> None:
    """Refuses what can be the name of no file.

    Raises:
      PathError: it is empty, has a NUL byte, or characters that no file name can have.
    """
    text = str(path)
    if "\0" in text:
        raise PathError(f"{shown(text)} is no path: it holds a NUL byte")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise PathError(f"{ascii(text)[:_MAX_SHOWN]} is no path: it has half of a surrogate pair") from None


def require_folder(path: Path) -> None:
    """Looks whether a folder can be written to, or made, at a path; makes nothing.

    Raises:
      PathError: it cannot; names the path, the reason, and the part of the path that is the reason.
    """
    require_name(path)
    with _looking_at(path):
        if path.is_symlink() and not path.exists():
            raise PathError(f"cannot write to {shown(path)}: it is a symbolic link to {_target(path)}")
        if _kind(path) is not None and not path.is_dir():
            raise PathError(f"cannot write to {shown(path)}: it is a file, where a folder is needed")
        _require_writable(path, path)


def require_file(path: Path) -> None:
    """Looks whether a file can be written, or replaced, at a path; makes nothing.

    Raises:
      PathError: as `require_folder`.
    """
    require_name(path)
    with _looking_at(path):
        if str(path) in ("", "."):
            raise PathError("the name of the file to write is empty")
        if path.is_symlink() and not path.exists():
            raise PathError(f"cannot write {shown(path)}: it is a symbolic link to {_target(path)}")
        if path.is_dir():
            raise PathError(f"cannot write {shown(path)}: it is a folder, where a file is needed")
        if is_device(path):
            return
        _require_writable((path.resolve() if path.is_symlink() else path).parent, path)


def is_device(path: Path) -> bool:
    """Whether a path is a device, a pipe or a socket, which is written to in place and never replaced."""
    kind = _kind(path)
    return kind is not None and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


def _kind(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def _looking_at(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: pathlib about links in a circle
        number = errno.ELOOP if isinstance(error, RuntimeError) else error_number(error)
        raise PathError(f"cannot write {shown(path)}: {_reason(error, path, number)}") from error


def _require_writable(folder: Path, path: Path) -> None:
    """Whether a folder may be written to; where there is none, whether it may be made."""
    at = folder if folder.is_absolute() else Path.cwd() / folder
    for part in at.parts:
        if len(os.fsencode(part)) > 255:
            raise PathError(f"cannot write {shown(path)}: {_reason(OSError(), path, errno.ENAMETOOLONG)}")
    while (kind := _kind(at)) is None:
        if at.is_symlink():
            raise PathError(f"cannot write {shown(path)}: {shown(at)} is a symbolic link to {_target(at)}")
        at = at.parent
    if not stat.S_ISDIR(kind):
        raise PathError(f"cannot write {shown(path)}: {shown(at)} is a file, where a folder is needed")
    if not os.access(at, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PathError(
            f"cannot write {shown(path)}: {shown(at)} may not be written to (its rights, or a file system that may "
            "only be read); choose another place"
        )


def _target(link: Path) -> str:
    return f"{shown(os.readlink(link))}, which is not there"


def _reason(error: BaseException, path: Path, number: int | None = None) -> str:
    number = error_number(error) if number is None else number
    if number == errno.ENOTDIR:
        above = next((p for p in path.parents if p.exists() and not p.is_dir()), None)
        return f"{shown(above)} is a file, where a folder is needed" if above else "a part of the path is a file"
    return {
        errno.EISDIR: "it is a folder, where a file is needed",
        errno.EACCES: "this user may not (permission denied)",
        errno.EPERM: "this user may not (operation not permitted)",
        errno.EROFS: "the file system may only be read; choose another place",
        errno.ENOENT: "there is no such file or folder",
        errno.ENAMETOOLONG: "the name is too long for this file system",
        errno.ELOOP: "its symbolic links lead in a circle",
    }.get(number, os.strerror(number) if number else str(error))
