"""Places that commands write to, looked at before any work: nobody waits an hour to hear that a folder is a file."""

from __future__ import annotations

from pathlib import Path

from rstar_math.store.paths import require_file, require_folder


def folder_to_write(path: Path | None) -> Path | None:
    """An option that names a folder to write to.

    Raises:
      PathError: nothing can be written there.
    """
    if path is not None:
        require_folder(path)
    return path


def file_to_write(path: Path | None) -> Path | None:
    """An option that names a file to write.

    Raises:
      PathError: no file can be written there.
    """
    if path is not None:
        require_file(path)
    return path
