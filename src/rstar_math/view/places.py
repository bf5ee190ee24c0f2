"""What can be looked at in folders that people name: sets of trees, of preference pairs, and of result rows.

A set has a name that stands in addresses: `PLACE/round-1/trees`. Only sets that are found here are ever opened; no
address becomes a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rstar_math.errors import DataError
from rstar_math.store.paths import reading, shown
from rstar_math.store.round import Base, is_run, rounds_in

Kind = Literal["run", "trees", "rows"]


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or file that was named, or one found in such a folder.

    Attributes:
      name: unique among the places; stands in addresses.
      path: where it lies.
      kind: a run; a folder or part of trees; a file of result rows.
      trees: sets of trees by name.
      pairs: preference pairs by the name of the set whose trees they come from.
      rows: result rows by name.
    """

    name: str
    path: Path
    kind: Kind
    trees: dict[str, Path]
    pairs: dict[str, Path]
    rows: dict[str, Path]


def open_places(paths: Sequence[Path]) -> list[Place]:
    """The places of some paths: runs, folders of trees, result rows, or folders that hold such things.

    Raises:
      DataError: a path is none of these, and nothing of the kind lies in it.
    """
    found: list[Place] = []
    for path in paths:
        here = list(_places_at(path))
        if not here:
            raise DataError(
                f"nothing to see in {shown(path)}: it is no run, holds no trees (part-*.parquet) and no result rows "
                "(*.jsonl)"
            )
        for place in here:
            name = _free(place.name, {p.name for p in found})
            found.append(Place(name, place.path, place.kind, place.trees, place.pairs, place.rows))
    return found


def _places_at(path: Path, depth: int = 2) -> Iterator[Place]:
    with reading(path):
        is_folder = path.is_dir()
        if not is_folder:
            open(path, "rb").close()  # where there is none, in the system's words
    own = _own(path, is_folder)
    if own is not None:
        yield own
    elif is_folder and depth:
        for below in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
            yield from _places_at(below, depth - 1)


def _own(path: Path, is_folder: bool) -> Place | None:
    name = path.name or path.resolve().name or "here"
    if not is_folder:
        if path.suffix == ".parquet":
            return Place(name, path, "trees", {"trees": path}, {}, {})
        return Place(name, path, "rows", {}, {}, {path.stem: path}) if path.suffix == ".jsonl" else None
    if is_run(path):
        return Place(name, path, "run", dict(_run_trees(path)), dict(_run_pairs(path)), dict(_run_rows(path)))
    if has_trees(path):
        return Place(name, path, "trees", {"trees": path}, {}, {})
    rows = {p.stem: p for p in sorted(path.glob("*.jsonl")) if p.name not in ("journal.jsonl", "events.jsonl")}
    return Place(name, path, "rows", {}, {}, rows) if rows else None


def has_trees(folder: Path) -> bool:
    """Whether a folder holds trees, finished parts or the journal of a search."""
    return (folder / "journal.jsonl").exists() or next(folder.glob("part-*.parquet"), None) is not None


def _run_trees(run: Path) -> Iterator[tuple[str, Path]]:
    folders = [("base/control", Base(run).control_trees)]
    for this in rounds_in(run):
        folders += [(f"round-{this.number}/{p.name}", p) for p in (this.trees, this.held_out_trees, this.calibration)]
    yield from ((name, folder) for name, folder in folders if folder.is_dir() and has_trees(folder))


def _run_pairs(run: Path) -> Iterator[tuple[str, Path]]:
    for this in rounds_in(run):
        for name, path in (("trees", this.pairs), ("held-out", this.held_out_pairs)):
            if path.exists():
                yield f"round-{this.number}/{name}", path


def _run_rows(run: Path) -> Iterator[tuple[str, Path]]:
    parts = [("base", Base(run).folder / "evaluation"), *((f"round-{r.number}", r.evaluation) for r in rounds_in(run))]
    for name, folder in parts:
        yield from ((f"{name}/{p.stem}", p) for p in sorted(folder.glob("*.jsonl")))


def _free(name: str, taken: set[str]) -> str:
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
