"""The schema of report.json: it survives its file, and refuses what does not belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rstar_math.errors import DataError
from rstar_math.report.schema import (
    BaseNumbers,
    Report,
    RoundNumbers,
    load_report,
    report_from_json,
    report_to_json,
    save_report,
)
from tests.report.made_up import report


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    save_report(tmp_path / "report.json", report())
    assert load_report(tmp_path / "report.json") == report()
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]  # no temporary file is left


def test_the_file_has_the_promised_keys(tmp_path: Path) -> None:
    save_report(tmp_path / "report.json", report())
    value = json.loads((tmp_path / "report.json").read_text())
    assert value["base"]["policy_greedy"] == {
        "gsm": 0.8,
        "math": 0.24,
        "olympiad": 0.09,
        "all": pytest.approx(113 / 300),
    }
    assert value["base"]["num_problems"]["all"] == 360
    first = value["rounds"][0]
    assert first["round"] == 1
    for key in ("policy_greedy", "system", "solved", "solved_round", "control"):
        assert list(first[key]) == ["gsm", "math", "olympiad", "all"]
    assert first["ppm_pair_accuracy"] == 0.74
    assert (first["num_trajectories"], first["num_pairs"]) == (620, 2100)
    assert {"tokens_generated", "tokens_scored", "model_calls", "executions", "grades", "seconds"} <= set(first["cost"])
    assert value["growth"]["base_to_last"]["all"] == {"value": 0.2, "low": 0.15, "high": 0.25}


def test_what_is_not_computed_is_null() -> None:
    bare = Report(recipe="bare", seed=0, base=BaseNumbers(num_problems={"all": 3}), rounds=(RoundNumbers(round=1),))
    value = report_to_json(bare)
    assert value["base"]["policy_greedy"] is None
    for key in ("policy_greedy", "system", "solved", "control", "ppm_pair_accuracy", "num_pairs"):
        assert value["rounds"][0][key] is None
    assert report_from_json(value, "here") == bare


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v["rounds"][1]["solved"].update(gsm=1.5), r"rounds\[1\]\.solved\.gsm: .*less than or equal to 1"),
        (lambda v: v["rounds"][0].update(num_pairs=-1), r"rounds\[0\]\.num_pairs"),
        (lambda v: v["base"].update(policy_gredy=None), r"base\.policy_gredy: Extra inputs are not permitted"),
        (lambda v: v.pop("seed"), "seed: Field required"),
        (lambda v: v.update(format=2), "format: .*less than or equal to 1, got '2'"),
    ],
)
def test_a_value_out_of_the_schema_is_an_error_that_names_it(change: Any, named: str) -> None:
    value = report_to_json(report())
    change(value)
    with pytest.raises(DataError, match=named):
        report_from_json(value, "report.json")


def test_a_file_that_is_not_a_report_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(DataError, match=r"cannot read .*report\.json"):
        load_report(path)
    path.write_text("[1, 2]")
    with pytest.raises(DataError, match=r"report\.json is not a report of format 1"):
        load_report(path)
