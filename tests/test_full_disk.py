"""Whole commands on a disk that is full: one message that names the path; and with more room they go on and finish."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TINY_BASE
from tests.full_disk import outcomes, why_not

RECIPE = """
extends: smoke
problems: {source: pocket/train, num_problems: 6}
held_out: {problems: {source: pocket/validation, num_problems: 4}}
calibration: {num_rollouts: 1}
evaluation:
  problems: {source: pocket/test, num_problems: 4}
  control_problems: 3
  threshold_problems: {source: pocket/validation, num_problems: 4, seed: 1}
"""


def require_told_and_finished(place: Path, sizes: list[int], command: list[str], least_failures: int) -> None:
    folder = place / "small"
    folder.mkdir()
    if reason := why_not(folder):
        pytest.skip(reason)
    found = outcomes(folder, sizes, command)
    *failed, last = found
    assert len(failed) >= least_failures, found
    for outcome in failed:
        assert outcome["code"] == 1, outcome
        last_line = outcome["err"].splitlines()[-1]
        assert "the disk is full while writing small" in last_line, outcome
        assert "Traceback" not in outcome["err"]
        assert not outcome["left"]
    assert last["code"] == 0, last
    assert not last["left"]


@pytest.mark.parametrize(("name", "sizes"), [("select", [4, 28, 400]), ("sft", [1_000, 40_000]), ("eval", [4, 1_000])])
def test_a_stage(name: str, sizes: list[int], tiny_run: Path, tmp_path: Path) -> None:
    made = tiny_run / "round-1"
    command = {
        "select": ["select", str(made / "trees"), "--out", "small"],
        "sft": [
            *("train", "sft", str(made / "trajectories.parquet"), "--out", "small/policy"),
            *("--recipe", "smoke"),
        ],
        "eval": [
            *("eval", "--out", "small", "--model", str(TINY_BASE), "--strategy", "greedy", "--limit", "3"),
            *("--workers", "1"),
        ],
    }[name]
    require_told_and_finished(tmp_path, sizes, command, least_failures=1)


@pytest.mark.slow
def test_a_whole_run(tmp_path: Path) -> None:
    """From no room for the recipe to a full disk while the second round's weights are saved."""
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    sizes = [4, 20, 48, 400, 4_000, 6_500, 9_000, 12_000, 14_500, 60_000]
    command = ["evolve", "tiny.yaml", "--out", "small", "--workers", "1"]
    require_told_and_finished(tmp_path, sizes, command, least_failures=5)
