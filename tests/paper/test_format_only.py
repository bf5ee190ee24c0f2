"""Wrong trajectories as many and as long as the verified ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.errors import DataError
from rstar_math.paper.format_only import nearest, wrong, wrong_as_verified
from rstar_math.store.records import TreeStore, read_trajectories, write_trajectories
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem, Step


def tree(problem: str, *ends: tuple[str, bool, int], fails: bool = False) -> Tree:
    """Solutions of one step and an answer: the answer, whether it is right, tokens of the step."""
    grown = Tree.start(Problem(problem, "How many?", "6"), "mcts", 0)
    for i, (answer, correct, num_tokens) in enumerate(ends):
        ran = Execution("error" if fails else "ok", "", None, 0.0)
        step = grown.add(grown.root, Step(text=f"x = {i}", code=f"x = {i}", execution=ran))
        step.num_tokens = num_tokens
        end = grown.add(step, Step(text=answer, answer=answer))
        end.terminal, end.correct = "answer", correct
        grown.rollouts.append(end.index)
    return grown


def test_two_wrong_ones_of_each_problem_where_they_suffice() -> None:
    trees = [
        tree("a", ("5", False, 9), ("6", True, 9), ("7", False, 9), ("8", False, 9)),
        tree("b", ("4", False, 9)),
        tree("c", ("4", False, 9), fails=True),
    ]
    assert [(p.id, t.answer) for p, t in wrong(trees, 3)] == [("a", "5"), ("a", "7"), ("b", "4")]
    assert [(p.id, t.answer) for p, t in wrong(reversed(trees), 4)] == [("a", "5"), ("a", "7"), ("a", "8"), ("b", "4")]


def test_each_length_takes_the_nearest_that_is_left() -> None:
    assert nearest([10, 10, 30], [11, 9, 28, 90]) == [1, 0, 2]
    assert nearest([100, 1], [5, 6]) == [1, 0]
    assert nearest([10, 20, 10], [10, 20]) == [0, 1, 0], "all are there again when none is left"
    assert nearest([], []) == []


def test_earlier_rounds_fill_up_what_a_round_lacks(tmp_path: Path) -> None:
    first, second = Round(tmp_path, 1), Round(tmp_path, 2)
    verified = tree("v", ("6", True, 10), ("6.0", True, 20), ("6.00", True, 30))
    for this, trees in (
        (first, [tree("a", ("1", False, 19), ("2", False, 31))]),
        (second, [verified, tree("b", ("3", False, 11))]),
    ):
        with TreeStore(this.trees) as store:
            for each in trees:
                store.append(each)
    write_trajectories(second.trajectories, [(verified.problem, t, verified.id) for t in verified.trajectories()])
    assert [t.num_tokens for _, t, _ in read_trajectories(second.trajectories)] == [10, 20, 30]
    assert [steps[-1].answer for _, steps in wrong_as_verified(second)] == ["3", "1", "2"]


def test_without_a_wrong_answer_there_is_no_such_data(tmp_path: Path) -> None:
    this, verified = Round(tmp_path, 1), tree("v", ("6", True, 10))
    with TreeStore(this.trees) as store:
        store.append(verified)
    write_trajectories(this.trajectories, [(verified.problem, t, verified.id) for t in verified.trajectories()])
    with pytest.raises(DataError, match="no finished trajectory with a wrong answer"):
        wrong_as_verified(this)
