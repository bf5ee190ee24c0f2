"""The whole loop through the installed command, from a small base model: as it is, and killed at several stages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import ProblemSource
from rstar_math.config.reading import load_recipe
from rstar_math.problems.load import load_problems
from rstar_math.stages.problems import load_run_problems
from rstar_math.store.records import read_pairs, read_trajectories, read_trees
from tests import warm
from tests.growing import clockless_row

KILL_LIMIT_S = 1500.0


@pytest.fixture(scope="module")
def finished(tiny_run: Path) -> Path:
    return tiny_run


def stages(run: Path) -> dict[str, Any]:
    return {p.parent.name: json.loads(p.read_text())["stages"] for p in sorted(run.glob("*/manifest.json"))}


def trees_by_id(run: Path, number: int) -> dict[str, Any]:
    """All that a round searched, but for the time that it took."""
    return {tree.id: clockless_row(tree) for tree in read_trees(run / f"round-{number}" / "trees")}


def test_a_run_leaves_whole_rounds_and_a_report(finished: Path) -> None:
    assert str(finished / "report.html") in finished.with_name("printed.txt").read_text()
    assert set(stages(finished)) == {"base", "round-1", "round-2"}
    for name in ("round-1", "round-2"):
        assert list(stages(finished)[name]) == ["search", "select", "policy", "ppm", "calibrate", "evaluate"]
        assert (finished / name / "policy" / "model.safetensors").exists()
        assert (finished / name / "ppm" / "ppm.json").exists()
    report = json.loads((finished / "report.json").read_text())
    assert report["base"]["num_problems"]["all"] == 8
    assert [r["round"] for r in report["rounds"]] == [1, 2]
    for r in report["rounds"]:
        for key in ("policy_greedy", "system", "solved", "solved_round", "control"):
            assert 0 <= r[key]["all"] <= 1, key
        assert r["solved"]["all"] >= r["solved_round"]["all"]
        assert r["cost"]["tokens_generated"] > 0
        assert r["cost"]["executions"] > 0
    assert "<svg" in (finished / "report.html").read_text()


def test_no_held_out_problem_is_ever_trained_on(finished: Path) -> None:
    recipe = load_recipe(str(finished / "recipe.yaml"))
    problems = load_run_problems(recipe)
    assert problems.threshold is not None
    kept_apart = [*problems.held_out.problems, *problems.evaluation.problems, *problems.threshold.problems]
    ids, questions = {p.id for p in kept_apart}, {p.question for p in kept_apart}
    for number in (1, 2):
        folder = finished / f"round-{number}"
        trained = [problem for problem, _, _ in read_trajectories(folder / "trajectories.parquet")]
        assert trained
        assert not {p.id for p in trained} & ids
        assert not {p.question for p in trained} & questions
        assert not {pair.problem for pair in read_pairs(folder / "pairs.parquet")} & ids
    base = {p.question for p in load_problems(ProblemSource(source="pocket/train", num_problems=2000)).problems}
    assert not base & questions


def test_every_kept_row_names_a_tree_and_nodes_that_exist(finished: Path) -> None:
    folder = finished / "round-1"
    trees = {t.id: t for t in read_trees(folder / "trees")}
    for problem, trajectory, tree_id in read_trajectories(folder / "trajectories.parquet"):
        tree = trees[tree_id]
        assert tree.problem.id == problem.id
        assert [tree.nodes[i].step for i in trajectory.node_path] == list(trajectory.steps)
        assert trajectory.correct is True
    for pair in read_pairs(folder / "pairs.parquet"):
        tree = trees[pair.tree]
        assert tree.prefix(tree.nodes[pair.node]) == pair.prefix


def test_a_finished_run_runs_again_without_work(finished: Path, tiny_recipe: Path) -> None:
    before = (finished / "events.jsonl").read_text()
    assert warm.run("evolve", tiny_recipe, "--out", finished).returncode == 0
    assert (finished / "events.jsonl").read_text() == before


def test_another_recipe_in_the_same_folder_is_refused(finished: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"{tiny_recipe.read_text()}seed: 7\n")
    done = warm.run("evolve", other, "--out", finished)
    assert done.returncode == 2
    assert "another recipe" in done.stderr
    assert "seed" in done.stderr


def test_a_run_is_a_model(finished: Path) -> None:
    done = warm.run("solve", "--model", finished, "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    solution = json.loads(done.stdout)
    assert set(solution) >= {"answer", "steps", "confidence", "sure", "cost"}


def test_killed_at_several_stages_it_ends_with_the_same_manifests(
    finished: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    moments: list[Callable[[], bool]] = [
        lambda: _num_lines(run / "round-1" / "trees" / "journal.jsonl") >= 5,
        lambda: (run / "round-1" / "manifest.json").exists() and "policy" in stages(run)["round-1"],
        lambda: _num_lines(run / "round-1" / "evaluation" / "system.jsonl") >= 3,
        lambda: (run / "round-2" / "trees" / "part-00000.parquet").exists(),
    ]
    for reached in moments:
        _kill_when(reached, tiny_recipe, run)
    trees_before = {t.id for t in read_trees(run / "round-2" / "trees")}
    # with one search process, where the other run had as many as there are cores: the same trees
    done = warm.run("evolve", tiny_recipe, "--out", run, "--workers", "1")
    assert done.returncode == 0, done.stderr[-4000:]
    assert trees_before <= {t.id for t in read_trees(run / "round-2" / "trees")}
    assert stages(run) == stages(finished)
    for number in (1, 2):  # the recipe is deterministic: to the last bit
        assert trees_by_id(run, number) == trees_by_id(finished, number)
    ours, theirs = (json.loads((r / "report.json").read_text()) for r in (run, finished))
    for a, b in zip(ours["rounds"], theirs["rounds"], strict=True):
        assert a["policy_greedy"] == b["policy_greedy"]
        assert a["system"] == b["system"]
    assert not list(run.rglob(".*.tmp"))


def test_ctrl_c_stops_cleanly_and_can_be_resumed(tmp_path: Path) -> None:
    """And the recipe of the package makes a whole round, from the base model of the package."""
    run = tmp_path / "run"
    process = warm.start("evolve", "smoke", "--out", run, pipes=["stderr"], new_session=True)
    deadline = time.monotonic() + KILL_LIMIT_S
    while _num_lines(run / "round-1" / "trees" / "journal.jsonl") < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Run the same command again to go on" in said
    assert "Traceback" not in said
    kept = _num_lines(run / "round-1" / "trees" / "journal.jsonl")
    assert kept >= 3
    done = warm.run("evolve", "smoke", "--out", run, "--rounds", "1")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "round 1, search" in done.stderr
    assert list(stages(run)["round-1"]) == ["search", "select", "policy", "ppm", "calibrate", "evaluate"]
    assert [r["round"] for r in json.loads((run / "report.json").read_text())["rounds"]] == [1]


@pytest.mark.slow
def test_the_recipe_of_the_package_runs_to_its_end_by_the_installed_command(tmp_path: Path) -> None:
    """Its first round is in the tests above, its second one is that of their recipe, from another base."""
    command: list[Path | str] = [Path(sys.executable).with_name("rstar"), "evolve", "smoke", "--out", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert set(stages(tmp_path / "run")) == {"base", "round-1", "round-2"}
    assert str(tmp_path / "run" / "report.html") in done.stdout


def _kill_when(reached: Callable[[], bool], recipe: Path, run: Path) -> None:
    """Starts the run, and kills it with SIGKILL, workers and all, at the moment given."""
    process = warm.start("evolve", recipe, "--out", run, "--workers", "1", pipes=[], new_session=True)
    deadline = time.monotonic() + KILL_LIMIT_S
    try:
        while not reached():
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()  # the parent alone: its workers must notice and end by themselves
        process.wait()
    _wait_until_gone(process.pid)


def _wait_until_gone(session: int) -> None:
    deadline = time.monotonic() + KILL_LIMIT_S
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(session, signal.SIGKILL)
    raise AssertionError("worker processes outlived their parent")


def _num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
