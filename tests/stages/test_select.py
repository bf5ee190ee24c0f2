"""Selection over many trees: what is kept, what is dropped and counted, which references are suspected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from rstar_math.config import SelectionSettings
from rstar_math.execution.fake import FakeExecutor
from rstar_math.stages.select import every_pair, select
from rstar_math.store.records import TreeStore
from rstar_math.types import Execution, Problem
from tests import warm
from tests.growing import grow_script
from tests.stages.answered import answered

PLANTED = Problem(id="planted", question="What is 6 * 7?", answer="43")
HARD = Problem(id="hard", question="What is 2 ** 10?", answer="1024")
EASY = Problem(id="easy", question="What is 1 + 1?", answer="2")
TREES = [
    answered(PLANTED, 0, ["42", "42", "42"]),
    answered(PLANTED, 1, ["42", "42", "41"]),
    answered(HARD, 0, ["20", "12", "1024", "100"]),
    answered(EASY, 0, ["2", "2", "2", "3"]),
]


def test_planted_wrong_references_are_found() -> None:
    selected = select(TREES, SelectionSettings(), None, lambda a, b: a == b)
    assert [(s.problem, s.answer, s.num_agreeing, s.num_trajectories) for s in selected.suspects] == [
        ("planted", "42", 5, 6)
    ]
    assert select(TREES, SelectionSettings(), None).suspects == []


def test_select_names_them(tmp_path: Path) -> None:
    with TreeStore(tmp_path / "trees") as store:
        for tree in TREES:
            store.append(tree)
    done = warm.run("select", tmp_path / "trees", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "probably a wrong reference: planted: '43', but 5 of 6 trajectories say '42'" in done.stdout
    assert [s["problem"] for s in json.loads((tmp_path / "out" / "suspect-references.json").read_text())] == ["planted"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["num_suspect_references"] == 1


def test_trees_of_one_problem_share_its_trajectories() -> None:
    twice = [answered(EASY, 0, ["2", "2", "2"]), answered(EASY, 1, ["2", "5"])]
    selected = select(twice, SelectionSettings(num_trajectories=2), None)
    assert selected.solved == {"easy"}
    assert len(selected.trajectories["easy"]) == 2
    assert selected.num_trees == 2
    texts = ["".join(s.text for s in t.steps) for _, t, _ in selected.rows()]
    assert len(set(texts)) == 2


def test_trees_of_one_problem_share_its_answer_pairs() -> None:
    trees = [answered(EASY, 0, ["2", "3"]), answered(HARD, 0, ["1024", "7"]), answered(EASY, 1, ["2", "4", "2"])]
    pairs = select(trees, SelectionSettings(), None).pairs
    assert pairs == select(trees[::-1], SelectionSettings(), None).pairs  # in any order of the trees
    answers = [p for p in pairs if p.kind == "answer"]
    # easy: two right of three (the first of both trees is the same solution), two wrong of two
    assert [(p.problem, p.weight) for p in answers] == [("easy", 0.25)] * 4 + [("hard", 1.0)]
    assert {(p.tree, p.rejected_tree) for p in answers[:4]} == {
        ("easy@0", None),
        ("easy@0", "easy@1"),
        ("easy@1", None),
        ("easy@1", "easy@0"),
    }
    kinds = [(p.kind, p.tree if p.kind == "step" else p.problem) for p in pairs]
    steps_of = [("step", "easy@0"), ("step", "easy@1"), ("step", "easy@1")]
    assert kinds == [*steps_of, *[("answer", "easy")] * 4, ("step", "hard@0"), ("answer", "hard")]


def test_pairs_and_trajectories_have_the_values_that_the_settings_name() -> None:
    tree = grow_script(
        {"": ["a.", "b."], "a.": ["=7", "=7", "=8"], "b.": ["=8"]}, {"num_candidates": 3, "num_rollouts": 9}
    )
    found = {values: select([tree], SelectionSettings(values=values), None) for values in ("backed_up", "expected")}
    steps = {values: [p for p in each.pairs if p.kind == "step"] for values, each in found.items()}
    assert {values: [(p.chosen_q, p.rejected_q) for p in pairs] for values, pairs in steps.items()} == {
        "backed_up": [(0, -1)],  # of two rollouts one is right
        "expected": [(pytest.approx(1 / 3), -1)],  # of three answers that the policy proposed two
    }
    (row,) = found["expected"].rows()
    assert row[1].q_values == pytest.approx((1 / 3, 1.0))


def test_every_pair_passes_rules_without_filters() -> None:
    strict = SelectionSettings(num_per_side=1, min_q_margin=2.0, min_edit_distance=1_000)
    assert select(TREES, strict, None).pairs == []
    unfiltered = SelectionSettings(num_per_side=1, min_q_margin=0.0, min_edit_distance=0)
    assert select(TREES, every_pair(strict), None).pairs == select(TREES, unfiltered, None).pairs != []


class Forgetful(FakeExecutor):
    """Prints something else in a fresh process for the first program, and the same as before for the others."""

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        return [Execution("ok", "something else" if code.startswith("x = 0") else "2\n") for code in steps]


def test_what_a_fresh_execution_does_not_reproduce_is_dropped_and_counted() -> None:
    selected = select([answered(EASY, 0, ["2", "2"])], SelectionSettings(), Forgetful())
    assert selected.num_not_reproduced == 1
    assert [t.steps[0].code for _, t, _ in selected.rows()] == ["x = 1\nprint(2)"]
