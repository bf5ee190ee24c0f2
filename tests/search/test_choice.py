"""Choosing an answer: every selector and aggregate by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.config import AggregateName, SelectorName
from rstar_math.search.choice import aggregate, choose, lead_probability, value
from rstar_math.types import Step, Trajectory


def made(answer: str | None, *scores: float) -> Trajectory:
    steps = (Step("s"),) * max(1, len(scores))
    return Trajectory("p", tuple(range(1, len(steps) + 1)), steps, (0.0,) * len(steps), answer, None, scores)


@pytest.mark.parametrize(
    ("how", "expected"), [("last", 0.75), ("mean", 0.5), ("min", 0.25), ("product", 0.25 * 0.5 * 0.75)]
)
def test_aggregates(how: AggregateName, expected: float) -> None:
    assert aggregate([-0.5, 0.0, 0.5], how) == pytest.approx(expected)
    assert aggregate([0.5], how) == pytest.approx(0.75)


# finished trajectories: answer, step scores; classes 0: "1/2" and "0.5", 1: "2"
FOUND = [made("1/2", 0.9, 0.0), made("2", -0.6, 0.6), made("0.5", 0.8, 0.2), made(None, 0.9, 0.95)]
CLASSES = [0, 1, 0, 3]


@pytest.mark.parametrize(
    ("selector", "how", "index", "share"),
    [
        # last: 0.5, 0.8, 0.6
        ("best", "last", 1, 0.8 / 1.9),
        ("vote", "last", 2, 1.1 / 1.9),
        ("majority", "last", 2, 2 / 3),
        # mean: 0.725, 0.5, 0.75
        ("best", "mean", 2, 1.475 / 1.975),
        ("vote", "mean", 2, 1.475 / 1.975),
        # min: 0.5, 0.2, 0.6
        ("best", "min", 2, 1.1 / 1.3),
        # product: 0.475, 0.16, 0.54
        ("vote", "product", 2, 1.015 / 1.175),
        ("majority", "product", 2, 2 / 3),
    ],
)
def test_choices(selector: SelectorName, how: AggregateName, index: int, share: float) -> None:
    choice = choose(FOUND, CLASSES, selector, how)
    assert choice is not None
    assert choice.index == index
    assert choice.share == pytest.approx(share)


@pytest.mark.parametrize("selector", get_args(SelectorName))
def test_no_answer_is_no_choice(selector: SelectorName) -> None:
    assert choose([], [], selector, "last") is None
    assert choose([made(None, 0.9), made(None)], [0, 1], selector, "last") is None


@pytest.mark.parametrize("selector", get_args(SelectorName))
def test_without_scores_the_majority_decides(selector: SelectorName) -> None:
    found = [made("1"), made("2"), made("2"), made(None)]
    choice = choose(found, [0, 1, 1, 3], selector, "last")
    assert choice is not None
    assert choice.index == 1
    assert choice.share == pytest.approx(2 / 3)
    mixed = [made("1", 0.9), made("2"), made("2", -0.9)]  # one without scores: the others' cannot be compared with it
    choice = choose(mixed, [0, 1, 1], selector, "last")
    assert choice is not None
    assert choice.index == 1


def test_scores_of_trajectories_without_an_answer_do_not_matter() -> None:
    choice = choose([made("1", 0.5), made(None)], [0, 1], "best", "last")
    assert choice is not None
    assert (choice.index, choice.share) == (0, 1.0)


@pytest.mark.parametrize("selector", get_args(SelectorName))
def test_ties_go_to_the_earlier(selector: SelectorName) -> None:
    choice = choose([made("1", 0.5), made("2", 0.5), made("1", 0.5), made("2", 0.5)], [0, 1, 0, 1], selector, "last")
    assert choice is not None
    assert (choice.index, choice.share) == (0, 0.5)


def test_a_vote_is_not_a_majority() -> None:
    # three doubtful against one sure: 3 * 0.2 = 0.6 against 0.9
    found = [made("1", -0.6), made("1", -0.6), made("1", -0.6), made("2", 0.8)]
    vote = choose(found, [0, 0, 0, 3], "vote", "last")
    majority = choose(found, [0, 0, 0, 3], "majority", "last")
    assert vote is not None
    assert majority is not None
    assert vote.index == 3
    assert vote.share == pytest.approx(0.6)
    assert (majority.index, majority.share) == (0, 0.75)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "3", None]), st.floats(-1, 1)), max_size=8),
    st.sampled_from(get_args(SelectorName)),
    st.sampled_from(get_args(AggregateName)),
)
def test_any_choice(rows: list[tuple[str | None, float]], selector: SelectorName, how: AggregateName) -> None:
    found = [made(answer, score) for answer, score in rows]
    answers = [t.answer for t in found]
    classes = [answers.index(answer) for answer in answers]
    choice = choose(found, classes, selector, how)
    assert (choice is None) == all(answer is None for answer in answers)
    if choice is None:
        return
    assert answers[choice.index] is not None
    assert 0 <= choice.share <= 1
    alike = [t.ppm_scores[0] for t in found if t.answer == answers[choice.index]]
    assert found[choice.index].ppm_scores[0] == pytest.approx(max(alike))  # the best of its class
    if selector == "majority":
        assert len(alike) == max(answers.count(a) for a in answers if a is not None)
        assert choice.share == pytest.approx(len(alike) / sum(a is not None for a in answers))


@pytest.mark.parametrize(
    ("leader", "runner_up", "expected"),
    [
        (0, 0, 0.5),
        (1, 0, 0.75),  # Beta(2, 1) above 1/2: 1 - 1/4
        (4, 0, 1 - 0.5**5),
        (1, 1, 0.5),
        (2, 1, 11 / 16),  # Beta(3, 2): P(at least 3 of 4 fair tosses lie on one side) + ...
        (5, 5, 0.5),
        (200, 100, 1.0),
    ],
)
def test_the_lead_of_a_vote(leader: float, runner_up: float, expected: float) -> None:
    assert lead_probability(leader, runner_up) == pytest.approx(expected, abs=2e-4)
    assert lead_probability(runner_up, leader) == pytest.approx(1 - expected, abs=2e-4)


def test_more_votes_for_the_leader_mean_a_surer_lead() -> None:
    leads = [lead_probability(votes, 1.5) for votes in (1.5, 2.0, 3.7, 8.0)]
    assert leads == sorted(leads)
    assert leads[0] == pytest.approx(0.5)


def test_only_the_best_vote() -> None:
    trajectories = [made("1", 0.9), made("2", 0.2), made("2", 0.2), made("2", 0.2)]
    classes = [0, 1, 1, 1]
    everybody = choose(trajectories, classes, "vote", "last")
    best_two = choose(trajectories, classes, "vote", "last", num_voters=2)
    assert everybody is not None
    assert best_two is not None
    assert (everybody.index, best_two.index) == (1, 0)  # 0.95 against 3 * 0.6; 0.95 against 0.6
    assert best_two.share == pytest.approx(0.95 / 1.55)


def test_log_probability_needs_no_reward_model() -> None:
    trajectories = [
        replace(made("1"), logprob=-4.0, num_tokens=40),
        replace(made("2"), logprob=-3.0, num_tokens=10),
    ]
    chosen = choose(trajectories, [0, 1], "best", "last", weight="logprob")
    assert chosen is not None
    assert chosen.index == 0  # more probable by token, though less in all
    assert value(trajectories[0], "logprob", "last") == pytest.approx(math.exp(-0.1))
    assert value(trajectories[0], "score", "last") is None
