"""Trees and what is selected from them as files: Parquet parts for trees, Parquet tables for the rest.

A `TreeStore` takes trees as they are finished. Each is journalled at once and survives a kill; full parts are written
as Parquet. Formats carry a version; docs/formats.md shows a real row of each.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rstar_math.errors import DataError
from rstar_math.selection.scored_texts import ScoredText
from rstar_math.store.files import json_line, make_folder, read_jsonl, remove_leftovers, replacing, write_jsonl
from rstar_math.store.journal import JournalWriter, ReadJournal, read_journal, set_aside, tell_spoiled
from rstar_math.store.paths import reading, shown, writing
from rstar_math.tree import Node, Tree
from rstar_math.types import Cost, Execution, PreferencePair, Problem, Step, Trajectory

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_VERSION = 1

LIVE_FOLDER = ".live"
"""Beside the parts: what `rstar_math.store.growing` tells of trees that are not finished."""


class TreeStore:
    """The trees of one stage, in one folder: `part-00000.parquet ...` and the journal of those not yet in a part.

    Killed at any moment, it loses only the line that was being written.
    """

    def __init__(self, folder: Path, trees_per_part: int = 50) -> None:
        self.folder = folder
        self._trees_per_part = trees_per_part
        make_folder(folder)
        with writing(folder):
            remove_leftovers(folder)
        self._parts = sorted(folder.glob("part-*.parquet"))
        in_parts = {tree_id for part in self._parts for tree_id in _tree_ids(part)}
        trees, journal = _journalled(self._journal_path)
        tell_spoiled(self._journal_path, journal, f"kept in {self._journal_path.name}.spoiled, and searched again")
        set_aside(self._journal_path, journal)
        self._pending = [t for t in trees if t.id not in in_parts]
        self._lines = [json_line(tree_to_row(t)) for t in self._pending]
        self.done = in_parts | {t.id for t in self._pending}
        self._rewrite_journal()

    @property
    def _journal_path(self) -> Path:
        return self.folder / "journal.jsonl"

    def append(self, tree: Tree) -> None:
        """Stores one finished tree; a tree of the same id is stored once."""
        if tree.id in self.done:
            return
        line = json_line(tree_to_row(tree))
        self._journal.append_line(line)
        self.done.add(tree.id)
        self._pending.append(tree)
        self._lines.append(line)
        if len(self._pending) >= self._trees_per_part:
            self._write_part()

    def close(self) -> None:
        """Ends a whole stage: what is pending becomes the last part, and the journal goes."""
        if self._pending:
            self._write_part()
        self._journal.close()
        self._journal_path.unlink(missing_ok=True)
        shutil.rmtree(self.folder / LIVE_FOLDER, ignore_errors=True)  # what viewers were told while trees grew

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._journal.close()  # what was journalled is read again at the next start

    def __iter__(self) -> Iterator[Tree]:
        for part in self._parts:
            yield from read_trees(part)
        yield from list(self._pending)

    def _write_part(self) -> None:
        number = int(self._parts[-1].stem.removeprefix("part-")) + 1 if self._parts else 0
        path = self.folder / f"part-{number:05d}.parquet"
        from rstar_math.store.schemas import tree_schema

        _write_lines(path, self._lines, tree_schema())
        self._parts.append(path)
        self._pending, self._lines = [], []
        self._journal.close()
        self._rewrite_journal()

    def _rewrite_journal(self) -> None:
        with replacing(self._journal_path) as temporary:
            temporary.write_bytes(b"".join(self._lines))
        self._journal = JournalWriter(self._journal_path)


def read_trees(path: Path) -> Iterator[Tree]:
    """The trees of one Parquet part, or of a folder: of all its parts, and of the journal of a stage that was stopped.

    Raises:
      DataError: there are none, or a file is not a part of trees.
    """
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    journalled: list[Tree] = []
    if path.is_dir():
        journalled, journal = _journalled(path / "journal.jsonl")
        tell_spoiled(path / "journal.jsonl", journal, "left out")
    if not parts and not journalled:
        raise DataError(f"no trees in {path}: expected files part-*.parquet (made by `rstar search` or `rstar evolve`)")
    in_parts: set[str] = set()
    for part in parts:
        for row in read_rows(part):
            try:
                tree = row_to_tree(row)
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                raise DataError(f"{part} holds no trees (missing or unknown field: {error})") from error
            in_parts.add(tree.id)
            yield tree
    yield from (tree for tree in journalled if tree.id not in in_parts)


def _tree_ids(part: Path) -> list[str]:
    try:
        return [f"{row['problem']['id']}@{row['seed']}" for row in read_rows(part, ["problem", "seed"])]
    except (KeyError, TypeError) as error:
        raise DataError(f"{part} holds no trees (missing or unknown field: {error})") from error


def _journalled(path: Path) -> tuple[list[Tree], ReadJournal]:
    """The trees of a journal, and what was read of it: a line that is no tree is a spoiled one."""
    import pyarrow as pa

    from rstar_math.store.schemas import tree_schema

    trees: list[Tree] = []
    schema = tree_schema()

    def wrong_in(row: dict[str, Any]) -> str | None:
        try:
            tree = row_to_tree(row)
            pa.Table.from_pylist([row], schema=schema)  # checks the types
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            return f"no tree: missing or unknown field: {error}"
        except (pa.ArrowException, ValueError, OverflowError) as error:
            return f"no tree: {str(error)[:80]}"
        trees.append(tree)
        return None

    return trees, read_journal(path, wrong_in)


def tree_to_row(tree: Tree) -> dict[str, Any]:
    """One JSON-able row per tree."""
    return {
        "format": FORMAT_VERSION,
        "problem": asdict(tree.problem),
        "strategy": tree.strategy,
        "seed": tree.seed,
        "stopped": tree.stopped,
        "rollouts": list(tree.rollouts),
        "cost": asdict(tree.cost),
        "nodes": [node_to_row(n) for n in tree.nodes],
    }


def row_to_tree(row: dict[str, Any]) -> Tree:
    """The inverse of `tree_to_row`.

    Raises:
      DataError: the row is of another format.
    """
    if row["format"] != FORMAT_VERSION:
        raise DataError(f"trees of format {row['format']} cannot be read; this version reads format {FORMAT_VERSION}")
    nodes: list[Node] = []
    for i, r in enumerate(row["nodes"]):
        execution = None if r["execution"] is None else Execution(**r["execution"])
        step = None
        if i > 0:
            step = Step(
                text=r["text"], code=r["code"], observation=r["observation"], execution=execution, answer=r["answer"]
            )
        depth = 0 if i == 0 else nodes[r["parent"]].depth + 1
        plain = {name: r[name] for name in _PLAIN_NODE_FIELDS}
        nodes.append(Node(index=i, depth=depth, step=step, **plain))
        if i > 0:
            nodes[r["parent"]].children.append(i)
    return Tree(
        problem=Problem(**row["problem"]),
        strategy=row["strategy"],
        seed=row["seed"],
        nodes=nodes,
        rollouts=list(row["rollouts"]),
        cost=Cost(**row["cost"]),
        stopped=row["stopped"],
    )


_EXECUTION_FIELDS = tuple(f.name for f in fields(Execution))
_PLAIN_NODE_FIELDS = tuple(f.name for f in fields(Node) if f.name not in ("index", "depth", "step", "children"))


def node_to_row(node: Node) -> dict[str, Any]:
    """One JSON-able mapping per node, as it stands in the row of its tree."""
    step = node.step
    execution = step.execution if step else None
    return {
        **{name: getattr(node, name) for name in _PLAIN_NODE_FIELDS},
        "text": step.text if step else "",
        "code": step.code if step else "",
        "observation": step.observation if step else "",
        "answer": step.answer if step else None,
        "execution": {name: getattr(execution, name) for name in _EXECUTION_FIELDS} if execution else None,
    }


def trajectory_to_row(trajectory: Trajectory) -> dict[str, Any]:
    """One row per trajectory; steps keep their text, observation and execution."""
    return asdict(trajectory)


def write_pairs(path: Path, pairs: Iterable[PreferencePair]) -> None:
    """Writes preference pairs as Parquet, or as JSON Lines where the name ends in .jsonl."""
    from rstar_math.store.schemas import pair_schema

    write_table(path, [asdict(p) for p in pairs], pair_schema())


def read_pairs(path: Path) -> list[PreferencePair]:
    """Reads what `write_pairs` wrote.

    Raises:
      DataError: the file cannot be read, or a row is no pair; names the row and the field.
    """
    return list(_typed(path, PreferencePair, "preference pairs"))


def write_scored_texts(path: Path, rows: Iterable[ScoredText]) -> None:
    """Writes texts with targets as Parquet, or as JSON Lines where the name ends in .jsonl."""
    from rstar_math.store.schemas import scored_text_schema

    write_table(path, [asdict(row) for row in rows], scored_text_schema())


def read_scored_texts(path: Path) -> list[ScoredText]:
    """Reads what `write_scored_texts` wrote.

    Raises:
      DataError: the file cannot be read, or a row is no such text; names the row and the field.
    """
    return list(_typed(path, ScoredText, "texts with targets"))


def write_trajectories(path: Path, rows: Iterable[tuple[Problem, Trajectory, str]]) -> None:
    """Writes (problem, trajectory, tree id) rows as Parquet, or as JSON Lines where the name ends in .jsonl."""
    from rstar_math.store.schemas import trajectory_schema

    write_table(
        path,
        [{**trajectory_to_row(t), "question": p.question, "tier": p.tier, "tree": tree} for p, t, tree in rows],
        trajectory_schema(),
    )


def read_trajectories(path: Path) -> list[tuple[Problem, Trajectory, str]]:
    """Reads what `write_trajectories` wrote.

    Raises:
      DataError: the file cannot be read, or a row is no trajectory; names the row and the field.
    """
    return [
        (Problem(id=row.problem, question=row.question, tier=row.tier), row.trajectory(), row.tree)
        for row in _typed(path, _TrajectoryRow, "trajectories")
    ]


def read_solved(path: Path) -> set[str]:
    """Ids of the problems in a file of trajectories, whose other columns are left on disk.

    Raises:
      DataError: the file cannot be read, or has no such column.
    """
    found = {row.get("problem") for row in read_rows(path, ["problem"])}
    solved = {name for name in found if isinstance(name, str)}
    if solved != found:
        raise DataError(f"{shown(path)} holds no trajectories (problem: must be text)")
    return solved


@dataclass(frozen=True, kw_only=True)
class _TrajectoryRow(Trajectory):
    """A trajectory with what its file has beside it."""

    question: str
    tier: str | None
    tree: str

    def trajectory(self) -> Trajectory:
        return Trajectory(**{f.name: getattr(self, f.name) for f in fields(Trajectory)})


KindT = TypeVar("KindT")


def _typed(path: Path, kind: type[KindT], what: str) -> Iterator[KindT]:
    """The rows of a table as dataclasses, every field of its type."""
    from pydantic import TypeAdapter, ValidationError

    schema = TypeAdapter(kind)
    for number, row in enumerate(read_table(path), start=1):
        try:
            yield schema.validate_python(row)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            raise DataError(f"{shown(path)} holds no {what} (row {number}: {wrong})") from error


def write_table(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    """Writes rows as Parquet with zstd, or as JSON Lines where the name ends in .jsonl."""
    if path.suffix == ".jsonl":
        write_jsonl(path, rows)
    else:
        write_rows(path, rows, schema)


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """Reads what `write_table` wrote."""
    if path.suffix == ".jsonl":
        yield from (row for _, row in read_jsonl(path))
    else:
        yield from read_rows(path)


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    """Writes a Parquet file with zstd compression, whole or not at all.

    Args:
      path: the file.
      rows: one mapping per row.
      schema: the columns and their types; None: as the values are.

    Raises:
      DataError: a text holds half of a surrogate pair.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pa.Table.from_pylist(list(rows), schema=schema)
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: Parquet cannot hold half of a surrogate pair: {error.object[:80]!r}") from error
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _write_lines(path: Path, lines: Sequence[bytes], schema: pa.Schema) -> None:
    """What `write_rows` writes, from rows that are lines of JSON already: Arrow reads them seven times faster.

    What its reader does not take (numbers that are none, half of a surrogate pair) goes the way of `write_rows`.
    """
    import pyarrow as pa
    import pyarrow.json
    import pyarrow.parquet as pq

    content = b"".join(lines)
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(content),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except (pa.ArrowException, ValueError, OverflowError):
        write_rows(path, [json.loads(line) for line in lines], schema)
        return
    with replacing(path) as temporary:
        pq.write_table(table.select(schema.names), temporary, compression="zstd")


def read_rows(path: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Reads a Parquet file.

    Raises:
      DataError: the file cannot be read, or is not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading(path):
        open(path, "rb").close()  # where the system refuses, in its words
    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read(columns=columns).to_pylist()
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:  # ValueError: text that is not UTF-8
        raise DataError(f"cannot read {path} as Parquet: {str(error)[:300]}") from error
    return rows
