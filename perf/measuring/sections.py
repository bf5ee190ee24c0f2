"""Sections of a Markdown file that a benchmark writes, and writes anew."""

from __future__ import annotations

from pathlib import Path


def write_section(path: Path, name: str, text: str) -> None:
    """Puts a section into a file, in place of the one that was there; the file and the section may be new.

    Args:
      path: of the file.
      name: of the benchmark, which marks the section's begin and end.
      text: Markdown, ends with a line feed.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    head, marker, rest = before.partition(start)
    tail = rest.partition(end)[2] if marker else ""
    path.write_text(f"{head.rstrip()}\n\n{start}\n{text}{end}\n{tail.lstrip()}", encoding="utf-8")
