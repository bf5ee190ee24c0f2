"""Trees, trajectories and pairs survive their files; the tree store survives being killed at any byte."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rstar_math.config import SearchSettings, SelectionSettings
from rstar_math.engines.fake import FakePolicy
from rstar_math.errors import DataError, DiskFullError
from rstar_math.selection.select import preference_pairs
from rstar_math.store import records
from rstar_math.store.records import (
    TreeStore,
    read_pairs,
    read_solved,
    read_trajectories,
    read_trees,
    row_to_tree,
    tree_to_row,
    write_pairs,
    write_rows,
    write_trajectories,
)
from rstar_math.store.schemas import tree_schema
from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem
from tests.growing import grow_fake, grow_script

SEARCH = SearchSettings(num_rollouts=4, num_candidates=4)
ODD = "a\u2028b\u0085c\x0bd\x00e\r\n\ud7ff\U0001f600\t{}"
"""Characters at which careless readers end a line."""


def grown(number: int) -> Tree:
    return grow_fake("mcts", SEARCH, problem_id=f"p{number}")


def small(number: int) -> Tree:
    """A tree of a few nodes, with odd text."""
    tree = grow_script({"": ["a.", "b!"], "a.": ["=7"]}, {"num_rollouts": 1})
    tree.problem = Problem(f"p{number}", ODD, "7", tier="gsm")
    return tree


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill does not need the disk, and many small files would wait for it."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


# --------------------------------------------------------------------------------------------------------- round trips


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.sampled_from(["mcts", "sample", "greedy"]),
    st.integers(0, 10**6),
    st.booleans(),
    st.text(max_size=20),
    st.sampled_from(["1", None]),
)
def test_a_tree_survives_its_row(name: str, seed: int, use_ppm: bool, question: str, tier: str | None) -> None:
    search = SearchSettings(num_rollouts=5, num_candidates=3, use_ppm=use_ppm, max_consecutive_errors=seed % 2)
    tree = grow_fake(name, search, FakePolicy(error_rate=0.3), seed=seed)
    tree.problem = replace(tree.problem, question=question, tier=tier)
    assert row_to_tree(tree_to_row(tree)) == tree
    assert row_to_tree(json.loads(json.dumps(tree_to_row(tree), ensure_ascii=False))) == tree


def test_trees_survive_parquet(tmp_path: Path) -> None:
    trees = [grow_fake(n, SEARCH, problem_id=f"p{i}") for i in range(4) for n in ("mcts", "sample", "greedy")]
    plain = SearchSettings(num_rollouts=3, use_ppm=False)
    trees += [small(99), grow_script({"": ["a!"]}, {}), grow_fake("mcts", plain, FakePolicy(context_length=1))]
    for number, some in enumerate((trees, trees[-1:], trees[-2:])):  # also parts in which a column holds only nulls
        path = tmp_path / f"{number}.parquet"
        write_rows(path, [tree_to_row(t) for t in some], tree_schema())
        assert pq.read_schema(path).equals(tree_schema())
        assert list(read_trees(path)) == some


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.jsonl"])
def test_pairs_survive_their_file(tmp_path: Path, name: str) -> None:
    trees = [grow_fake("mcts", SearchSettings(num_rollouts=12, use_ppm=False), problem_id=str(i)) for i in range(8)]
    pairs = [p for tree in trees for p in preference_pairs([tree], SelectionSettings())]
    assert {p.kind for p in pairs} == {"step", "answer"}
    pairs.append(replace(pairs[0], prefix=ODD))
    write_pairs(tmp_path / name, pairs)
    assert read_pairs(tmp_path / name) == pairs
    write_pairs(tmp_path / name, [])
    assert read_pairs(tmp_path / name) == []


@pytest.mark.parametrize("name", ["trajectories.parquet", "trajectories.jsonl"])
@pytest.mark.parametrize("use_ppm", [True, False])
def test_trajectories_survive_their_file(tmp_path: Path, name: str, use_ppm: bool) -> None:
    trees = [grow_fake("mcts", SearchSettings(num_rollouts=6, use_ppm=use_ppm), problem_id=str(i)) for i in range(4)]
    rows = [
        (Problem(t.problem.id, ODD, tier="gsm"), trajectory, t.id) for t in trees for trajectory in t.trajectories()
    ]
    assert len(rows) > 4
    write_trajectories(tmp_path / name, rows)
    assert read_trajectories(tmp_path / name) == rows
    write_trajectories(tmp_path / name, [])
    assert read_trajectories(tmp_path / name) == []


def test_solved_problems_are_read_without_their_trajectories(tmp_path: Path) -> None:
    path = tmp_path / "trajectories.parquet"
    trees = [grow_fake("mcts", SearchSettings(num_rollouts=6, use_ppm=False), problem_id=str(i)) for i in range(4)]
    write_trajectories(path, [(t.problem, trajectory, t.id) for t in trees for trajectory in t.trajectories()])
    assert read_solved(path) == {p.id for p, _, _ in read_trajectories(path)}
    write_trajectories(path, [])
    assert read_solved(path) == set()
    for rows in ([{"problem": 7}], [{"question": "?"}]):
        write_rows(path, rows)
        with pytest.raises(DataError, match="holds no trajectories"):
            read_solved(path)


# --------------------------------------------------------------------------------------------------------- bad files


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no trees in .*: expected files part-\*\.parquet"):
        list(read_trees(tmp_path))
    rows = tmp_path / "part-00000.parquet"
    write_rows(rows, [{"a": 1}])
    with pytest.raises(DataError, match=r"part-00000\.parquet holds no trees"):
        list(read_trees(tmp_path))
    with pytest.raises(DataError, match="holds no preference pairs"):
        read_pairs(rows)
    with pytest.raises(DataError, match="holds no trajectories"):
        read_trajectories(rows)
    text = tmp_path / "text.parquet"
    text.write_text("not Parquet")
    for read in (read_pairs, read_trajectories, lambda p: list(read_trees(p))):
        with pytest.raises(DataError, match=r"cannot read .*text\.parquet as Parquet"):
            read(text)
        with pytest.raises(DataError, match="cannot read"):
            read(tmp_path / "nowhere.parquet")
    lines = tmp_path / "pairs.jsonl"
    lines.write_text('\n{"problem\n')
    with pytest.raises(DataError, match=r"pairs\.jsonl, line 2"):
        read_pairs(lines)


def test_trees_of_a_later_format_are_refused() -> None:
    with pytest.raises(DataError, match="trees of format 2 cannot be read; this version reads format 1"):
        row_to_tree({**tree_to_row(small(0)), "format": 2})


def test_a_full_disk_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    pairs = preference_pairs([grown(3)], SelectionSettings())
    path = tmp_path / "pairs.parquet"
    write_pairs(path, pairs)

    def full(table: object, where: Path, **rest: object) -> None:
        where.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(DiskFullError, match=r"writing .*pairs\.parquet"):
        write_pairs(path, [])
    monkeypatch.undo()
    assert read_pairs(path) == pairs
    assert [p.name for p in tmp_path.iterdir()] == ["pairs.parquet"]


# --------------------------------------------------------------------------------------------------------- tree store


def _contents(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_stage_from_beginning_to_end(tmp_path: Path, no_fsync: None) -> None:
    trees = [grown(i) for i in range(7)]
    with TreeStore(tmp_path, trees_per_part=3) as store:
        for number, tree in enumerate(trees, start=1):
            store.append(tree)
            assert list(store) == trees[:number]
        assert _contents(tmp_path) == ["journal.jsonl", "part-00000.parquet", "part-00001.parquet"]
        assert len((tmp_path / "journal.jsonl").read_bytes().splitlines()) == 1
    assert _contents(tmp_path) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert list(read_trees(tmp_path)) == trees
    with TreeStore(tmp_path) as again:
        assert again.done == {t.id for t in trees}
        assert list(again) == trees
    assert list(read_trees(tmp_path)) == trees


def test_a_tree_is_stored_once(tmp_path: Path, no_fsync: None) -> None:
    with TreeStore(tmp_path, trees_per_part=2) as store:
        for number in (0, 0, 1, 0, 1, 2, 2):
            store.append(small(number))
        store.append(replace(small(2), seed=1))  # another search of the same problem
    assert [t.id for t in read_trees(tmp_path)] == ["p0@0", "p1@0", "p2@0", "p2@1"]


def test_a_stage_that_failed_goes_on(tmp_path: Path, no_fsync: None) -> None:
    def fail() -> None:
        with TreeStore(tmp_path, trees_per_part=2) as store:
            for number in range(3):
                store.append(small(number))
            raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError):
        fail()
    assert _contents(tmp_path) == ["journal.jsonl", "part-00000.parquet"]
    assert [t.id for t in read_trees(tmp_path)] == ["p0@0", "p1@0", "p2@0"]  # also before it goes on
    with TreeStore(tmp_path, trees_per_part=2) as store:
        assert store.done == {"p0@0", "p1@0", "p2@0"}
        store.append(small(3))
    assert [t.id for t in read_trees(tmp_path)] == ["p0@0", "p1@0", "p2@0", "p3@0"]


def test_killed_at_any_byte_of_the_journal(tmp_path: Path, no_fsync: None) -> None:
    """Whatever was journalled whole is there again, the rest is not, and the stage goes on from there."""
    trees = [small(number) for number in range(3)]
    original = TreeStore(tmp_path / "whole", trees_per_part=99)
    for tree in trees:
        original.append(tree)
    journal = (tmp_path / "whole" / "journal.jsonl").read_bytes()
    original._journal.close()
    ends = [i for i, byte in enumerate(journal) if byte == ord("\n")]
    assert len(ends) == 3
    near = {c for end in ends for c in range(end - 3, end + 4)}
    cuts = sorted(c for c in near | set(range(0, len(journal), 61)) if c <= len(journal))
    for cut in cuts:
        folder = tmp_path / "cut"
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(journal[:cut])
        kept = sum(cut >= end for end in ends)
        store = TreeStore(folder, trees_per_part=99)
        assert list(store) == trees[:kept], cut
        for tree in trees:
            store.append(tree)
        store._journal.close()
        again = TreeStore(folder, trees_per_part=99)
        assert list(again) == trees
        again._journal.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize("moment", ["before the part", "half a part", "between part and journal", "half a journal"])
def test_killed_while_a_part_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_fsync: None, moment: str
) -> None:
    class Killed(BaseException):
        pass

    folder, disk = tmp_path / "trees", tmp_path / "disk"
    store = TreeStore(folder, trees_per_part=3)
    store.append(small(0))
    store.append(small(1))
    replace_file = os.replace

    def kill(source: Path, target: Path) -> None:
        """SIGKILL runs no handler: what lies on the disk at that moment is what the next process finds."""
        part = target.name.startswith("part-")
        if moment in ("half a part", "half a journal") and part == (moment == "half a part"):
            source.write_bytes(source.read_bytes()[:10])
        if part == (moment in ("before the part", "half a part")):
            shutil.copytree(folder, disk)
            raise Killed
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(Killed):
        store.append(small(2))
    monkeypatch.setattr(os, "replace", replace_file)
    assert any(p.name.endswith(".tmp") for p in disk.iterdir())
    assert [t.id for t in read_trees(disk)] == ["p0@0", "p1@0", "p2@0"]
    with TreeStore(disk, trees_per_part=3) as again:
        assert [t.id for t in again] == ["p0@0", "p1@0", "p2@0"]
        for number in range(5):
            again.append(small(number))
    assert [t.id for t in read_trees(disk)] == [f"p{i}@0" for i in range(5)]
    assert not [name for name in _contents(disk) if not name.startswith("part-")]


def test_a_full_disk_loses_no_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_fsync: None) -> None:
    store = TreeStore(tmp_path, trees_per_part=2)
    store.append(small(0))

    def full(path: Path, rows: object, schema: object = None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "_write_lines", full)
    with pytest.raises(OSError, match="No space left"):
        store.append(small(1))
    monkeypatch.undo()
    with TreeStore(tmp_path, trees_per_part=2) as again:
        assert [t.id for t in again] == ["p0@0", "p1@0"]
    assert [t.id for t in read_trees(tmp_path)] == ["p0@0", "p1@0"]


def test_a_missing_part_is_not_written_over(tmp_path: Path, no_fsync: None) -> None:
    with TreeStore(tmp_path, trees_per_part=1) as store:
        for number in range(3):
            store.append(small(number))
    (tmp_path / "part-00001.parquet").unlink()
    with TreeStore(tmp_path, trees_per_part=1) as store:
        assert store.done == {"p0@0", "p2@0"}
        store.append(small(1))
    assert [t.id for t in read_trees(tmp_path)] == ["p0@0", "p2@0", "p1@0"]


@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12), st.integers(1, 4))
def test_any_history_of_kills(
    tmp_path_factory: pytest.TempPathFactory, no_fsync: None, history: list[tuple[int, bool]], trees_per_part: int
) -> None:
    """Each entry stores a tree; where it says so, the process dies after it and another begins."""
    folder = tmp_path_factory.mktemp("store")
    store = TreeStore(folder, trees_per_part)
    for number, killed in history:
        store.append(small(number))
        if killed:
            store._journal.close()
            store = TreeStore(folder, trees_per_part)
    store.close()
    expected = list(dict.fromkeys(f"p{number}@0" for number, _ in history))
    assert [t.id for t in TreeStore(folder, trees_per_part)] == expected


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01 10:00:00", "\0\x1b\u2028", "\U0001f600", "1.0", "null", ""])
def test_a_part_holds_what_its_rows_hold_whatever_they_look_like(tmp_path: Path, text: str) -> None:
    tree = grow_fake("mcts", SearchSettings(num_rollouts=3, num_candidates=3, use_ppm=False))
    step = next(node.step for node in tree.nodes if node.step)
    tree.nodes[1].step = replace(step, text=text, code=text, execution=Execution("error", text, text, 1e-320))
    for value in (0.1 + 0.2, -0.0, float("nan"), 1e308):
        folder = tmp_path / str(value)
        tree.nodes[1].value_sum = value
        with TreeStore(folder) as store:
            store.append(tree)
        write_rows(tmp_path / "rows.parquet", [tree_to_row(tree)], tree_schema())
        assert (folder / "part-00000.parquet").read_bytes() == (tmp_path / "rows.parquet").read_bytes()
