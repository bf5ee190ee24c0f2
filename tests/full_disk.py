"""Runs a command on a file system that grows until the command has room: a tmpfs in a mount namespace of its own.

    unshare --mount python -m tests.full_disk FOLDER KIB,KIB,... COMMAND ...

The file system is at FOLDER. The command runs once for each size, in FOLDER's parent, as long as it fails. Prints a
list of outcomes: the size, the exit status, what was said on standard error, and temporary files that are left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import walking

_ENTER = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def why_not(folder: Path) -> str | None:
    """Why no file system can be mounted here, or None."""
    command = [*_ENTER, "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    except OSError as error:
        return f"no file system can be mounted: {error}"
    return None if done.returncode == 0 else f"no file system can be mounted: {done.stderr.strip()}"


def outcomes(folder: Path, sizes: list[int], command: list[str]) -> list[dict[str, Any]]:
    """The outcomes of a command on growing file systems of `sizes` KiB; see above."""
    done = subprocess.run(
        [*_ENTER, sys.executable, "-m", "tests.full_disk", str(folder), ",".join(map(str, sizes)), *command],
        capture_output=True,
        text=True,
        timeout=1200,
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def main() -> None:
    folder, sizes, command = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
    os.chdir(folder.parent)
    found = []
    for number, size in enumerate(sizes):
        options = f"size={size}k" if number == 0 else f"remount,size={size}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
        done = walking.run(command)
        left = [
            str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name.endswith((".tmp", ".partial"))
        ]
        found.append({"size": int(size), "left": left, **done})
        if done["code"] == 0:
            break
    print(json.dumps(found))


if __name__ == "__main__":
    main()
