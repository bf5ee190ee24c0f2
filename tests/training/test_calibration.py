"""The logistic fit and its error, by hand and on data with a known answer; and the file that holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rstar_math.errors import DataError, ModelError
from rstar_math.training.calibration import expected_calibration_error, fit_calibration
from rstar_math.training.ppm_file import Calibration, PPMFile, Probe, read_ppm_file, write_ppm_file


def test_the_fit_finds_the_law_behind_the_data() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, 20000)
    outcomes = generator.random(20000) < 1 / (1 + np.exp(-(0.6 * logits - 1)))
    found = fit_calibration(logits.tolist(), outcomes.astype(float).tolist())
    assert found.slope == pytest.approx(0.6, abs=0.03)
    assert found.intercept == pytest.approx(-1, abs=0.05)
    assert found.expected_calibration_error < 0.02
    assert found.num_examples == 20000


def test_a_fit_by_hand() -> None:
    # one logit, 3 of 4 positive: Platt's targets are 4/5 and 1/3, their mean 0.68333; the logit is 0, so that only
    # the intercept counts: log(0.68333 / 0.31667) = 0.76917
    found = fit_calibration([0.0] * 4, [1, 1, 1, 0])
    assert found.slope == pytest.approx(0.0)
    assert found.intercept == pytest.approx(0.76917, abs=1e-4)
    assert found.expected_calibration_error == pytest.approx(0.75 - 0.68333, abs=1e-4)


@pytest.mark.parametrize("outcomes", [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
def test_separable_and_one_sided_data_stay_finite(outcomes: list[int]) -> None:
    found = fit_calibration([-500.0, -1.0, 1.0, 500.0], outcomes)
    assert np.isfinite([found.slope, found.intercept]).all()
    assert 0 <= found.expected_calibration_error < 0.5


def test_calibration_error_by_hand() -> None:
    # bins [0, 0.1) and [0.9, 1]: |0.05 - 0| * 2/4 and |0.9 - 0.5| * 2/4
    error = expected_calibration_error(np.array([0.05, 0.05, 0.9, 0.9]), np.array([0.0, 0.0, 1.0, 0.0]))
    assert error == pytest.approx(0.225)
    assert expected_calibration_error(np.array([1.0]), np.array([1.0])) == 0


def test_bad_examples_are_refused() -> None:
    for logits, outcomes, message in (([], [], "got 0 and 0"), ([1.0], [1, 0], "got 2 and 1"), ([1.0], [0.5], r"0\.5")):
        with pytest.raises(DataError, match=message):
            fit_calibration(logits, outcomes)


def test_the_file_is_read_back_and_checked(tmp_path: Path) -> None:
    content = PPMFile(5.0, (Probe("a\n<end_of_step>", 0.25),), Calibration(1.0, -0.5, 0.02, 300), 0.875)
    write_ppm_file(tmp_path, content)
    assert read_ppm_file(tmp_path) == content
    assert [p.name for p in tmp_path.iterdir()] == ["ppm.json"]
    path = tmp_path / "ppm.json"
    for text, message in (
        (path.read_text().replace('"format": 1', '"format": 2'), "format 2"),
        (path.read_text()[:40], "not JSON"),
        ('{"format": 1, "scale": 5.0}', "incomplete"),
        ("[]", "format None"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=message):
            read_ppm_file(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match=r"no ppm\.json"):
        read_ppm_file(tmp_path)
