"""perf/first_round.py: a search of several trees beside as many samples as its tokens are worth."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from rstar_math.tree import Tree
from rstar_math.types import Problem, Step
from tests.scripts import ROOT, loaded_script


@pytest.fixture(scope="module")
def first_round() -> Iterator[ModuleType]:
    with loaded_script(ROOT / "perf" / "first_round.py") as module:
        yield module


def tree(problem: int, ends: list[tuple[str, bool]], seed: int = 0) -> Tree:
    """A tree whose rollouts are single steps of ten tokens."""
    found = Tree.start(Problem(f"{problem}", "How many?", "6"), "mcts", seed)
    for text, right in ends:
        node = found.add(found.root, Step(text))
        node.correct, node.num_tokens, node.terminal = right, 10, "answer"
        found.rollouts.append(node.index)
    found.cost.tokens_generated = 10 * len(ends)
    return found


def test_trees_of_a_problem_count_together(first_round: ModuleType) -> None:
    searched = [
        [tree(0, [("a", False)]), tree(0, [("b", True)], 1)],
        [tree(1, [("a", False)]), tree(1, [("a", False)], 1)],
    ]
    sampled = [tree(k, [("a", True), ("b", False), ("c", False), ("d", False)]) for k in range(2)]
    row = first_round.table_row(searched, sampled)
    assert (row["tokens"], row["samples"], row["solved %"]) == (20, 2, 50)
    assert row["difference"] == pytest.approx(0), "two of four samples find the right one half of the time"
    assert (row["first steps"], row["passed %"], row["rollouts"]) == (1.5, 100, 2)


def test_no_worse_is_shown_where_a_point_is_ruled_out(first_round: ModuleType) -> None:
    right, wrong = [("a", True)], [("a", False)]
    sampled = [tree(k, right if k % 2 else wrong) for k in range(200)]
    level = first_round.table_row([[tree(k, right if k % 2 else wrong)] for k in range(200)], sampled)
    assert level["difference"] == 0
    assert level["no worse p"] < 0.05
    worse = first_round.table_row([[tree(k, right if k % 8 == 1 else wrong)] for k in range(200)], sampled)
    assert worse["no worse p"] == 1
    assert worse["high"] < 0
