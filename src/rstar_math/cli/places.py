"""Places that commands write to, looked at before any work: nobody waits an hour to hear that a folder is a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rstar_math.errors import ConfigError
from rstar_math.store.paths import require_file, require_folder, shown


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


def benchmarks_from(folder: Path | None, names: Sequence[str]) -> list[str]:
    """Names of benchmarks as paths in the folder of `--from`; other sets of problems, which have a "/", as they are.

    Raises:
      ConfigError: a folder is given, and no benchmark is read from it.
    """
    if folder is None:
        return list(names)
    if all("/" in name for name in names):
        raise ConfigError(
            f"--from {shown(folder)} is for benchmarks by name, and none of {', '.join(map(shown, names))} is one; "
            "name one (`rstar benchmarks` lists them), or leave --from out"
        )
    return [name if "/" in name else str(folder / name) for name in names]
