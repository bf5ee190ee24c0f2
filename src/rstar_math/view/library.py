"""All sets of trees, pairs and rows that pages may show, each opened when it is first asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rstar_math.errors import DataError, UserError
from rstar_math.store.files import read_json
from rstar_math.store.growing import Growing, watch
from rstar_math.store.paths import shown
from rstar_math.store.records import row_to_tree
from rstar_math.store.round import Round
from rstar_math.store.schemas import tree_schema
from rstar_math.tree import Tree
from rstar_math.view.index import JOURNAL, TreeIndex
from rstar_math.view.places import Place, open_places
from rstar_math.view.problems import Problems


class NotFoundError(UserError):
    """What was asked for is not there."""


@dataclass(frozen=True, slots=True)
class Held:
    """A tree where it lies: one row of a table of trees."""

    table: pa.Table
    row: int

    @property
    def tree(self) -> Tree:
        """The tree itself, every text included.

        Raises:
          DataError: the row is no tree.
        """
        try:
            return row_to_tree(self.table.slice(self.row, 1).to_pylist()[0])
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"a tree cannot be read (missing or unknown field: {error})") from error


class TreeSet:
    """One set of trees, with its index and its problems. May be asked from several threads."""

    def __init__(self, name: str, path: Path, cache: Path | None) -> None:
        self.name, self.path = name, path
        self._index = TreeIndex(path, cache)
        self._lock = threading.Lock()
        self._problems: Problems | None = None
        self._growing = Growing(path)
        self._watch_again = 0.0

    def index(self) -> pa.Table:
        """One row a tree (`rstar_math.view.index.SCHEMA`), as of now."""
        with self._lock:
            if self._index.refresh():
                self._problems = None
            return self._index.table

    def problems(self) -> Problems:
        """The problems, as of now."""
        trees = self.index()
        with self._lock:
            if self._problems is None:
                self._problems = Problems(trees, self._suspects())
            return self._problems

    def trees_of(self, problem: str) -> list[dict[str, Any]]:
        """The rows of the index that are of one problem."""
        trees = self.index()
        rows: list[dict[str, Any]] = trees.filter(pc.equal(trees["problem"], problem)).to_pylist()
        return rows

    def held(self, tree: str) -> Held:
        """A tree by its id.

        Raises:
          NotFoundError: there is none.
        """
        with self._lock:
            self._index.refresh()
            row = self._index.find(tree)
            if row is None and tree in self._growing.trees:
                return Held(pa.Table.from_pylist([self._growing.trees[tree]], schema=tree_schema()), 0)
            if row is None:
                raise NotFoundError(f"there is no tree {shown(tree)} in {self.name}")
            return Held(*self._index.rows_of(row))

    def growing(self) -> list[dict[str, Any]]:
        """The trees that a search is growing at the moment: `tree`, `problem`, `num_nodes`, `num_rollouts`.

        Whoever asks is taken to look on: searches tell of their trees from then on, for a few seconds.
        """
        if not self.path.is_dir() or not (self.path / JOURNAL).exists():
            return []
        with self._lock:
            now = time.monotonic()
            if now >= self._watch_again:
                watch(self.path)
                self._watch_again = now + 1.0
            self._growing.refresh()
            return [
                {
                    "tree": tree_id,
                    "problem": row["problem"]["id"],
                    "num_nodes": len(row["nodes"]),
                    "num_rollouts": len(row["rollouts"]),
                }
                for tree_id, row in self._growing.trees.items()
                if self._index.find(tree_id) is None
            ]

    def _suspects(self) -> list[str]:
        this = Round.at(self.path.parent)
        if this is None or self.path != this.trees or not this.suspect_references.exists():
            return []
        found = read_json(this.suspect_references)
        return [s["problem"] for s in found if isinstance(s, dict) and isinstance(s.get("problem"), str)]


class Library:
    """What some paths hold.

    Attributes:
      paths: as they were named.
    """

    def __init__(self, paths: Sequence[Path], cache: Path | None = None) -> None:
        """Looks what is there; opens nothing.

        Args:
          paths: runs, folders of trees, result rows, or folders of such.
          cache: where indexes are kept; None: the user's cache folder.

        Raises:
          DataError: there is nothing to see in a path.
        """
        self.paths = tuple(paths)
        self._cache = cache
        self._sets: dict[Path, TreeSet] = {}
        self._lock = threading.Lock()
        self.places()

    def places(self) -> list[Place]:
        """The places, as of now: a running `evolve` adds to its own.

        Raises:
          DataError: there is nothing to see in a path any more.
        """
        return open_places(self.paths)

    def trees(self, name: str) -> TreeSet:
        """A set of trees by its name, PLACE/SET.

        Raises:
          NotFoundError: there is none.
        """
        for place in self.places():
            for within, path in place.trees.items():
                if f"{place.name}/{within}" == name:
                    with self._lock:
                        if path not in self._sets:
                            self._sets[path] = TreeSet(name, path, self._cache)
                        return self._sets[path]
        raise NotFoundError(f"there are no trees {shown(name)}")

    def pairs(self, name: str) -> Path:
        """The preference pairs of a set of trees.

        Raises:
          NotFoundError: there are none.
        """
        return self._path(name, "pairs")

    def rows(self, name: str) -> Path:
        """A file of result rows.

        Raises:
          NotFoundError: there is none.
        """
        return self._path(name, "rows")

    def tree_sets(self) -> list[str]:
        """The names of all sets of trees."""
        return [f"{place.name}/{name}" for place in self.places() for name in place.trees]

    def _path(self, name: str, kind: str) -> Path:
        for place in self.places():
            found = place.pairs if kind == "pairs" else place.rows
            for within, path in found.items():
                if f"{place.name}/{within}" == name:
                    return path
        raise NotFoundError(f"there are no {kind} {shown(name)}")
