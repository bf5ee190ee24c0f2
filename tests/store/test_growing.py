"""Trees are told while they grow, to whoever looks, and to nobody else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rstar_math.store.growing import WATCHED, Growing, GrowingTrees, watch
from rstar_math.store.records import LIVE_FOLDER, TreeStore, row_to_tree, tree_to_row
from rstar_math.tree import Tree
from tests.view.made import code_step, problems, small_tree


def told(growing: Growing) -> dict[str, Tree]:
    growing.refresh()
    return {tree_id: row_to_tree(row) for tree_id, row in growing.trees.items()}


def look(growing: GrowingTrees) -> None:
    """The next call looks whether somebody watches, and tells at once."""
    growing._next_look = 0.0
    for known in growing._told.values():
        known.not_before = 0.0


def test_nothing_is_written_while_nobody_looks(tmp_path: Path) -> None:
    GrowingTrees(tmp_path)(small_tree(problems(1)[0]))
    assert not list(tmp_path.iterdir())


def test_what_is_told_is_the_tree_as_it_is(tmp_path: Path) -> None:
    writer, reader = GrowingTrees(tmp_path), Growing(tmp_path)
    tree = small_tree(problems(1)[0])
    tree.stopped, tree.cost.tokens_generated = "", 0
    watch(tmp_path)
    writer(tree)
    assert tree_to_row(told(reader)[tree.id]) == tree_to_row(tree)
    tree.add(tree.nodes[1], code_step("z = 1", "late\n"))
    tree.nodes[1].visit_count += 1
    tree.nodes[1].value_sum -= 1
    tree.nodes[3].terminal, tree.nodes[2].rejected = None, None
    tree.rollouts.append(4)
    look(writer)
    writer(tree)
    assert tree_to_row(told(reader)[tree.id]) == tree_to_row(tree)
    assert tree_to_row(told(Growing(tmp_path))[tree.id]) == tree_to_row(tree)  # who comes later is told the same


def test_a_tree_that_has_ended_goes_when_it_has_had_time_to_become_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = GrowingTrees(tmp_path), Growing(tmp_path)
    tree = small_tree(problems(1)[0])
    watch(tmp_path)
    writer(tree)
    writer.ended(tree.id)
    assert tree.id in told(reader)
    now = time.monotonic()
    monkeypatch.setattr("rstar_math.store.growing.time.monotonic", lambda: now + 6)
    assert not told(reader)


def test_when_nobody_looks_any_more_the_file_goes_and_who_comes_back_is_told_all(tmp_path: Path) -> None:
    writer, reader = GrowingTrees(tmp_path), Growing(tmp_path)
    tree = small_tree(problems(1)[0])
    watch(tmp_path)
    writer(tree)
    long_ago = time.time() - 60
    os.utime(tmp_path / LIVE_FOLDER / WATCHED, (long_ago, long_ago))
    look(writer)
    writer(tree)
    assert [p.name for p in (tmp_path / LIVE_FOLDER).iterdir()] == [WATCHED]
    assert not told(reader)
    watch(tmp_path)
    look(writer)
    writer(tree)
    assert len(told(reader)[tree.id].nodes) == len(tree.nodes)


def test_files_of_dead_processes_and_damaged_lines_are_left_out(tmp_path: Path) -> None:
    watch(tmp_path)
    writer = GrowingTrees(tmp_path)
    writer(small_tree(problems(1)[0]))
    (path,) = (tmp_path / LIVE_FOLDER).glob("*.jsonl")
    with open(path, "ab") as file:
        file.write(b'nonsense\n{"tree": "p-000@0", "since": 2}\n{"tree": 7}\n[]\n{"half')
    dead = path.with_name(f"{path.name.partition('-')[0]}-999999999.jsonl")
    dead.write_bytes(path.read_bytes().replace(b"p-000", b"p-999"))
    assert list(told(Growing(tmp_path))) == ["p-000@0"]
    assert not dead.exists()


def test_a_large_tree_is_told_now_and_then_so_that_telling_costs_little(tmp_path: Path) -> None:
    watch(tmp_path)
    writer = GrowingTrees(tmp_path)
    tree = small_tree(problems(1)[0])
    writer(tree)
    began = time.monotonic()
    assert writer._told[tree.id].not_before > began - 1
    size = sum(p.stat().st_size for p in (tmp_path / LIVE_FOLDER).iterdir())
    writer._told[tree.id].not_before = began + 100
    writer(tree)
    assert sum(p.stat().st_size for p in (tmp_path / LIVE_FOLDER).iterdir()) == size


def test_whole_trees_leave_nothing_of_it(tmp_path: Path) -> None:
    with TreeStore(tmp_path) as store:
        watch(tmp_path)
        GrowingTrees(tmp_path)(small_tree(problems(1)[0]))
        store.append(small_tree(problems(1)[0]))
    assert [p.name for p in tmp_path.iterdir()] == ["part-00000.parquet"]
