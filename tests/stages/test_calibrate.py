"""Solutions as examples, the threshold from rows, and `rstar calibrate` on a copy of the shipped model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import CalibrationSettings, FittedSettings, SearchSettings
from rstar_math.models import SHIPPED, find_model
from rstar_math.stages.calibrate import drawn_solutions, sampling_settings, threshold_of
from rstar_math.store.records import TreeStore
from rstar_math.tree import Tree
from rstar_math.types import Problem, Step
from tests.walking import printed, refused


def test_a_solution_that_failed_or_did_not_end_is_a_wrong_one() -> None:
    tree = Tree.start(Problem("p", "What is 1 + 1?", "2"), "sample", 0)
    ends = []
    for texts, correct in (
        (["\nx = 1 + 1\n<end_of_step>", "\nprint(x)\n<end_of_code>", "\n<answer>\\boxed{2}<end_of_answer>"], True),
        (["\nx = 1 / 0\n<end_of_step>"], None),
        (["\nx = 1 +"], None),
    ):
        node = tree.root
        for text in texts:
            node = tree.add(node, Step(text, observation="\n<output>2<end_of_output>" * ("<end_of_code>" in text)))
        node.correct = correct
        ends.append(node.index)
    tree.rollouts = ends
    right, failed, cut = drawn_solutions([tree])
    assert [(s.problem, s.is_right) for s in (right, failed, cut)] == [("p", True), ("p", False), ("p", False)]
    assert [p.kind for p in right.prefixes] == ["step", "code", "output", "answer"]
    assert [p.kind for p in failed.prefixes] == ["step"]
    assert cut.prefixes == ()
    assert right.prefixes[-1].text == tree.prefix(tree.nodes[ends[0]])


def test_solutions_are_drawn_as_the_model_answers() -> None:
    search = SearchSettings(num_rollouts=1, temperature=0.7, max_step_tokens=64, terminal_value="ppm", form="text")
    found = sampling_settings(search, CalibrationSettings(num_rollouts=5))
    assert (found.num_rollouts, found.temperature, found.form) == (5, 0.7, "text")
    assert (found.use_ppm, found.terminal_value) == (False, "reference")


def test_a_threshold_is_chosen_on_familiar_questions() -> None:
    rows = [{"confidence": 1.0, "correct": True, "outside": False}] * 60
    assert threshold_of(rows, 0.9) == 1.0
    foreign = [{"confidence": 1.0, "correct": False, "outside": True}] * 60
    ungraded = [{"confidence": 1.0, "correct": None, "outside": False}] * 60
    assert threshold_of(rows + foreign + ungraded, 0.9) == 1.0
    assert threshold_of([row | {"outside": False} for row in rows + foreign], 0.9) is None


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The shipped model as somebody has it who never calibrated it."""
    shutil.copytree(SHIPPED / "pocket", tmp_path / "model")
    (tmp_path / "model" / "familiarity.json").unlink()
    path = tmp_path / "model" / "ppm" / "ppm.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": None}))
    return tmp_path / "model"


def calibrated(model: Path, work: Path) -> str:
    settings = ("--set", "num_rollouts=2", "--set", "known=[]")
    arguments = ("calibrate", model, "--recipe", "pocket", "--limit", "6", "--work", work, "--workers", "1", *settings)
    return printed(*arguments)


def test_the_command_fits_all_three_and_goes_on_where_it_was_stopped(copied: Path, tmp_path: Path) -> None:
    assert find_model(copied).familiar() is None
    printed = calibrated(copied, tmp_path / "work")
    assert "steps of 6 problems by maps fitted on others: calibration error" in printed
    assert "sure: never. No confidence is shown to be right in 90 % of cases" in printed  # of six answers
    found = find_model(copied)
    familiar, calibration = found.familiar(), read_ppm_file(copied / "ppm").calibration
    assert familiar is not None
    assert familiar.source.num_questions == 400
    assert calibration is not None
    assert (calibration.temperature, calibration.num_rollouts) == (0.7, 2)
    assert calibration.measured.num_problems == 6
    assert found.threshold is None
    with TreeStore(tmp_path / "work" / "calibration") as store:
        assert len(store.done) == 6

    before = {p.name: p.read_bytes() for p in copied.rglob("*.json")}
    rows = (tmp_path / "work" / "threshold.jsonl").read_bytes()
    calibrated(copied, tmp_path / "work")  # nothing is drawn again, and everything comes out the same
    assert (tmp_path / "work" / "threshold.jsonl").read_bytes() == rows
    assert {p.name: p.read_bytes() for p in copied.rglob("*.json")} == before


def test_what_cannot_be_calibrated_is_refused(tmp_path: Path, tiny_checkpoint: Path) -> None:
    def said(*arguments: str | Path) -> str:
        return " ".join(refused("calibrate", *arguments).split())

    assert "name by --recipe what it was trained on" in said(tiny_checkpoint)
    assert "not a folder with policy/" in said(tiny_checkpoint, "--recipe", "pocket")
    assert "also a problem of pocket/train" in said("pocket", "--problems", "pocket/train", "--limit", "5")
    assert "--target-precision is 1.5" in said("pocket", "--target-precision", "1.5")


def test_the_command_fits_the_choice(copied: Path, tmp_path: Path) -> None:
    path = copied / "answering.json"
    value = json.loads(path.read_text())
    value["answering"] |= {"selector": "fitted", "num_trees": 2}
    path.write_text(json.dumps(value))
    assert "choice: log sigmoid of the steps' logits + " in calibrated(copied, tmp_path / "work")
    found = find_model(copied).answering
    assert found is not None
    assert found.fitted.sharpness != FittedSettings().sharpness
    assert found.fitted.none_right is not None
    assert found.fitted.score_scale == read_ppm_file(copied / "ppm").scale
    rows = [json.loads(line) for line in (tmp_path / "work" / "threshold.jsonl").read_text().splitlines()]
    assert all(0 < row["confidence"] < 1 for row in rows)  # nothing is certain, also where one answer was found
