"""Problems are grouped, searched and sorted as by hand."""

from __future__ import annotations

import pytest

from rstar_math.types import Problem
from rstar_math.view.index import SCHEMA, TreeIndex
from rstar_math.view.problems import SORTS, Problems, Query
from tests.view.made import small_tree, write_trees

COWS = Problem("a-1", "How many COWS are there?", "42", "gsm")
SHEEP = Problem("b-2", "How many sheep? [a*(", "7", "math")
BARE = Problem("c-3", "An open question", None, None)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Problems:
    folder = tmp_path_factory.mktemp("grouped")
    trees = [
        small_tree(COWS, 0),
        small_tree(SHEEP, 0, ("8", "9", "9", "9")),
        small_tree(COWS, 1, ("41", "41")),
        small_tree(BARE, 0, ()),
    ]
    index = TreeIndex(write_trees(folder / "trees", trees), folder / "cache")
    index.refresh()
    return Problems(index.table, ["b-2"])


def ids(problems: Problems, **query: object) -> list[str]:
    return [row["problem"] for row in problems.query(Query(**query)).rows]  # type: ignore[arg-type]


def test_a_problem_sums_up_its_trees(grouped: Problems) -> None:
    rows = {row["problem"]: row for row in grouped.query(Query()).rows}
    cows = rows["a-1"]
    assert (cows["num_trees"], cows["num_solved"], cows["num_rollouts"], cows["num_correct"]) == (2, 1, 5, 2)
    assert cows["share_correct"] == pytest.approx(0.4)
    assert cows["disagreement"] == pytest.approx(2 / 5)  # 42, 41, 42 and 41, 41: three of five agree
    assert rows["b-2"]["disagreement"] == pytest.approx(1 / 4)
    assert rows["c-3"]["disagreement"] is None
    assert rows["c-3"]["share_correct"] is None
    assert [rows[i]["suspect"] for i in ("a-1", "b-2", "c-3")] == [False, True, False]


def test_filters(grouped: Problems) -> None:
    assert ids(grouped, solved="yes") == ["a-1"]
    assert ids(grouped, solved="no") == ["b-2", "c-3"]
    assert ids(grouped, tier="math") == ["b-2"]
    assert ids(grouped, suspect=True) == ["b-2"]
    assert ids(grouped, tier="math", solved="yes") == []
    assert grouped.query(Query()).tiers == ["gsm", "math"]


def test_words_stand_in_questions_ids_references_and_answers_and_are_no_patterns(grouped: Problems) -> None:
    assert ids(grouped, text="cows many") == ["a-1"]
    assert ids(grouped, text="[a*(") == ["b-2"]
    assert ids(grouped, text="C-3") == ["c-3"]
    assert ids(grouped, text="41") == ["a-1"]
    assert ids(grouped, text="many") == ["a-1", "b-2"]
    assert ids(grouped, text="horses") == []


def test_order_and_pages(grouped: Problems) -> None:
    assert ids(grouped, descending=True) == ["c-3", "b-2", "a-1"]
    assert ids(grouped, sort="num_rollouts") == ["c-3", "b-2", "a-1"]
    assert ids(grouped, sort="disagreement", descending=True) == ["a-1", "b-2", "c-3"]  # nothing known comes last
    found = grouped.query(Query(sort="num_rollouts", descending=True, offset=1, limit=1))
    assert ([row["problem"] for row in found.rows], found.num_found, found.num_all) == (["b-2"], 3, 3)
    for sort in SORTS:
        assert len(ids(grouped, sort=sort)) == 3


def test_no_trees_are_no_problems() -> None:
    found = Problems(SCHEMA.empty_table()).query(Query(text="x", sort="tokens"))
    assert (found.num_all, found.num_found, found.rows) == (0, 0, [])
