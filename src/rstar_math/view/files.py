"""The files of the page: its markup, styles and modules, served and exported as they are."""

from __future__ import annotations

import importlib.resources

KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
"""Content types by the end of a name."""


def static_files() -> dict[str, bytes]:
    """The files by name."""
    folder = importlib.resources.files("rstar_math.view") / "static"
    names = [file.name for file in folder.iterdir() if file.name.rpartition(".")[2] in KINDS]
    return {name: (folder / name).read_bytes() for name in sorted(names)}
