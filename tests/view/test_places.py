"""What is found in folders that people name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.errors import DataError
from rstar_math.store.round import Round
from rstar_math.view.places import open_places
from tests.view.made import problems, small_tree, write_trees


def a_run(folder: Path) -> Path:
    this = Round(folder, 1)
    write_trees(this.trees, [small_tree(problems(1)[0])])
    write_trees(this.held_out_trees, [small_tree(problems(1)[0])])
    (folder / "recipe.yaml").write_text("name: made\n")
    this.results("greedy").parent.mkdir(parents=True)
    this.results("greedy").write_text("")
    this.pairs.write_bytes(b"")
    return folder


def test_a_run_has_sets_for_each_round(tmp_path: Path) -> None:
    (place,) = open_places([a_run(tmp_path / "run")])
    assert (place.name, place.kind) == ("run", "run")
    assert list(place.trees) == ["round-1/trees", "round-1/held-out"]
    assert list(place.pairs) == ["round-1/trees"]
    assert list(place.rows) == ["round-1/greedy"]


def test_folders_above_runs_and_the_same_name_twice(tmp_path: Path) -> None:
    a_run(tmp_path / "one" / "seed-1")
    a_run(tmp_path / "two" / "seed-1")
    assert [p.name for p in open_places([tmp_path])] == ["seed-1", "seed-1-2"]


def test_a_folder_of_trees_a_part_and_rows(tmp_path: Path) -> None:
    trees = write_trees(tmp_path / "trees", [small_tree(problems(1)[0])])
    rows = tmp_path / "mcts.jsonl"
    rows.write_text("")
    found = open_places([trees, trees / "part-00000.parquet", rows])
    assert [(p.kind, list(p.trees), list(p.rows)) for p in found] == [
        ("trees", ["trees"], []),
        ("trees", ["trees"], []),
        ("rows", [], ["mcts"]),
    ]


@pytest.mark.parametrize("name", ["", "nothing", "notes.txt"])
def test_what_holds_nothing_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError):
        open_places([tmp_path / name if name else tmp_path / "empty"])
