"""Search: UCT by hand, and what must hold of any tree whatever the policy and the settings."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math import steps
from rstar_math.config import SearchSettings
from rstar_math.engines.base import Score
from rstar_math.engines.fake import FakePolicy, FakeRewardModel
from rstar_math.errors import ConfigError, ContextLengthError
from rstar_math.search.expansion import with_prior
from rstar_math.search.mcts import mcts, uct
from rstar_math.tree import Node, Tree
from rstar_math.types import Problem
from tests.growing import at, fake_environment, grow_fake, grow_script, path_of, timeless_row

# ---------------------------------------------------------------------------------------------------------------- UCT


@pytest.mark.parametrize(
    ("visit_count", "value_sum", "parent_visits", "exploration", "expected"),
    [
        (1, 1.0, 2, 2.0, 1.0 + 2.0 * 0.8325546),  # sqrt(ln 2) = 0.8325546
        (4, 1.0, 16, 2.0, 0.25 + 2.0 * 0.8325546),  # ln 16 / 4 = ln 2
        (3, -3.0, 7, 1.4, -1.0 + 1.4 * 0.8053799),  # sqrt(ln 7 / 3) = 0.8053799
        (5, 2.0, 100, 0.0, 0.4),
        (1, 0.5, 1, 2.0, 0.5),  # ln 1 = 0
        (1, 0.5, 0, 2.0, 0.5),  # a root that starts at N = 0, its children at N = 1
    ],
)
def test_uct_by_hand(
    visit_count: int, value_sum: float, parent_visits: int, exploration: float, expected: float
) -> None:
    child = Node(1, 0, 1, None, visit_count=visit_count, value_sum=value_sum)
    assert uct(child, parent_visits, SearchSettings(exploration=exploration)) == pytest.approx(expected, abs=1e-6)


def test_uct_of_an_unvisited_child() -> None:
    child = Node(1, 0, 1, None)
    assert uct(child, 9, SearchSettings()) == math.inf
    assert uct(child, 9, SearchSettings(unvisited="zero_bonus")) == 0.0


EIGHT = list("abcdefgh")
WRONG = {"": EIGHT, "*": [f"c{i}." for i in range(8)], "*/*": [f"={i}" for i in range(10, 18)]}


@pytest.mark.parametrize(("unvisited", "visits"), [("first", [2] * 8), ("zero_bonus", [8, 8, 0, 0, 0, 0, 0, 0])])
def test_how_sixteen_failing_rollouts_spread(unvisited: str, visits: list[int]) -> None:
    # zero_bonus: with Q = -1, N(root) <= 16 and N <= 8, Q + 2 sqrt(ln N(root) / N) > 0 for the two that are visited
    tree = grow_script(WRONG, {"num_rollouts": 16, "unvisited": unvisited})
    assert [at(tree, name).visit_count for name in EIGHT] == visits


@pytest.mark.parametrize(
    ("unvisited", "visits"), [("first", [3, 2, 2, 2, 2, 2, 2, 1]), ("zero_bonus", [15, 1] + [0] * 6)]
)
def test_how_one_success_pins_the_search(unvisited: str, visits: list[int]) -> None:
    # first: rollout 9 prefers a (Q = 1), 10 too (0 + 2 sqrt(ln 9 / 2) = 2.10 against -1 + 2 sqrt(ln 9) = 1.96), then
    # Q(a) = -1/3, and 11 to 16 go to b ... g. zero_bonus: only a is visited, Q = -1 + 2/k after k rollouts; UCT(a)
    # falls below the 0 of b at k = 15
    script = {**WRONG, "a/c0.": ["=7", "=8", "=9", "=10", "=11", "=12", "=13", "=14"]}
    tree = grow_script(script, {"num_rollouts": 16, "unvisited": unvisited})
    assert tree.nodes[tree.rollouts[0]].correct
    assert sum(at(tree, name).visit_count for name in EIGHT) == 16
    assert [at(tree, name).visit_count for name in EIGHT] == visits


def test_prior_by_hand() -> None:
    assert with_prior(0.3, 0.25, 0.0) == 0.3
    assert with_prior(0.3, 1.0, 0.2) == pytest.approx(0.3)
    # atanh 0.5 = 0.549306, 0.2 ln 0.5 = -0.138629, tanh 0.410677 = 0.389047
    assert with_prior(0.5, 0.5, 0.2) == pytest.approx(0.389047, abs=1e-6)
    assert -1 < with_prior(-1.0, 1 / 64, 0.2) < -0.99  # a saturated score stays finite
    assert 0.99 < with_prior(1.0, 1 / 64, 0.2) < 1


# ---------------------------------------------------------------------------------------------------------- properties

policies = st.builds(
    FakePolicy,
    num_branches=st.integers(1, 5),
    num_answers=st.integers(1, 3),
    min_steps=st.integers(1, 2),
    max_steps=st.sampled_from([2, 4, None]),
    close_rate=st.sampled_from([0.0, 0.3, 0.8]),
    error_rate=st.sampled_from([0.0, 0.3, 0.9]),
    malformed_rate=st.sampled_from([0.0, 0.2, 0.9]),
)
searches = st.builds(
    SearchSettings,
    num_rollouts=st.integers(1, 12),
    num_candidates=st.integers(1, 5),
    num_answer_candidates=st.sampled_from([None, 1, 3]),
    exploration=st.sampled_from([0.0, 1.4, 2.0]),
    max_depth=st.integers(1, 5),
    unvisited=st.sampled_from(["first", "zero_bonus"]),
    use_ppm=st.booleans(),
    terminal_value=st.sampled_from(["reference", "ppm"]),
    failure_value=st.sampled_from([-1, 0]),
    backup_dead_ends=st.booleans(),
    answer_siblings=st.sampled_from(["keep", "drop"]),
    max_consecutive_errors=st.sampled_from([0, 0, 1]),
    prior_weight=st.sampled_from([0.0, 0.2]),
)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(policies, searches, st.integers(0, 1000))
def test_any_tree(policy: FakePolicy, search: SearchSettings, seed: int) -> None:
    tree = grow_fake("mcts", search, policy, seed=seed)
    check_shape(tree)
    check_visits(tree, search)
    check_closing(tree)
    check_continuations(tree, search)
    check_scores(tree, search)


def check_shape(tree: Tree) -> None:
    """A flat list, the root first, children behind their parents, each child once."""
    assert [node.index for node in tree.nodes] == list(range(len(tree.nodes)))
    assert (tree.root.parent, tree.root.depth, tree.root.step) == (-1, 0, None)
    for node in tree.nodes[1:]:
        assert node.parent < node.index
        assert node.depth == tree.nodes[node.parent].depth + 1
    links = [(node.index, child) for node in tree.nodes for child in node.children]
    assert sorted(links, key=lambda link: link[1]) == [(node.parent, node.index) for node in tree.nodes[1:]]
    for node in tree.nodes:
        texts = [child.step.text for i in node.children if (child := tree.nodes[i]).step is not None]
        assert len(texts) == len(node.children)
        assert len(set(texts)) == len(texts)


def check_visits(tree: Tree, search: SearchSettings) -> None:
    """N is the initial visit, if any, and the rollouts that passed; the value sum is what they brought."""
    passed, brought = Counter[int](), defaultdict[int, float](float)
    for index in tree.rollouts:
        end = tree.nodes[index]
        value: float = search.failure_value
        if end.terminal == "answer" and search.terminal_value == "reference":
            value = 1.0 if end.correct else search.failure_value
        elif end.terminal == "answer" and end.step and end.step.answer is not None:
            assert end.ppm_score is not None
            value = end.ppm_score
        alone = end.terminal != "answer" and not search.backup_dead_ends
        for node in [end] if alone else [tree.root, *tree.path(end)]:
            passed[node.index] += 1
            brought[node.index] += value
    for node in tree.nodes:
        first = 0
        if search.use_ppm and node.ppm_score is not None:
            first = 1
            share = node.num_proposed / sum(tree.nodes[i].num_proposed for i in tree.nodes[node.parent].children)
            brought[node.index] += with_prior(node.ppm_score, share, search.prior_weight)
        assert node.visit_count == passed[node.index] + first
        assert node.value_sum == pytest.approx(brought[node.index])
        assert -1 <= node.q_value <= 1
    assert len(set(tree.rollouts)) == len(tree.rollouts) <= search.num_rollouts


def check_closing(tree: Tree) -> None:
    """Closed are the ends of rollouts, and nodes all of whose children are closed; a closed root leaves nothing."""
    for node in tree.nodes:
        below = tree.children(node)
        ended = node.index in tree.rollouts
        assert node.closed == (ended or (node.expanded and bool(below) and all(c.closed for c in below)))
    assert tree.stopped == ("closed" if tree.root.closed else "rollouts")
    if tree.root.closed:
        assert all(n.closed for n in tree.nodes if n.rejected is None and all(p.rejected is None for p in tree.path(n)))


def check_continuations(tree: Tree, search: SearchSettings) -> None:
    """Only what executes is continued; rejected candidates are not even visited; rollouts end at terminal nodes."""
    for node in tree.nodes:
        if node.rejected is not None:
            assert not node.expanded
            assert not node.children
            assert node.visit_count == 0
            assert not node.closed
        if node.terminal is not None:
            assert not tree.children(node)
        if node.terminal == "dead_end":
            assert node.expanded
        if node.depth >= search.max_depth and node.rejected is None:
            assert node.terminal in ("answer", "depth_limit")
        if node.step is None or node.rejected is not None:
            continue
        if node.step.execution is None:
            assert node.terminal == "answer"
            assert node.step.text.endswith(steps.END_OF_ANSWER)
        elif not node.step.execution.ok:
            assert search.max_consecutive_errors > 0
    assert all(tree.nodes[i].terminal is not None for i in tree.rollouts)
    for trajectory in tree.trajectories():
        failed = [s.execution is not None and not s.execution.ok for s in trajectory.steps]
        runs = "".join("x" if f else "." for f in failed)
        assert "x" * (search.max_consecutive_errors + 1) not in runs


def check_scores(tree: Tree, search: SearchSettings) -> None:
    """With a PPM every candidate that can be continued has a score; without one, none has. Grades follow the values."""
    scored = search.use_ppm or search.terminal_value == "ppm"
    for node in tree.nodes[1:]:
        if node.rejected is None:
            assert (node.ppm_score is not None) == scored
        graded = node.index in tree.rollouts and node.terminal == "answer" and search.terminal_value == "reference"
        assert (node.correct is not None) == graded
        if graded and node.step:
            assert node.correct == (node.step.answer == "1")


def test_the_properties_are_not_empty() -> None:
    trees = [grow_fake("mcts", SearchSettings(use_ppm=bool(i % 2)), problem_id=str(i)) for i in range(20)]
    ends = Counter(tree.nodes[i].terminal for tree in trees for i in tree.rollouts)
    assert ends["answer"] > 50
    assert ends["dead_end"] >= 1
    assert any(node.rejected for tree in trees for node in tree.nodes)
    assert any(node.num_proposed > 1 for tree in trees for node in tree.nodes)
    assert any(tree.solved for tree in trees)


# ------------------------------------------------------------------------------------------------ what cannot be done


def test_a_search_by_reference_needs_one() -> None:
    env = fake_environment(Problem("mine", "How many?"), policy=FakePolicy(error_rate=0, malformed_rate=0))
    with pytest.raises(ConfigError, match="problem mine has no reference answer; search it with terminal_value: ppm"):
        asyncio.run(mcts(env, SearchSettings(use_ppm=False)))


def test_a_search_with_a_ppm_needs_one() -> None:
    with pytest.raises(ConfigError, match="needs a reward model"):
        grow_script({"": ["a"]}, {"use_ppm": True}, scores=None)


@pytest.mark.parametrize("name", ["mcts", "sample", "greedy"])
def test_a_prompt_beyond_the_context_is_a_dead_end(name: str) -> None:
    tree = grow_fake(name, SearchSettings(use_ppm=False), FakePolicy(context_length=10))
    assert tree.root.terminal == "dead_end"
    assert not tree.trajectories()
    assert len(tree.nodes) == 1


def test_a_prefix_beyond_the_context_is_a_dead_end() -> None:
    tree = grow_fake("mcts", SearchSettings(use_ppm=False), FakePolicy(context_length=60, min_steps=4, error_rate=0))
    ends = [tree.nodes[i] for i in tree.rollouts]
    assert [end for end in ends if end.terminal == "dead_end" and not end.children]
    assert all(end.visit_count == 1 and end.value_sum == -1 for end in ends if end.terminal == "dead_end")


class _ShortRewardModel(FakeRewardModel):
    """Refuses texts that say "way 1"."""

    async def score(self, texts: Sequence[str]) -> list[Score]:
        if any("way 1" in text for text in texts):
            raise ContextLengthError("too long")
        return await super().score(texts)


def test_candidates_beyond_the_context_of_the_reward_model_are_rejected() -> None:
    problem = Problem("p", "Question?", "1")
    policy = FakePolicy(error_rate=0, malformed_rate=0)
    env = fake_environment(problem, policy=policy, reward_model=_ShortRewardModel())
    tree = asyncio.run(mcts(env, SearchSettings()))
    refused = [n for n in tree.nodes[1:] if n.step and "way 1" in n.step.text]
    assert refused
    assert all(n.rejected == "longer than the reward model's context" and not n.visit_count for n in refused)
    assert tree.trajectories()
    assert all(n.ppm_score is not None for n in tree.nodes[1:] if n.rejected is None)


def test_parallel_descents_go_different_ways() -> None:
    script = {"": ["a.", "b.", "c.", "d."], "*": ["=7", "=8"]}
    scores = {"a.": 0.8, "b.": 0.79, "c.": -0.9, "d.": -0.9}
    tree = grow_script(script, {"num_rollouts": 2, "num_parallel": 2, "exploration": 0.1}, scores=scores)
    first_steps = [path_of(tree, tree.nodes[i]).split("/")[0] for i in tree.rollouts]
    assert first_steps == ["a.", "b."]  # one lost visit puts a. behind b., but not behind c.
    assert sum(n.visit_count for n in tree.children(tree.root)) == 4 + 2  # the lost visits are taken back


def test_parallel_descents_never_meet_at_a_leaf() -> None:
    script = {"": ["a."], "a.": ["=7", "=8", "=9"]}
    tree = grow_script(script, {"num_rollouts": 8, "num_candidates": 3, "num_parallel": 8}, reference="7")
    assert sorted(tree.rollouts) == [2, 3, 4]  # three leaves for eight descents, each visited once
    assert tree.stopped == "closed"
    assert (tree.root.visit_count, tree.root.value_sum) == (3, -1.0)


def test_one_descent_at_a_time_is_the_paper_s_search() -> None:
    search = SearchSettings(num_rollouts=12, num_candidates=4)
    alone = grow_fake("mcts", search)
    many = grow_fake("mcts", search.model_copy(update={"num_parallel": 4}))
    assert len(alone.rollouts) == len(many.rollouts) == 12
    assert timeless_row(alone) != timeless_row(many)  # virtual losses change where the second descent goes
