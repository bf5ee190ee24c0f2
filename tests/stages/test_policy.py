"""Which trajectories the policy of a round is trained on."""

from __future__ import annotations

from rstar_math.config import SelectionSettings
from rstar_math.stages.policy import by_problem, sft_rows
from rstar_math.stages.select import Verified, select
from rstar_math.types import Problem
from tests.stages.answered import answered

HARD = Problem(id="hard", question="What is 2 ** 10?", answer="1024")
EASY = Problem(id="easy", question="What is 1 + 1?", answer="2")


def test_sft_takes_the_latest_round_that_solved_a_problem() -> None:
    def found(problem: Problem, seed: int) -> dict[str, list[Verified]]:
        return dict(select([answered(problem, seed, [problem.answer or ""])], SelectionSettings(), None).trajectories)

    first = found(EASY, 1) | found(HARD, 1)
    second = found(HARD, 2)
    third = found(EASY, 3)
    assert [tree for _, _, tree in sft_rows(third, [first, second])] == ["easy@3", "hard@2"]
    assert [tree for _, _, tree in sft_rows(third, [])] == ["easy@3"]


def test_rows_are_grouped_by_problem_in_their_order() -> None:
    trees = [answered(EASY, 1, ["2", "2"]), answered(HARD, 1, ["1024"])]
    found = select(trees, SelectionSettings(num_trajectories=2), None)
    assert by_problem(found.rows()) == found.trajectories
    assert [len(rows) for rows in found.trajectories.values()] == [2, 1]
