"""Whole commands on a disk that is full: one message that names the path; and with more room they go on and finish."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.full_disk import outcomes, why_not
from tests.test_damaged_runs import RECIPE

RSTAR = Path(sys.executable).with_name("rstar")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few trees and what is selected from them."""
    place = tmp_path_factory.mktemp("trees")
    for line in (
        ["search", "pocket/train", "--limit", "6", "--out", "trees", "--recipe", "smoke", "--workers", "1"],
        ["select", "trees", "--out", "selected"],
    ):
        done = subprocess.run([RSTAR, *line], cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return place


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
def test_a_stage(name: str, sizes: list[int], trees: Path, tmp_path: Path) -> None:
    command = {
        "select": ["select", str(trees / "trees"), "--out", "small"],
        "sft": [
            *("train", "sft", str(trees / "selected" / "trajectories.parquet"), "--out", "small/policy"),
            *("--recipe", "smoke"),
        ],
        "eval": [
            *("eval", "--out", "small", "--model", "pocket-base", "--strategy", "greedy", "--limit", "3"),
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
