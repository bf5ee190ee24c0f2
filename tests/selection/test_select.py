"""Selection: the best verified trajectories, and pairs of steps and of whole trajectories, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math import steps
from rstar_math.config import SearchSettings, SelectionSettings
from rstar_math.engines.fake import FakePolicy
from rstar_math.selection.select import (
    AnswerPairs,
    answer_pairs,
    edit_distance,
    preference_pairs,
    step_pairs,
    top_trajectories,
)
from rstar_math.tree import Tree
from rstar_math.types import PreferencePair, Problem
from tests.growing import build_tree as build
from tests.growing import grow_fake, grow_script, label_of

PAPER = SelectionSettings()


def named(pairs: list[PreferencePair]) -> list[tuple[str, str]]:
    return [(label_of(p.chosen), label_of(p.rejected)) for p in pairs]


# --------------------------------------------------------------------------------------------------------- trajectories


def test_the_two_with_the_highest_mean_q() -> None:
    tree = build(
        {
            "a.": (4, 2.0),
            "a./=7": (1, 1.0),  # mean 0.75
            "b.": (2, 0.5),
            "b./=7": (1, 1.0),  # mean 0.625
            "c.": (1, 1.0),
            "c./=7": (1, 1.0),  # mean 1
            "d.": (1, 1.0),
            "d./=8": (1, 1.0),  # wrong
        },
        {"a./=7": True, "b./=7": True, "c./=7": True, "d./=8": False},
    )
    kept = top_trajectories(tree, 2)
    assert [label_of(t.steps[0].text) for t in kept] == ["c.", "a."]
    assert [label_of(t.steps[0].text) for t in top_trajectories(tree, 9)] == ["c.", "a.", "b."]


def test_a_tie_goes_to_the_highest_minimum() -> None:
    tree = build(
        {
            "a": (1, 0.0),
            "a/b.": (1, 1.0),
            "a/b./=7": (1, 1.0),  # 0, 1, 1
            "c": (2, 1.0),
            "c/d.": (2, 1.0),
            "c/d./=7": (1, 1.0),  # 0.5, 0.5, 1
            "e": (2, 1.0),
            "e/f.": (2, 1.0),
            "e/f./=7": (1, 1.0),  # the same, found later
        },
        {"a/b./=7": True, "c/d./=7": True, "e/f./=7": True},
    )
    assert [label_of(t.steps[0].text) for t in top_trajectories(tree, 3)] == ["c", "e", "a"]


def test_a_trajectory_with_a_failed_step_is_not_kept() -> None:
    tree = grow_script(
        {"": ["a!", "b."], "a!": ["c."], "b.": ["=7"], "a!/c.": ["=7"]},
        {"num_rollouts": 9, "max_consecutive_errors": 1},
    )
    assert len([t for t in tree.trajectories() if t.correct]) == 2
    assert [[label_of(s.text) for s in t.steps] for t in top_trajectories(tree)] == [["b.", "=7"]]


def test_equal_samples_are_kept_once() -> None:
    tree = grow_fake("sample", SearchSettings(num_rollouts=40, use_ppm=False), FakePolicy(num_branches=2, max_steps=1))
    right = ["".join(s.text for s in t.steps) for t in tree.trajectories() if t.correct]
    assert len(set(right)) < len(right)
    assert len(top_trajectories(tree, 99)) == len(set(right))


# --------------------------------------------------------------------------------------------------------- step pairs

SIX = {
    "a.": (4, 3.0),
    "a./=7": (1, 1.0),  # 0.75
    "b.": (4, 2.0),
    "b./=7": (1, 1.0),  # 0.5
    "c.": (4, 1.0),
    "c./=7": (1, 1.0),  # 0.25
    "d.": (4, -1.0),
    "d./=8": (1, -1.0),  # -0.25
    "e.": (4, -4.0),
    "e./=8": (1, -1.0),  # -1
    "f.": (4, -2.0),
    "f./=8": (1, -1.0),  # -0.5
}
GRADES = {path: path.endswith("7") for path in SIX if "/" in path}


def test_two_best_over_two_worst() -> None:
    tree = build(SIX, GRADES)
    pairs = step_pairs(tree, PAPER)
    assert named(pairs) == [("a.", "e."), ("a.", "f."), ("b.", "e."), ("b.", "f.")]
    assert [(p.chosen_q, p.rejected_q) for p in pairs] == [(0.75, -1.0), (0.75, -0.5), (0.5, -1.0), (0.5, -0.5)]
    for pair in pairs:
        assert (pair.weight, pair.num_chosen, pair.num_rejected) == (0.25, 2, 2)
        assert (pair.problem, pair.tree, pair.node, pair.kind) == ("p", "p@5", 0, "step")
        assert pair.prefix == steps.prompt("Q?")
        assert pair.chosen.startswith("\n# ")


def test_pairs_share_the_prefix_of_their_node() -> None:
    script = {"": ["a"], "a": ["b.", "c."], "a/b.": ["=7"], "a/c.": ["=8"]}
    tree = grow_script(script, {"num_rollouts": 9, "num_candidates": 2})
    (pair,) = step_pairs(tree, PAPER)
    assert pair.prefix == steps.prompt("A scripted question?") + "\n# a\n<end_of_step>"
    assert pair.chosen == "\n# b.\nprint(1)\n<end_of_code>\n<output>1<end_of_output>"  # with what it printed
    assert pair.node == 1
    assert pair.weight == 1.0


def test_a_step_that_leads_to_both_is_a_positive() -> None:
    tree = build(
        {
            "a": (2, 0.0),
            "a/c.": (1, 1.0),
            "a/c./=7": (1, 1.0),
            "a/d.": (1, -1.0),
            "a/d./=8": (1, -1.0),
            "b": (1, -1.0),
            "b/e.": (1, -1.0),
            "b/e./=8": (1, -1.0),
        },
        {"a/c./=7": True, "a/d./=8": False, "b/e./=8": False},
    )
    assert named(step_pairs(tree, PAPER)) == [("a", "b"), ("c.", "d.")]


def test_the_chosen_side_has_the_higher_q() -> None:
    shape = {
        "a.": (4, -2.0),
        "a./=7": (1, 1.0),
        "b.": (4, -2.0),
        "b./=8": (1, -1.0),
        "c.": (4, 1.0),
        "c./=8": (1, -1.0),
    }
    tree = build(shape, {"a./=7": True, "b./=8": False, "c./=8": False})
    assert step_pairs(tree, PAPER) == []  # equal for b., lower than c.


def test_failed_unvisited_and_answer_steps_are_in_no_step_pair() -> None:
    script = {"": ["a!", "b.", "c.", "d?"], "b.": ["=7", "=8"], "c.": ["=8"], "a!": ["e."], "a!/e.": ["=9"]}
    tree = grow_script(script, {"num_rollouts": 20, "num_candidates": 4})
    assert named(step_pairs(tree, PAPER)) == [("b.", "c.")]
    # a! is continued here and leads to a wrong answer, but a step that failed proves nothing about its reasoning
    tree = grow_script(script, {"num_rollouts": 20, "num_candidates": 4, "max_consecutive_errors": 1})
    assert any(label_of(t.steps[0].text) == "a!" for t in tree.trajectories())
    assert named(step_pairs(tree, PAPER)) == [("b.", "c.")]
    assert all("!" not in label_of(p.chosen) + label_of(p.rejected) for p in answer_pairs([tree], PAPER))


def test_dead_ends_lead_to_no_answer() -> None:
    tree = grow_script({"": ["a", "b."], "a": ["x!"], "b.": ["=7"]}, {"num_rollouts": 9})
    assert tree.rollouts
    assert step_pairs(tree, PAPER) == []


def test_margin_counts_what_is_left() -> None:
    tree = build(SIX, GRADES)
    # margins: a-e 1.75, a-f 1.25, b-e 1.5, b-f 1.0
    pairs = step_pairs(tree, SelectionSettings(min_q_margin=1.25))
    assert named(pairs) == [("a.", "e."), ("a.", "f."), ("b.", "e.")]
    assert [p.weight for p in pairs] == pytest.approx([1 / 3] * 3)
    assert [(p.num_chosen, p.num_rejected) for p in pairs] == [(2, 2)] * 3
    assert named(step_pairs(tree, SelectionSettings(min_q_margin=1.6))) == [("a.", "e.")]
    assert step_pairs(tree, SelectionSettings(min_q_margin=2.0)) == []


def test_edit_distance_filters_near_copies() -> None:
    tree = build(SIX, GRADES)
    assert edit_distance("\n# a.\nprint(1)\n<end_of_code>", "\n# e.\nprint(1)\n<end_of_code>") == 1
    assert len(step_pairs(tree, SelectionSettings(min_edit_distance=1))) == 4
    assert step_pairs(tree, SelectionSettings(min_edit_distance=2)) == []


def test_one_sided_nodes_are_filled() -> None:
    shape = {k: v for k, v in SIX.items() if k[0] != "b" and k[0] != "c"}
    shape |= {"g.": (4, -3.0), "g./=8": (1, -1.0), "h.": (4, 0.0), "h./=8": (1, -1.0)}
    tree = build(shape, {path: path.endswith("7") for path in shape if "/" in path})
    assert named(step_pairs(tree, PAPER)) == [("a.", "e."), ("a.", "g.")]
    pairs = step_pairs(tree, SelectionSettings(fill_one_sided=True))
    assert named(pairs) == [("a.", "e."), ("a.", "g."), ("a.", "f."), ("a.", "d.")]
    assert {(p.weight, p.num_chosen, p.num_rejected) for p in pairs} == {(0.25, 1, 4)}
    assert len(step_pairs(build(SIX, GRADES), SelectionSettings(fill_one_sided=True))) == 4


def test_one_negative_is_filled_with_four_positives() -> None:
    shape = {"z.": (1, -1.0), "z./=8": (1, -1.0)}
    for i, name in enumerate("abcde"):
        shape |= {f"{name}.": (10, float(i)), f"{name}./=7": (1, 1.0)}
    tree = build(shape, {path: path.endswith("7") for path in shape if "/" in path})
    pairs = step_pairs(tree, SelectionSettings(fill_one_sided=True))
    assert named(pairs) == [("e.", "z."), ("d.", "z."), ("c.", "z."), ("b.", "z.")]
    assert {(p.num_chosen, p.num_rejected) for p in pairs} == {(4, 1)}


def test_num_per_side() -> None:
    tree = build(SIX, GRADES)
    assert len(step_pairs(tree, SelectionSettings(num_per_side=1))) == 1
    assert len(step_pairs(tree, SelectionSettings(num_per_side=3))) == 9
    assert {p.weight for p in step_pairs(tree, SelectionSettings(num_per_side=3))} == {1 / 9}


# ------------------------------------------------------------------------------------------------------- answer pairs


def test_whole_trajectories_by_mean_q() -> None:
    tree = build(SIX, GRADES)
    pairs = answer_pairs([tree], PAPER)
    # mean Q: a. 0.875, b. 0.75, c. 0.625; d. -0.625, e. -1, f. -0.75
    assert named(pairs) == [("a.", "e."), ("a.", "f."), ("b.", "e."), ("b.", "f.")]
    assert [(p.chosen_q, p.rejected_q) for p in pairs] == [(0.875, -1), (0.875, -0.75), (0.75, -1), (0.75, -0.75)]
    for pair in pairs:
        assert (pair.kind, pair.node, pair.weight) == ("answer", 0, 0.25)
        assert pair.prefix == steps.prompt("Q?")
        assert len(steps.parse(pair.chosen)) == len(steps.parse(pair.rejected)) == 2
        assert pair.chosen.endswith("\\boxed{7}.<end_of_answer>")
        assert pair.rejected.endswith("\\boxed{8}.<end_of_answer>")
    assert preference_pairs([tree], PAPER) == [*step_pairs(tree, PAPER), *pairs]


FIRST = {"a.": (2, 1.0), "a./=7": (1, 1.0), "b.": (2, -1.0), "b./=8": (1, -1.0)}  # mean Q: a. 0.75, b. -0.75
SECOND = {"c.": (1, 1.0), "c./=7": (1, 1.0), "d.": (2, -2.0), "d./=8": (1, -1.0)}  # c. 1, d. -1
THIRD = {"a.": (1, 1.0), "a./=7": (1, 1.0), "e.": (4, 1.0), "e./=8": (1, 0.0)}  # a. 1, e. 0.125


def grades(shape: dict[str, tuple[int, float]]) -> dict[str, bool | None]:
    return {path: path.endswith("7") for path in shape if "/" in path}


def test_whole_trajectories_are_paired_over_all_trees_of_a_problem() -> None:
    trees = [build(shape, grades(shape), seed) for seed, shape in enumerate((FIRST, SECOND))]
    pairs = answer_pairs(trees, PAPER)
    assert named(pairs) == [("c.", "d."), ("c.", "b."), ("a.", "d."), ("a.", "b.")]
    assert [(p.tree, p.rejected_tree) for p in pairs] == [
        ("p@1", None),
        ("p@1", "p@0"),
        ("p@0", "p@1"),
        ("p@0", None),
    ]
    assert {(p.weight, p.num_chosen, p.num_rejected) for p in pairs} == {(0.25, 2, 2)}
    # the pairs of single trees would be twice one by one
    assert [len(answer_pairs([tree], PAPER)) for tree in trees] == [1, 1]
    steps_of_both = [*step_pairs(trees[0], PAPER), *step_pairs(trees[1], PAPER)]
    assert preference_pairs(trees, PAPER) == [*steps_of_both, *pairs]


def test_a_solution_that_two_trees_found_is_one_side() -> None:
    trees = [build(shape, grades(shape), seed) for seed, shape in enumerate((FIRST, SECOND, THIRD))]
    pairs = answer_pairs(trees, PAPER)
    # a. of the third tree (mean Q 1) stands for a. of the first (0.75); e. is not among the two lowest
    assert named(pairs) == [("a.", "d."), ("a.", "b."), ("c.", "d."), ("c.", "b.")]
    assert [(p.chosen_q, p.tree) for p in pairs] == [(1.0, "p@2"), (1.0, "p@2"), (1.0, "p@1"), (1.0, "p@1")]
    assert answer_pairs(trees[::-1], PAPER) == pairs  # in any order


def test_what_cannot_be_in_a_pair_is_not_kept() -> None:
    collected = AnswerPairs(SelectionSettings(fill_one_sided=True))
    for seed in range(3):
        shape = {"z.": (1, -1.0), "z./=8": (1, -1.0)}
        for i in range(10):
            name = f"{'abc'[seed]}{i}."
            shape |= {name: (100, float(10 * i + seed)), f"{name}/=7": (1, 1.0)}
        collected.add(build(shape, grades(shape), seed))
    assert named(collected.pairs()) == [("c9.", "z."), ("b9.", "z."), ("a9.", "z."), ("c8.", "z.")]
    assert len(collected._good) == 4
    other = Tree.start(Problem("q", "Q?", "7"), "mcts", 0)
    with pytest.raises(ValueError, match="a tree of problem q was added to those of p"):
        collected.add(other)


def test_pairs_carry_the_log_probability_of_both_sides() -> None:
    tree = build(SIX, GRADES)
    for node in tree.nodes[1:]:
        node.num_tokens, node.logprob = 10 * node.index, -0.5 * node.index
    first = step_pairs(tree, PAPER)[0]  # a. (node 1) over e. (node 9)
    assert (first.chosen_logprob, first.chosen_num_tokens) == (-0.5, 10)
    assert (first.rejected_logprob, first.rejected_num_tokens) == (-4.5, 90)
    first = answer_pairs([tree], PAPER)[0]  # nodes 1 and 2 over 9 and 10
    assert (first.chosen_logprob, first.chosen_num_tokens) == (-1.5, 30)
    assert (first.rejected_logprob, first.rejected_num_tokens) == (-9.5, 190)


def test_an_engine_without_log_probabilities_leaves_none() -> None:
    tree = build(SIX, GRADES)
    for node in tree.nodes[1:]:
        node.num_tokens = 10
    for pair in preference_pairs([tree], PAPER):
        assert (pair.chosen_logprob, pair.rejected_logprob) == (None, None)
        assert (pair.chosen_num_tokens, pair.rejected_num_tokens) == (None, None)


def test_an_answer_without_a_box_is_a_wrong_one() -> None:
    tree = grow_script({"": ["a."], "a.": ["=7", "="]}, {"num_rollouts": 9, "num_candidates": 2})
    (pair,) = answer_pairs([tree], PAPER)
    assert pair.rejected.endswith("It is unclear.<end_of_answer>")


def test_ungraded_answers_are_in_no_pair() -> None:
    tree = build(SIX, dict.fromkeys(GRADES))
    assert preference_pairs([tree], PAPER) == []
    assert top_trajectories(tree) == []


# --------------------------------------------------------------------------------------------------------- properties


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([0, 1]),
    st.builds(
        SelectionSettings,
        num_per_side=st.integers(1, 3),
        min_q_margin=st.sampled_from([0.0, 0.5, 1.5]),
        fill_one_sided=st.booleans(),
    ),
)
def test_any_pair(seed: int, use_ppm: bool, errors: int, rules: SelectionSettings) -> None:
    search = SearchSettings(num_rollouts=12, num_candidates=5, use_ppm=use_ppm, max_consecutive_errors=errors)
    tree = grow_fake("mcts", search, FakePolicy(error_rate=0.3, slip_rate=0.4), seed=seed)
    pairs = preference_pairs([tree], rules)
    groups: dict[tuple[str, int], list[PreferencePair]] = {}
    for pair in pairs:
        groups.setdefault((pair.kind, pair.node), []).append(pair)
        assert -1 <= pair.rejected_q < pair.chosen_q <= 1
        assert pair.chosen_q - pair.rejected_q >= rules.min_q_margin
        assert pair.prefix == tree.prefix(tree.nodes[pair.node])
        assert pair.chosen != pair.rejected
        failed = [n.step.text for n in tree.nodes[1:] if n.step and n.step.execution and not n.step.execution.ok]
        if pair.kind == "step":
            below = {n.step.text + n.step.observation: n for n in tree.children(tree.nodes[pair.node]) if n.step}
            for text, q in ((pair.chosen, pair.chosen_q), (pair.rejected, pair.rejected_q)):
                assert below[text].q_value == q
                assert below[text].terminal is None
                step = below[text].step
                assert step is not None
                assert step.text not in failed
        else:
            for text in (pair.chosen, pair.rejected):
                assert not any(step.text in failed for step in steps.parse(text))
    for group in groups.values():
        assert sum(pair.weight for pair in group) == pytest.approx(1.0)
        most = 2 * rules.num_per_side if rules.fill_one_sided else rules.num_per_side
        assert len({p.chosen for p in group}) == group[0].num_chosen <= most
        assert len({p.rejected for p in group}) == group[0].num_rejected <= most


def test_the_property_sees_pairs() -> None:
    search = SearchSettings(num_rollouts=12, num_candidates=5, use_ppm=False)
    kinds = [p.kind for seed in range(10) for p in preference_pairs([grow_fake("mcts", search, seed=seed)], PAPER)]
    assert kinds.count("step") > 10
    assert kinds.count("answer") > 10
