"""Calls on a folder that machines share: whole files or none, atomic moves, and patience where the folder stalls.

Only what holds on NFS is relied upon: a rename within the folder is atomic, and it has one winner. No lock and no clock
is used. A call that the system refuses for reasons that pass (EIO, ESTALE, a server that is away) is tried again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rstar_math.store.paths import shown, writing

_log = logging.getLogger(__name__)

PASSING = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.ENOTCONN, errno.ECONNRESET, errno.ENOLINK, errno.EREMOTEIO, errno.ENETUNREACH, errno.ENETDOWN),
    }
)
"""What a shared folder says while its server is away, or when a file was replaced under an open handle."""

PATIENCE_S = 3600.0
"""A folder that stalls is waited for so long; then the error is raised."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 10.0
_SAID_AFTER_S = 5.0

T = TypeVar("T")


def patiently(call: Callable[[], T], path: Path, patience_s: float = PATIENCE_S) -> T:
    """What a call gives; tried again, with growing pauses, while it fails in a way that passes.

    Args:
      call: may be done twice: a rename that was done although it failed finds nothing to rename.
      path: what it is about, for messages.
      patience_s: seconds after which the error is raised.

    Raises:
      PathError, DiskFullError: the system refuses it, or went on failing.
      FileNotFoundError: as the call raises it.
    """
    began, pause, is_said = time.monotonic(), _FIRST_PAUSE_S, False
    while True:
        try:
            return call()
        except OSError as error:
            waited = time.monotonic() - began
            if error.errno not in PASSING or waited > patience_s:
                if isinstance(error, FileNotFoundError):
                    raise
                with writing(path):
                    raise
            if waited > _SAID_AFTER_S and not is_said:
                _log.warning("%s stalls (%s); waiting for it", shown(path), os.strerror(error.errno or 0))
                is_said = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def names(folder: Path) -> list[str]:
    """The names of the whole files and folders in a folder; none where it is not there."""

    def listed() -> list[str]:
        try:
            return [name for name in os.listdir(folder) if not name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    return patiently(listed, folder)


def move(source: Path, target: Path, *, is_ours: bool = False) -> bool:
    """Renames a file; False where it is not there any more, because another was first.

    Args:
      source: the file.
      target: its new name.
      is_ours: nobody else moves anything to `target`. A server may have renamed the file although the call failed: what
        stands there then, we have put there.
    """

    def moved() -> bool:
        try:
            os.rename(source, target)
        except FileNotFoundError:
            if not is_ours:
                return False
            try:
                os.stat(target)
            except FileNotFoundError:
                return False
        return True

    return patiently(moved, source)


def write_whole(path: Path, text: str, keep_temporary_in: Path | None = None) -> None:
    """Writes a file under a name of its own, and renames it: a reader sees the old or the new one.

    Args:
      path: the file.
      text: its content.
      keep_temporary_in: folder of the temporary name; None: the file's own.

    Raises:
      FileNotFoundError: the folder is not there.
    """
    temporary = (keep_temporary_in or path.parent) / f".{path.name[:120]}.{secrets.token_hex(6)}.tmp"

    def written() -> None:
        with open(temporary, "w", encoding="utf-8") as f:  # closing sends it to the server; a lost one is made again
            f.write(text)

    try:
        patiently(written, path)
        if not move(temporary, path, is_ours=True):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read(path: Path) -> str | None:
    """The text of a file; None where there is none."""

    def content() -> str | None:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

    return patiently(content, path)


def read_from(path: Path, offset: int) -> bytes:
    """The bytes of a file from an offset on; none where there is no file."""

    def content() -> bytes:
        try:
            with open(path, "rb") as f:
                if os.fstat(f.fileno()).st_size <= offset:
                    return b""
                f.seek(offset)
                return f.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""

    return patiently(content, path)


def remove(path: Path) -> None:
    """Removes a file, where there is one."""

    def removed() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    patiently(removed, path)


def make_folders(*paths: Path) -> None:
    """Makes folders, and those above them."""
    for path in paths:
        patiently(lambda path=path: os.makedirs(path, exist_ok=True), path)  # type: ignore[misc]


def remove_folder(folder: Path) -> None:
    """Takes a folder out of sight at once, then removes it; whoever still writes into it finds nothing."""
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.tmp")
    if move(folder, gone, is_ours=True):
        remove_tree(gone)


def remove_tree(folder: Path) -> None:
    """Removes a folder that nobody uses any more, whatever is in it."""

    def removed() -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

    patiently(removed, folder)
