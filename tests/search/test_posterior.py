"""The fitted choice, worked by hand."""

from __future__ import annotations

import math

import pytest

from rstar_math.config import AnsweringSettings, FittedSettings
from rstar_math.search.choice import choose, chosen_from, worths
from rstar_math.search.posterior import log_posterior, log_score, log_sum_exp, posterior
from rstar_math.types import Step, Trajectory

SCALE = 5.0


def made(answer: str | None, logits: tuple[float, ...], logprob: float, text: str = "") -> Trajectory:
    """A trajectory whose steps have these logits."""
    steps = tuple(Step(f"{text or answer}{i}") for i in range(len(logits) or 1))
    scores = tuple(math.tanh(logit / SCALE) for logit in logits)
    return Trajectory("p", (1,), steps, (0.0,), answer, None, scores, logprob, 10)


# log sigmoid(0) = -log 2; log sigmoid(log 3) = log(3/4); log sigmoid(-log 3) = log(1/4)
FOOLED = made("1", (math.log(3), math.log(3)), -8.0)  # log(9/16), and the policy hardly ever writes it
PLAIN = made("2", (0.0, math.log(3)), -2.0)  # log(3/8)
OTHER = made("2", (0.0, 0.0), -3.0, "other way to 2 ")  # log(1/4)
FOUND = [FOOLED, PLAIN, OTHER, made(None, (9.0,), -0.1)]
CLASSES = [0, 1, 1, 3]


def test_log_score_is_the_probability_that_all_steps_are_good() -> None:
    assert log_score(FOOLED, SCALE) == pytest.approx(math.log(9 / 16))
    assert log_score(PLAIN, SCALE) == pytest.approx(math.log(3 / 8))
    assert log_score(made("1", (), -1.0), SCALE) is None


def test_scores_at_the_end_of_their_range_are_finite() -> None:
    found = Trajectory("p", (1,), (Step("s"),), (0.0,), "1", None, (-1.0, 1.0), -1.0, 3)
    score = log_score(found, SCALE)
    assert score is not None
    assert -80 < score < -50


@pytest.mark.parametrize(("policy_weight", "index"), [(0.0, 0), (0.05, 0), (0.1, 1), (1.0, 1)])
def test_the_policy_outweighs_a_score_that_is_too_good(policy_weight: float, index: int) -> None:
    # log(9/16) - 8 b against log(3/8) - 2 b: equal at b = log(3/2) / 6 = 0.068
    found = posterior(FOUND, CLASSES, [0, 1, 2], FittedSettings(policy_weight=policy_weight))
    assert found is not None
    assert found.index == index


def test_confidence_is_a_share_of_what_was_found() -> None:
    weights = [9 / 16 * math.exp(-8), 3 / 8 * math.exp(-2), 1 / 4 * math.exp(-3)]
    found = posterior(FOUND, CLASSES, [0, 1, 2], FittedSettings())
    assert found is not None
    assert found.confidence == pytest.approx((weights[1] + weights[2]) / sum(weights))


def test_none_right_is_one_more_possibility() -> None:
    alone = [made("2", (0.0,), -1.0)]
    assert posterior(alone, [0], [0], FittedSettings()) is not None
    for none_right, expected in ((None, 1.0), (math.log(0.5) - 1.0, 0.5), (math.log(1.5) - 1.0, 0.25), (900.0, 0.0)):
        found = posterior(alone, [0], [0], FittedSettings(none_right=none_right))
        assert found is not None
        assert found.confidence == pytest.approx(expected)


def test_sharpness_changes_the_confidence_and_not_the_choice() -> None:
    two = [made("1", (0.0,), -1.0), made("2", (0.0,), -2.0)]
    for sharpness in (0.5, 1.0, 2.0):
        found = posterior(two, [0, 1], [0, 1], FittedSettings(sharpness=sharpness))
        assert found is not None
        assert found.index == 0
        assert found.confidence == pytest.approx(1 / (1 + math.exp(-sharpness)))


def test_equal_trajectories_count_once() -> None:
    twice = [PLAIN, PLAIN, FOOLED]
    one, two = (
        posterior([PLAIN, FOOLED], [1, 0], [0, 1], FittedSettings()),
        posterior(twice, [1, 1, 0], [0, 1, 2], FittedSettings()),
    )
    assert one is not None
    assert two is not None
    assert two.confidence == pytest.approx(one.confidence)
    assert (one.index, two.index) == (0, 0)


def test_a_policy_without_log_probabilities_is_put_to_the_vote() -> None:
    silent = [made("1", (3.0,), 0.0), made("2", (1.0,), 0.0), made("2", (1.0,), 0.0, "again ")]
    assert log_posterior(silent[0], FittedSettings()) is None
    assert log_posterior(silent[0], FittedSettings(policy_weight=0.0)) is not None
    assert posterior(silent, [0, 1, 1], [0, 1, 2], FittedSettings()) is None
    voted, chosen = choose(silent, [0, 1, 1], "vote", "last"), choose(silent, [0, 1, 1], "fitted", "last")
    assert chosen == voted
    assert chosen is not None
    assert chosen.index == 1


def test_the_choice_by_settings() -> None:
    settings = AnsweringSettings(selector="fitted", fitted=FittedSettings(policy_weight=0.05))
    choice = chosen_from(FOUND, CLASSES, settings)
    assert choice is not None
    assert choice.index == 0
    assert choice.share == choice.lead < 1
    assert chosen_from(FOUND, CLASSES, settings.model_copy(update={"fitted": FittedSettings()})) != choice


def test_worths_are_shares_of_the_largest() -> None:
    found = worths([*FOUND, None], AnsweringSettings(selector="fitted"))
    weights = [9 / 16 * math.exp(-8), 3 / 8 * math.exp(-2), 1 / 4 * math.exp(-3)]
    assert found == [pytest.approx(w / weights[1]) for w in weights] + [None, None]
    silent = [made("1", (0.0,), 0.0)]
    assert worths(silent, AnsweringSettings(selector="fitted")) == [pytest.approx(0.5)]  # as it is voted on


def test_log_sum_exp() -> None:
    assert log_sum_exp([math.log(1), math.log(2), math.log(3)]) == pytest.approx(math.log(6))
    assert log_sum_exp([-2000.0, -2000.0]) == pytest.approx(-2000 + math.log(2))
