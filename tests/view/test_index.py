"""The index says of each tree what the tree itself says, however it comes to lie on disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rstar_math.errors import DataError
from rstar_math.store.records import TreeStore
from rstar_math.tree import Tree
from rstar_math.view.index import JOURNAL, TreeIndex
from tests.view.made import grown_tree, problems, small_tree, write_trees


def trees_of_all_kinds() -> list[Tree]:
    first, second, third = problems(3)
    never = Tree.start(third, "mcts", 7)
    return [small_tree(first), small_tree(first, 1, ("41",)), grown_tree(300, second, 3), never]


def test_each_row_is_what_its_tree_says(tmp_path: Path) -> None:
    trees = trees_of_all_kinds()
    index = TreeIndex(write_trees(tmp_path / "trees", trees, per_part=3), tmp_path / "cache")
    assert index.refresh()
    rows = index.table.to_pylist()
    assert [row["tree"] for row in rows] == [tree.id for tree in trees]
    for row, tree in zip(rows, trees, strict=True):
        ends = [tree.nodes[i] for i in tree.rollouts]
        said = Counter(n.step.answer for n in ends if n.step and n.step.answer is not None)
        assert dict(zip(row["answers"], row["counts"], strict=True)) == said
        assert row["num_correct"] == sum(bool(n.correct) for n in ends)
        assert (row["num_nodes"], row["num_rollouts"]) == (len(tree.nodes), len(tree.rollouts))
        assert (row["question"], row["reference"]) == (tree.problem.question, tree.problem.answer)
        assert row["tokens"] == tree.cost.tokens_generated


def test_trees_of_a_running_search_come_as_they_are_finished(tmp_path: Path) -> None:
    trees = trees_of_all_kinds()
    index = TreeIndex(tmp_path / "trees", tmp_path / "cache")
    with TreeStore(tmp_path / "trees", trees_per_part=2) as store:
        index = TreeIndex(tmp_path / "trees", tmp_path / "cache")
        for number, tree in enumerate(trees, start=1):
            store.append(tree)
            assert index.refresh()
            assert index.table["tree"].to_pylist() == [t.id for t in trees[:number]]
            row = index.find(tree.id)
            assert row is not None
            table, at = index.rows_of(row)
            assert table["rollouts"][at].as_py() == tree.rollouts
    index.refresh()
    assert not index.refresh()
    assert not (tmp_path / "trees" / JOURNAL).exists()
    assert index.find("nobody@0") is None


def test_a_kept_index_is_used_and_given_up_where_it_is_no_longer_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = [small_tree(p) for p in problems(25)]
    folder = write_trees(tmp_path / "trees", trees, per_part=1)
    first = TreeIndex(folder, tmp_path / "cache")
    first.refresh()
    (tmp_path / "trees" / "part-00024.parquet").unlink()
    write_trees(folder, [small_tree(problems(1)[0], 9)], per_part=1)  # another tree lies there now
    again = TreeIndex(folder, tmp_path / "cache")
    again.refresh()
    assert again.table["tree"].to_pylist() == [*(t.id for t in trees[:24]), "p-000@9"]

    monkeypatch.setattr("rstar_math.view.index._columns", lambda path: pytest.fail("a part was read once more"))
    kept = TreeIndex(folder, tmp_path / "cache")
    kept.refresh()
    assert kept.table.equals(again.table)


def test_a_spoiled_cache_is_made_anew(tmp_path: Path) -> None:
    folder = write_trees(tmp_path / "trees", [small_tree(p) for p in problems(20)], per_part=1)
    TreeIndex(folder, tmp_path / "cache").refresh()
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"nonsense")
    index = TreeIndex(folder, tmp_path / "cache")
    index.refresh()
    assert index.table.num_rows == 20


def test_a_file_of_other_things_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"part-00000\.parquet"):
        TreeIndex(tmp_path, tmp_path / "cache").refresh()


def test_a_rollout_that_ends_nowhere_is_refused(tmp_path: Path) -> None:
    tree = small_tree(problems(1)[0])
    tree.rollouts.append(999)
    folder = write_trees(tmp_path / "trees", [tree])
    with pytest.raises(DataError, match="no trees that can be read"):
        TreeIndex(folder, tmp_path / "cache").refresh()


def test_a_spoiled_line_of_a_journal_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "trees"
    with TreeStore(folder) as store:
        store.append(small_tree(problems(1)[0]))
        with open(folder / JOURNAL, "ab") as journal:
            journal.write(b'{"format": 1, "problem": 3}\nnonsense\n')
        index = TreeIndex(folder, tmp_path / "cache")
        index.refresh()
        assert index.table.num_rows == 1
