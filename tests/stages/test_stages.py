"""Selection over many trees: what is kept, what is dropped and counted, which references are suspected."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rstar_math.config import SelectionSettings
from rstar_math.execution.fake import FakeExecutor
from rstar_math.stages.stages import Verified, pair_length_accuracy, pair_logprob_accuracy, select, sft_rows
from rstar_math.store.records import TreeStore
from rstar_math.tree import Tree
from rstar_math.types import Execution, PreferencePair, Problem, Step


def answered(problem: Problem, seed: int, answers: list[str]) -> Tree:
    """A tree whose rollouts gave these answers, each by a path of its own."""
    tree = Tree.start(problem, "mcts", seed)
    for i, text in enumerate(answers):
        code = f"x = {i}\nprint({text})"
        first = tree.add(tree.root, Step(f"\n{code}\n<end_of_code>", code, f"\n<output>{text}<end_of_output>", None))
        first.step = Step(first.step.text, code, first.step.observation, Execution("ok", f"{text}\n"))  # type: ignore[union-attr]
        end = tree.add(first, Step(f"\n<answer>\\boxed{{{text}}}<end_of_answer>", answer=text))
        end.terminal, end.correct = "answer", text == problem.answer
        for node in (tree.root, first, end):
            node.visit_count += 1
            node.value_sum += 1.0 if end.correct else -1.0
        tree.rollouts.append(end.index)
    return tree


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
    rstar = Path(sys.executable).with_name("rstar")
    done = subprocess.run(
        [rstar, "select", tmp_path / "trees", "--out", tmp_path / "out"], capture_output=True, text=True
    )
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


class Forgetful(FakeExecutor):
    """Prints something else in a fresh process for the first program, and the same as before for the others."""

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        return [Execution("ok", "something else" if code.startswith("x = 0") else "2\n") for code in steps]


def test_what_a_fresh_execution_does_not_reproduce_is_dropped_and_counted() -> None:
    selected = select([answered(EASY, 0, ["2", "2"])], SelectionSettings(), Forgetful())
    assert selected.num_not_reproduced == 1
    assert [t.steps[0].code for _, t, _ in selected.rows()] == ["x = 1\nprint(2)"]


def test_sft_takes_the_latest_round_that_solved_a_problem() -> None:
    def found(problem: Problem, seed: int) -> dict[str, list[Verified]]:
        return dict(select([answered(problem, seed, [problem.answer or ""])], SelectionSettings(), None).trajectories)

    first = found(EASY, 1) | found(HARD, 1)
    second = found(HARD, 2)
    third = found(EASY, 3)
    assert [tree for _, _, tree in sft_rows(third, [first, second])] == ["easy@3", "hard@2"]
    assert [tree for _, _, tree in sft_rows(third, [])] == ["easy@3"]


def test_the_rule_that_the_shorter_step_is_better() -> None:
    def pair(chosen: str, rejected: str) -> PreferencePair:
        return PreferencePair("p", "", chosen, rejected, 1.0, -1.0, 1.0, "step", "p@0", 0, 1, 1)

    assert pair_length_accuracy([pair("a", "bb"), pair("aa", "b"), pair("a", "b"), pair("", "b")]) == 0.625
    assert pair_length_accuracy([]) is None


def test_the_rule_that_the_more_probable_side_is_better() -> None:
    def pair(chosen: tuple[float, int] | None, rejected: tuple[float, int] | None) -> PreferencePair:
        (a, b), (c, d) = chosen or (None, None), rejected or (None, None)
        plain = PreferencePair("p", "", "a", "b", 1.0, -1.0, 1.0, "step", "p@0", 0, 1, 1)
        return replace(plain, chosen_logprob=a, chosen_num_tokens=b, rejected_logprob=c, rejected_num_tokens=d)

    # the longer side is less probable as a whole, and more probable token by token
    long_and_sure, short, same = pair((-4.0, 40), (-2.0, 4)), pair((-1.0, 2), (-2.0, 8)), pair((-1.0, 2), (-1.0, 2))
    assert pair_logprob_accuracy([long_and_sure], per_token=False) == 0.0
    assert pair_logprob_accuracy([long_and_sure], per_token=True) == 1.0
    pairs = [long_and_sure, short, same, pair(None, None), pair((-1.0, 2), None)]  # the last two carry too little
    assert pair_logprob_accuracy(pairs, per_token=False) == pytest.approx(1.5 / 3)
    assert pair_logprob_accuracy(pairs, per_token=True) == pytest.approx(1.5 / 3)
    assert pair_logprob_accuracy([pair(None, None)], per_token=False) is None
    assert pair_logprob_accuracy([], per_token=True) is None
