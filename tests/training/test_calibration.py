"""From logits to probabilities: the fit on data with a known law, its measures by hand, the file that holds it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rstar_math.checkpoints.ppm_file import (
    Calibration,
    LogOdds,
    PPMFile,
    Probe,
    Reliability,
    ReliabilityBin,
    StepKind,
    path_log_probability,
    read_ppm_file,
    write_ppm_file,
)
from rstar_math.errors import DataError, ModelError
from rstar_math.training.calibration import (
    Drawn,
    Examples,
    examples_of,
    expected_calibration_error,
    fit_calibration,
    reliability,
)
from rstar_math.training.prefixes import Prefix, prefixes
from rstar_math.types import Step


def drawn(problem: str, logits: list[float], is_right: bool, kind: StepKind = "step") -> tuple[Drawn, dict[str, float]]:
    """A solution whose prefixes are called by the problem, and the logits of these."""
    found = [Prefix(f"{problem}/{is_right}/{i}/{logit}", kind, i + 1) for i, logit in enumerate(logits)]
    return Drawn(problem, tuple(found), is_right), {p.text: logit for p, logit in zip(found, logits, strict=True)}


def lawful(num_problems: int, seed: int) -> Examples:
    """Steps and answers whose logits mean the same 4 apart: log-odds = logit - 1, and logit + 3."""
    rng = np.random.default_rng(seed)
    n = 4 * num_problems
    logit, kind = rng.normal(0, 2, n), np.tile([0, 3], n // 2)
    outcome = (rng.random(n) < 1 / (1 + np.exp(-(logit + np.where(kind == 3, 3, -1))))).astype(float)
    features = np.stack([np.ones(n), logit, np.zeros(n), np.ones(n)], axis=1)
    return Examples(features, kind, outcome, np.array([f"p{i // 4:05}" for i in range(n)]))


def test_the_fit_finds_a_law_that_differs_by_kind() -> None:
    found = fit_calibration(lawful(3000, 1), 0.7, 8)
    kinds: tuple[tuple[StepKind, float], ...] = (("step", -1.0), ("answer", 3.0))
    for kind, zero in kinds:
        weights = found.weights[kind]
        assert weights.logit == pytest.approx(1, abs=0.1)
        assert weights.intercept + weights.depth == pytest.approx(zero, abs=0.15)
        for logit in (-2.0, 0.0, 2.0):
            expected = 1 / (1 + math.exp(-(logit + zero)))
            assert found.probability(kind, logit, 0.0, 1) == pytest.approx(expected, abs=0.03)
    assert (found.temperature, found.num_rollouts, found.max_depth) == (0.7, 8, 1)
    measured = found.measured
    assert measured.expected_calibration_error < 0.02
    assert measured.brier < measured.constant_brier - 0.05
    assert measured.log_loss < measured.constant_log_loss - 0.1
    assert (measured.num_problems, measured.num_steps) == (3000, 12000)
    assert sum(b.num_steps for b in measured.bins) == 12000


def test_it_is_measured_on_problems_that_it_was_not_fitted_on() -> None:
    """The outcome hangs on the problem alone, by chance: what was fitted on others knows nothing of it."""
    rng = np.random.default_rng(3)
    outcome = np.repeat(rng.permutation(np.repeat([0.0, 1.0], 20)), 8)
    features = np.stack([np.ones(320), np.repeat(rng.normal(0, 3, 40), 8), np.zeros(320), np.ones(320)], axis=1)
    kind = np.zeros(320, dtype=np.int64)
    found = fit_calibration(Examples(features, kind, outcome, np.repeat([f"p{i:02}" for i in range(40)], 8)), 1.0, 8)
    assert found.measured.log_loss > math.log(2) - 0.01
    p = np.array([found.probability("step", x, 0.0, 1) for x in features[:, 1]])
    in_sample = float(-(outcome * np.log(p) + (1 - outcome) * np.log(1 - p)).mean())
    assert in_sample < found.measured.log_loss


def test_a_kind_without_examples_is_judged_as_all_are() -> None:
    examples = lawful(1000, 1)
    steps = examples.kind == 0
    only = Examples(examples.features[steps], examples.kind[steps], examples.outcome[steps], examples.problem[steps])
    found = fit_calibration(only, 0.7, 8)
    assert found.probability("output", 1.0, 0.0, 1) == pytest.approx(found.probability("step", 1.0, 0.0, 1), abs=1e-3)


@pytest.mark.parametrize("outcomes", [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
def test_separable_and_one_sided_data_stay_finite(outcomes: list[int]) -> None:
    found = [drawn(f"p{i}", [x], bool(y)) for i, (x, y) in enumerate(zip((-500, -1, 1, 500), outcomes, strict=True))]
    logits = {text: logit for _, each in found for text, logit in each.items()}
    fitted = fit_calibration(examples_of([solution for solution, _ in found], logits), 0.7, 1)
    assert all(np.isfinite([w.intercept, w.logit, w.path, w.depth]).all() for w in fitted.weights.values())
    assert math.isfinite(fitted.measured.log_loss)


def test_every_step_of_every_solution_counts_whatever_the_order() -> None:
    (one, a), (other, b) = drawn("p1", [2.0, -1.0], True), drawn("p0", [0.5], False)
    examples = examples_of([one, other, other], a | b)
    assert examples.outcome.tolist() == [0, 0, 1, 1]
    assert examples.problem.tolist() == ["p0", "p0", "p1", "p1"]
    path = path_log_probability([2.0, -1.0])
    assert path == pytest.approx(-math.log1p(math.exp(-2)) - math.log1p(math.exp(1)))
    assert sorted(examples.features[2:, 2]) == pytest.approx(sorted([path_log_probability([2.0]), path]))
    again = examples_of([other, one, other], a | b)
    assert np.array_equal(again.features, examples.features)
    assert fit_calibration(again, 0.7, 8) == fit_calibration(examples, 0.7, 8)


def test_too_little_to_fit_is_refused() -> None:
    with pytest.raises(DataError, match="no solution with a step"):
        examples_of([Drawn("p", (), False)], {})
    solution, logits = drawn("p", [1.0, 2.0], True)
    with pytest.raises(DataError, match="at least 2 problems, got those of 1"):
        fit_calibration(examples_of([solution, solution], logits), 0.7, 2)


def test_measures_by_hand() -> None:
    # bins [0, 0.1) and [0.9, 1]: |0.05 - 0| * 2/4 and |0.9 - 0.5| * 2/4
    probability, outcome = np.array([0.05, 0.05, 0.9, 0.9]), np.array([0.0, 0.0, 1.0, 0.0])
    assert expected_calibration_error(probability, outcome) == pytest.approx(0.225)
    assert expected_calibration_error(np.array([1.0]), np.array([1.0])) == 0
    found = reliability(probability, outcome, np.full(4, 0.25), 2)
    assert found.brier == pytest.approx((2 * 0.0025 + 0.01 + 0.81) / 4)
    assert found.log_loss == pytest.approx(-(2 * math.log(0.95) + math.log(0.9) + math.log(0.1)) / 4)
    assert found.constant_brier == pytest.approx((3 * 0.0625 + 0.5625) / 4)
    assert [(b.predicted, b.observed, b.num_steps) for b in found.bins] == [
        pytest.approx((0.05, 0.0, 2)),
        pytest.approx((0.9, 0.5, 2)),
    ]


def test_prefixes_end_with_a_step_and_a_program_ends_twice() -> None:
    steps = [
        Step("\nx = 2\n<end_of_step>"),
        Step("\nprint(x)\n<end_of_code>", observation="\n<output>2<end_of_output>"),
        Step("\n<answer>\\boxed{2}<end_of_answer>", answer="2"),
        Step("cut short"),
    ]
    found = prefixes("PROMPT", steps)
    assert [(p.kind, p.depth) for p in found] == [("step", 1), ("code", 2), ("output", 2), ("answer", 3)]
    assert found[1].text == "PROMPT\nx = 2\n<end_of_step>\nprint(x)\n<end_of_code>"
    assert found[2].text == found[1].text + "\n<output>2<end_of_output>"
    assert found[3].text == found[2].text + "\n<answer>\\boxed{2}<end_of_answer>"
    assert [p.kind for p in prefixes("", [Step("\nprint(1)\n<end_of_code>")])] == ["code"]


CALIBRATION = Calibration(
    weights={
        "step": LogOdds(1.0, 0.5, 0.25, -0.1),
        "code": LogOdds(2.0, 0.0, 0.0, 0.0),
        "output": LogOdds(-2.0, 0.0, 0.0, 0.0),
        "answer": LogOdds(0.0, 1.0, 0.0, 0.0),
    },
    max_depth=3,
    temperature=0.7,
    num_rollouts=8,
    measured=Reliability(
        0.02, 0.1, 0.3, 0.2, 0.6, 50, 900, (ReliabilityBin(0.2, 0.3, 100), ReliabilityBin(0.9, 0.9, 800))
    ),
)


def test_a_probability_by_hand() -> None:
    expected = 1 / (1 + math.exp(-(1.0 + 0.5 * 2 + 0.25 * -4 - 0.1 * 2)))
    assert CALIBRATION.probability("step", 2.0, -4.0, 2) == pytest.approx(expected)
    assert CALIBRATION.probability("step", 0.0, 0.0, 16) == CALIBRATION.probability("step", 0.0, 0.0, 3)
    assert CALIBRATION.probability("answer", 800.0, 0.0, 1) == 1.0
    assert CALIBRATION.probability("answer", -800.0, 0.0, 1) == pytest.approx(0.0, abs=1e-300)


def test_the_file_is_read_back_and_checked(tmp_path: Path) -> None:
    content = PPMFile(5.0, (Probe("a\n<end_of_step>", 0.25),), CALIBRATION, 0.875)
    write_ppm_file(tmp_path, content)
    assert read_ppm_file(tmp_path) == content
    assert [p.name for p in tmp_path.iterdir()] == ["ppm.json"]
    path = tmp_path / "ppm.json"
    for text, message in (
        (path.read_text().replace('"format": 1', '"format": 2'), "format 2"),
        (path.read_text().replace('"max_depth"', '"deepest"'), "incomplete"),
        (path.read_text()[:40], "not valid JSON"),
        ('{"format": 1, "scale": 5.0}', "incomplete"),
        ("[]", "format None"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=message):
            read_ppm_file(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match=r"no ppm\.json"):
        read_ppm_file(tmp_path)


def test_a_calibration_of_an_earlier_version_is_none(tmp_path: Path) -> None:
    """It was fitted on the leaves of trees, and called a right solution 26 % likely to be right."""
    old = '{"slope": 0.2, "intercept": -1.9, "expected_calibration_error": 0.004, "num_examples": 923}'
    text = '{"format": 1, "scale": 5.0, "probes": [], "calibration": OLD, "pair_accuracy": null}'
    (tmp_path / "ppm.json").write_text(text.replace("OLD", old))
    assert read_ppm_file(tmp_path).calibration is None
