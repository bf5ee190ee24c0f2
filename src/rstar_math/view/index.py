"""An index of the trees of a folder: one row a tree, without its nodes; built once, kept, and added to.

Parts of trees are whole or absent and never change (`rstar_math.store.records`), so that each is read once. The index
of many parts is kept in the user's cache folder, for the next time; a run may lie where nobody may write. The journal
of a running search is read again whenever it has grown.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rstar_math.errors import DataError, RStarError
from rstar_math.store.files import fingerprint, replacing
from rstar_math.store.journal import read_journal
from rstar_math.store.paths import reading, shown
from rstar_math.store.records import FORMAT_VERSION
from rstar_math.store.schemas import tree_schema

JOURNAL = "journal.jsonl"
_COLUMNS = ("format", "problem", "strategy", "seed", "stopped", "rollouts", "cost.tokens_generated")
_OF_NODES = ("answer", "correct")
_VERSION = 1
_PARTS_WORTH_KEEPING = 20

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("tree", "problem", "question", "reference", "tier", "part", "source")),
        *(("strategy", pa.string()), ("seed", pa.int64()), ("stopped", pa.string())),
        *((name, pa.int64()) for name in ("num_nodes", "num_rollouts", "num_correct", "tokens")),
        *(("answers", pa.list_(pa.string())), ("counts", pa.list_(pa.int64()))),
        *(("file", pa.string()), ("row", pa.int64())),
    ]
)
"""`answers` are the distinct answers of a tree's rollouts, `counts` how many rollouts gave each; `num_correct` rollouts
ended at a right one. `file` and `row` say where the tree lies."""


class TreeIndex:
    """The trees of one folder, or of one part.

    Attributes:
      path: the folder or the part.
      version: grows whenever trees came.
    """

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        """Reads nothing yet.

        Args:
          path: folder of trees, or one of its parts.
          cache: folder where indexes are kept; None: the user's.
        """
        self.path = path
        self.version = 0
        self._folder = path if path.is_dir() else path.parent
        self._cache = (cache or default_cache()) / f"{fingerprint([_VERSION, str(path.resolve())])}.parquet"
        self._parts: dict[str, tuple[int, int]] = {}
        self._in_parts = SCHEMA.empty_table()
        self._journal_stamp = (0, 0)
        self._journalled = SCHEMA.empty_table()
        self._journal_trees: pa.Table | None = None
        self._whole = SCHEMA.empty_table()
        self._is_begun = False

    @property
    def table(self) -> pa.Table:
        """One row a tree, as in `SCHEMA`, in the order in which trees lie on disk; as of the last `refresh`."""
        return self._whole

    def refresh(self) -> bool:
        """Reads what has come since; gives whether anything has.

        Raises:
          DataError: a part cannot be read, or holds no trees.
        """
        if not self._is_begun:
            self._begin()
        with reading(self.path):
            found = sorted(self.path.glob("part-*.parquet")) if self.path.is_dir() else [self.path]
        stamps = {p.name: _stamp(p) for p in found}
        if any(name not in stamps or stamps[name] != stamp for name, stamp in self._parts.items()):
            self._parts, self._in_parts = {}, SCHEMA.empty_table()  # another search's trees lie there now
        new = [p for p in found if p.name not in self._parts]
        has_come = bool(new) or self._read_journal()
        if new:
            self._in_parts = pa.concat_tables([self._in_parts, *(_index(_columns(p), p) for p in new)])
            self._in_parts = self._in_parts.combine_chunks()
            self._parts = stamps
            if len(new) >= _PARTS_WORTH_KEEPING:
                self._keep()
        if has_come or not self.version:
            self._whole = self._joined()
            self.version += 1
        return has_come

    def rows_of(self, row: int) -> tuple[pa.Table, int]:
        """Where a tree lies: a table of trees (`tree_schema`), and its row there.

        Args:
          row: in `table`.
        """
        file, at = self._whole["file"][row].as_py(), self._whole["row"][row].as_py()
        if file == JOURNAL:
            assert self._journal_trees is not None
            return self._journal_trees, at
        return read_part(self._folder / file), at

    def find(self, tree: str) -> int | None:
        """The row of a tree by its id."""
        at: int = pc.index(self._whole["tree"], tree).as_py()
        return None if at < 0 else at

    def _joined(self) -> pa.Table:
        if not self._journalled.num_rows:
            return self._in_parts
        only = pc.invert(pc.is_in(self._journalled["tree"], value_set=self._in_parts["tree"].combine_chunks()))
        return pa.concat_tables([self._in_parts, self._journalled.filter(only)]).combine_chunks()

    def _read_journal(self) -> bool:
        path = self._folder / JOURNAL
        stamp = _stamp(path) if self.path.is_dir() else (0, 0)
        if stamp == self._journal_stamp:
            return False
        self._journal_stamp = stamp
        trees = _journal_table(path)
        self._journal_trees, self._journalled = trees, _index(trees, path)
        return True

    def _begin(self) -> None:
        self._is_begun = True
        with suppress(OSError, pa.ArrowException, ValueError, KeyError, TypeError):  # a cache: it is made anew
            kept = pq.ParquetFile(self._cache)
            parts = json.loads(kept.schema_arrow.metadata[b"parts"])
            self._in_parts = kept.read().cast(SCHEMA).combine_chunks()
            self._parts = {name: (stamp[0], stamp[1]) for name, stamp in parts.items()}

    def _keep(self) -> None:
        with suppress(OSError, RStarError), replacing(self._cache) as temporary:  # without a cache it works as well
            table = self._in_parts.replace_schema_metadata({"parts": json.dumps(self._parts)})
            pq.write_table(table, temporary, compression="zstd")


def default_cache() -> Path:
    """Where indexes are kept: in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rstar-math" / "view"


