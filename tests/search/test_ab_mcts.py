"""Adaptive branching: beliefs by hand, and what must hold of any tree."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.config import BudgetSettings, SearchSettings
from rstar_math.engines.fake import FakePolicy
from rstar_math.errors import ConfigError
from rstar_math.search.ab_mcts import Belief, belief, choose, drawn_values
from rstar_math.search.budget import Budget
from rstar_math.search.expansion import num_drawn
from rstar_math.search.strategies import strategy
from rstar_math.tree import Tree
from rstar_math.types import Problem
from tests.growing import at, build_tree, fake_environment, grow_fake, grow_script, path_of, timeless_row
from tests.search.test_mcts import check_continuations, check_scores, check_shape, check_visits, policies

# ------------------------------------------------------------------------------------------------------------- beliefs


def test_beliefs_by_hand() -> None:
    search = SearchSettings(thompson_count=1.0, thompson_spread=0.5)
    assert belief([], search) == Belief(mean=0.0, count=1.0, freedom=1.0, variance=0.25)
    # mean 1 * 0.8 / 2; scale: 0.25 of the prior, no scatter, 1 * 1 / 2 * 0.8^2 for how far it is off, by 2
    one = belief([0.8], search)
    assert (one.count, one.freedom) == (2.0, 2.0)
    assert one.mean == pytest.approx(0.4)
    assert one.variance == pytest.approx((0.25 + 0.32) / 2)
    # average 0.4, squares 0.04 + 0.04; 0.25 + 0.08 + 1 * 2 / 3 * 0.16, by 3
    two = belief([0.2, 0.6], search)
    assert two.mean == pytest.approx(0.8 / 3)
    assert two.variance == pytest.approx((0.33 + 0.32 / 3) / 3)
    # a prior that weighs four values: (0.2 + 0.6) / 6; 4 * 0.25 + 0.08 + 4 * 2 / 6 * 0.16, by 6
    firm = belief([0.2, 0.6], search.model_copy(update={"thompson_count": 4.0}))
    assert firm.mean == pytest.approx(0.8 / 6)
    assert firm.count == 6.0
    assert firm.variance == pytest.approx((1.08 + 8 / 6 * 0.16) / 6)


def test_beliefs_narrow_around_what_was_seen() -> None:
    search = SearchSettings()
    rng = random.Random(0)
    spreads = []
    for n in (1, 10, 100):
        drawn = [belief([0.5] * n, search).sample(rng) for _ in range(4000)]
        assert statistics.median(drawn) == pytest.approx(0.5 * n / (n + 1), abs=0.02)
        spreads.append(statistics.quantiles(drawn, n=4)[2] - statistics.quantiles(drawn, n=4)[0])
    assert spreads[0] > 2 * spreads[1] > 4 * spreads[2]


def test_samples_are_student_s_t() -> None:
    # the mean of a normal of unknown variance is t distributed: freedom 3, scale sqrt(0.27 / 3) = 0.3, so that a
    # quarter of the draws lie beyond 0.2 + 0.764892 * 0.3
    rng = random.Random(1)
    some = Belief(mean=0.2, count=3.0, freedom=3.0, variance=0.27)
    drawn = sorted(some.sample(rng) for _ in range(40_000))
    assert drawn[20_000] == pytest.approx(0.2, abs=0.01)
    assert drawn[30_000] == pytest.approx(0.2 + 0.764892 * 0.3, abs=0.01)
    assert drawn[10_000] == pytest.approx(0.2 - 0.764892 * 0.3, abs=0.01)


# ------------------------------------------------------------------------------------------------------------- choices


def _node_with(scores: dict[str, float]) -> Tree:
    tree = build_tree(dict.fromkeys(scores, (1, 0.0)))
    for name, score in scores.items():
        at(tree, name).ppm_score = score
    return tree


def _counts(tree: Tree, passed: dict[str, list[float]], *, may_widen: bool = True) -> Counter[str]:
    rng, search = random.Random(2), SearchSettings()
    by_index = defaultdict[int, list[float]](list)
    by_index |= {node.index: passed.get(path_of(tree, node), []) for node in tree.nodes[1:]}
    free = tree.children(tree.root)
    chosen = [choose(rng, tree, tree.root, free, by_index, search, may_widen=may_widen) for _ in range(2000)]
    return Counter("wider" if node is None else path_of(tree, node) for node in chosen)


def test_one_child_is_worth_as_much_as_another_like_it() -> None:
    counts = _counts(_node_with({"a": 0.7}), {})
    assert counts["wider"] == pytest.approx(1000, abs=100)  # the same single value is known of both


def test_it_goes_deeper_where_a_child_is_good_and_wider_where_all_are_bad() -> None:
    tree = _node_with({"a": 0.9, "b": -0.9})
    good = _counts(tree, {"a": [0.9] * 6})
    assert good["a"] > 5 * good["wider"] > 0
    bad = _counts(_node_with({"a": 0.5, "b": 0.5}), {"a": [-1.0] * 6, "b": [-1.0] * 6})
    assert bad["wider"] > 1900
    assert set(_counts(tree, {}, may_widen=False)) == {"a", "b"}


def test_what_is_known_of_a_candidate_to_be_drawn() -> None:
    script = {"": ["a", "b!", "a", "c?"], "*": ["d."], "*/*": ["=7"]}
    tree = grow_script(script, {"num_rollouts": 1, "num_widen": 4}, scores={"a": 0.5}, strategy_name="ab_mcts")
    assert drawn_values(tree, tree.root, SearchSettings()) == [0.5, 0.5, -1.0, -1.0]


# --------------------------------------------------------------------------------------------------------------- trees


def test_rollouts_end_when_everything_is_drawn_and_visited() -> None:
    script = {"": ["a.", "b."], "a.": ["=7", "=8"], "b.": ["=9"]}
    tree = grow_script(script, {"num_rollouts": 50, "num_candidates": 2, "num_widen": 2}, scores={}, reference="7",
                       strategy_name="ab_mcts")  # fmt: skip
    assert tree.stopped == "closed"
    assert sorted(path_of(tree, tree.nodes[i]) for i in tree.rollouts) == ["a./=7", "a./=8", "b./=9"]
    assert all(node.closed for node in tree.nodes)
    assert [num_drawn(tree, node) for node in (tree.root, at(tree, "a."), at(tree, "b."))] == [2, 2, 2]
    # +1 and -1 for a., -1 for b., on top of the first value, 0
    assert [(n.visit_count, n.value_sum) for n in tree.children(tree.root)] == [(3, 0.0), (2, -1.0)]
    assert (tree.root.visit_count, tree.root.value_sum) == (3, -1.0)


def test_a_last_candidate_that_is_not_new_closes_a_node_without_a_rollout() -> None:
    # one draw at a time, always the same text: after its only answer has been visited nothing is left
    tree = grow_script({"": ["a."], "a.": ["=7"]}, {"num_candidates": 3, "num_rollouts": 9}, scores={},
                       strategy_name="ab_mcts")  # fmt: skip
    assert tree.stopped == "closed"
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["a./=7"]
    assert num_drawn(tree, tree.root) == 3


def test_the_prior_follows_what_is_drawn_later() -> None:
    script = {"": ["a.", "b.", "a."], "a.": ["=7"], "b.": ["=8"]}
    search = {"num_candidates": 3, "num_widen": 3, "prior_weight": 1.0, "num_rollouts": 1}
    tree = grow_script(script, search, scores={"a.": 0.5, "b.": 0.5}, strategy_name="ab_mcts")
    a, b = at(tree, "a."), at(tree, "b.")
    # tanh(atanh 0.5 + ln 2/3) = 0.142857, tanh(atanh 0.5 + ln 1/3) = -0.5
    first = {a.index: 1 / 7, b.index: -0.5}
    for node in (a, b):
        passed = 1.0 if node.visit_count == 2 and node is a else -1.0 if node.visit_count == 2 else 0.0
        assert node.value_sum == pytest.approx(first[node.index] + passed)


def test_dead_ends_and_empty_contexts() -> None:
    tree = grow_script({"": ["a!", "b?"]}, {"num_rollouts": 9, "num_candidates": 4}, scores={}, strategy_name="ab_mcts")
    assert (tree.rollouts, tree.root.terminal, tree.root.value_sum) == ([0], "dead_end", -1.0)
    assert num_drawn(tree, tree.root) == 4
    full = grow_fake("ab_mcts", SearchSettings(), FakePolicy(context_length=10))
    assert (full.rollouts, full.root.terminal, len(full.nodes)) == ([0], "dead_end", 1)


searches = st.builds(
    SearchSettings,
    num_rollouts=st.integers(1, 12),
    num_candidates=st.integers(1, 5),
    num_answer_candidates=st.sampled_from([None, 1, 3]),
    max_depth=st.integers(1, 5),
    terminal_value=st.sampled_from(["reference", "ppm"]),
    failure_value=st.sampled_from([-1, 0]),
    backup_dead_ends=st.booleans(),
    max_consecutive_errors=st.sampled_from([0, 0, 1]),
    prior_weight=st.sampled_from([0.0, 0.2]),
    num_parallel=st.sampled_from([1, 1, 3]),
    num_widen=st.sampled_from([1, 2, 7]),
    thompson_count=st.sampled_from([0.1, 1.0]),
    thompson_spread=st.sampled_from([0.01, 0.3]),
)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(policies, searches, st.integers(0, 1000))
def test_any_tree(policy: FakePolicy, search: SearchSettings, seed: int) -> None:
    tree = grow_fake("ab_mcts", search, policy, seed=seed)
    check_shape(tree)
    check_visits(tree, search)
    check_continuations(tree, search)
    check_scores(tree, search)
    for node in tree.nodes:
        most = search.num_candidates
        if search.num_answer_candidates and any("<end_of_code>" in step.text for step in tree.steps(node)):
            most = search.num_answer_candidates
        assert num_drawn(tree, node) <= most
        done = node.expanded and num_drawn(tree, node) == most and all(c.closed for c in tree.children(node))
        visited = node.index in tree.rollouts
        assert node.closed == (visited or (done and node.terminal is None))
    assert tree.stopped == ("closed" if tree.root.closed else "rollouts")
    assert len(tree.rollouts) == search.num_rollouts or tree.root.closed


def test_a_seed_decides() -> None:
    search = SearchSettings(num_rollouts=8, num_candidates=6)
    assert timeless_row(grow_fake("ab_mcts", search)) == timeless_row(grow_fake("ab_mcts", search))
    assert timeless_row(grow_fake("ab_mcts", search)) != timeless_row(grow_fake("ab_mcts", search, seed=1))


def test_it_branches_unevenly() -> None:
    search = SearchSettings(num_rollouts=24, num_candidates=12)
    trees = [grow_fake("ab_mcts", search, FakePolicy(num_branches=9), problem_id=str(i)) for i in range(6)]
    drawn = Counter(num_drawn(tree, node) for tree in trees for node in tree.nodes if node.expanded)
    assert len(drawn) > 4
    assert max(drawn) > 2 * min(drawn)


@pytest.mark.parametrize(
    ("limits", "most"),
    [(BudgetSettings(rollouts=3), 3), (BudgetSettings(tokens=200), None), (BudgetSettings(tokens=1), 0)],
)
def test_budgets_end_it_and_what_was_found_stands(limits: BudgetSettings, most: int | None) -> None:
    env = fake_environment(Problem("p", "Question?", "1"), policy=FakePolicy(error_rate=0, malformed_rate=0))
    env.budget = Budget(limits)
    tree = asyncio.run(strategy("ab_mcts").grow(env, SearchSettings(num_rollouts=500, num_candidates=40)))
    assert tree.stopped == "budget"
    if most is not None:
        assert len(tree.rollouts) == most
    else:
        assert tree.trajectories()
        longest = max(node.num_tokens for node in tree.nodes)
        assert limits.tokens is not None
        assert limits.tokens - longest <= tree.cost.tokens_generated <= limits.tokens + longest


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"use_ppm": False}, "needs use_ppm: true"),
        ({"answer_siblings": "drop"}, "needs answer_siblings: keep"),
        ({"terminal_nodes": "revisit"}, "needs terminal_nodes: close"),
    ],
)
def test_settings_that_make_no_sense(search: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grow_script({"": ["a"]}, search, scores={}, strategy_name="ab_mcts")