def read_part(path: Path) -> pa.Table:
    """All of a part.

    Raises:
      DataError: it cannot be read.
    """
    with reading(path):
        open(path, "rb").close()  # where the system refuses, in its words
    try:
        return pq.ParquetFile(path).read()
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise DataError(f"cannot read {shown(path)} as Parquet: {str(error)[:300]}") from error


def _columns(path: Path) -> pa.Table:
    """What the index needs of a part."""
    with reading(path):
        open(path, "rb").close()
    try:
        file = pq.ParquetFile(path)
        nested = [n for n in (c.path for c in map(file.schema.column, range(len(file.schema)))) if _is_of_nodes(n)]
        return file.read(columns=[*_COLUMNS, *nested])
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise DataError(f"cannot read {shown(path)} as Parquet: {str(error)[:300]}") from error


def _is_of_nodes(path: str) -> bool:
    return path.startswith("nodes.") and path.rpartition(".")[2] in _OF_NODES and path.count(".") == 3


def _journal_table(path: Path) -> pa.Table:
    """The trees of a journal; lines that are none are left out, as everywhere."""
    schema = tree_schema()
    rows = [row for row in read_journal(path) if row.get("format") == FORMAT_VERSION]
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowException, ValueError, OverflowError, TypeError, AttributeError):
        return pa.Table.from_pylist([row for row in rows if _fits(row, schema)], schema=schema)


def _fits(row: dict[str, Any], schema: pa.Schema) -> bool:
    try:
        pa.Table.from_pylist([row], schema=schema)
    except (pa.ArrowException, ValueError, OverflowError, TypeError, AttributeError):
        return False
    return True


def _index(trees: pa.Table, path: Path) -> pa.Table:
    """The rows of `SCHEMA` for a table of trees.

    Raises:
      DataError: it holds no trees, or trees of another format.
    """
    missing = [n for n in (*_COLUMNS[:-1], "cost", "nodes") if n not in trees.column_names]
    if missing:
        raise DataError(f"{shown(path)} holds no trees (missing: {', '.join(missing)})")
    trees = trees.combine_chunks()
    others = set(trees["format"].to_pylist()) - {FORMAT_VERSION}
    if others:
        raise DataError(
            f"{shown(path)}: trees of format {others.pop()} cannot be read; this version reads {FORMAT_VERSION}"
        )
    try:
        return _indexed(trees, path.name)
    except (pa.ArrowException, KeyError, ValueError, IndexError) as error:  # a rollout that ends nowhere
        raise DataError(f"{shown(path)} holds no trees that can be read: {str(error)[:200]}") from error


def _indexed(trees: pa.Table, file: str) -> pa.Table:
    n = trees.num_rows
    problem, nodes, rollouts = (_one(trees[name]) for name in ("problem", "nodes", "rollouts"))
    ends = pc.list_parent_indices(rollouts).to_numpy()  # [R] the tree of each rollout
    starts = nodes.offsets.to_numpy()[:-1] - nodes.offsets[0].as_py()  # [n] the first node of each tree
    values = nodes.flatten()
    at = pa.array(starts[ends] + rollouts.flatten().to_numpy()) if len(ends) else pa.array([], pa.int64())
    right = pc.fill_null(values.field("correct").take(at), False).to_numpy(zero_copy_only=False)
    answers, counts = _answers(ends, values.field("answer").take(at), n)
    seeds, ids = trees["seed"], problem.field("id")
    of_problem = {"problem": "id", "question": "question", "reference": "answer"}
    return pa.table(
        {
            "tree": pc.binary_join_element_wise(ids, pc.cast(_one(seeds), pa.string()), "@"),
            **{ours: problem.field(theirs) for ours, theirs in of_problem.items()},
            **{name: problem.field(name) for name in ("tier", "part", "source")},
            **{name: trees[name] for name in ("strategy", "seed", "stopped")},
            "num_nodes": pc.list_value_length(nodes),
            "num_rollouts": pc.list_value_length(rollouts),
            "num_correct": np.bincount(ends, weights=right, minlength=n).astype(np.int64),
            "tokens": _one(trees["cost"]).field("tokens_generated"),
            "answers": answers,
            "counts": counts,
            "file": pa.array([file] * n, pa.string()),
            "row": np.arange(n),
        }
    ).cast(SCHEMA)


def _answers(ends: Any, answers: pa.Array, n: int) -> tuple[pa.Array, pa.Array]:
    """Of each of n trees the distinct answers of its rollouts, and how many gave each."""
    found = pa.table({"tree": ends, "answer": answers, "one": np.ones(len(ends), np.int64)})
    found = found.filter(pc.is_valid(found["answer"])).group_by(["tree", "answer"], use_threads=False)
    counted = found.aggregate([("one", "sum")]).sort_by("tree").combine_chunks()
    trees = counted["tree"].to_numpy()
    offsets = pa.array(np.searchsorted(trees, np.arange(n + 1)), pa.int32())
    return (
        pa.ListArray.from_arrays(offsets, _one(counted["answer"])),
        pa.ListArray.from_arrays(offsets, _one(counted["one_sum"])),
    )


def _one(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns
