"""A run whose rounds draw whole solutions and train no PPM: `sampling-rules` on a recipe, stopped and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import Recipe
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError
from rstar_math.evolve import evolve
from rstar_math.models import find_model
from rstar_math.progress import Progress
from rstar_math.report.from_run import report_of
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import TreeStore, read_trajectories, read_trees
from rstar_math.store.round import Round
from tests.conftest import TINY_BASE
from tests.growing import clockless_row

RECIPE = f"""
extends: [smoke, sampling-rules]
name: sampled
base_model: {TINY_BASE}
rounds: {{num_tokens: 6000, search: {{num_rollouts: 4}}, sft: {{num_steps: 2}}}}
evaluation: {{problems: {{num_problems: 4}}}}
runtime: {{num_workers: 1}}
"""


def written(folder: Path, text: str) -> Recipe:
    path = folder / "sampled.yaml"
    path.write_text(text)
    return load_recipe(str(path))


class Stopped(Exception):
    """The run was stopped."""


class StopsAt(Progress):
    """Stops a run in a stage after so many trees."""

    def __init__(self, stage: str, num_trees: int) -> None:
        self._stopped_in, self._left, self._here = stage, num_trees, False

    def start(self, stage: str, total: int, done: int = 0) -> None:
        self._here = stage == self._stopped_in

    def advance(self, tokens: int = 0, solved: bool | None = None, note: str = "") -> None:
        if self._here:
            self._left -= 1
            if self._left <= 0:
                raise Stopped


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sampled")
    recipe = written(folder, RECIPE)
    with pytest.raises(Stopped):
        evolve(recipe, folder / "run", StopsAt("round 2, search", 17))
    assert len(list(read_trees(folder / "run" / "round-2" / "trees"))) < 28
    evolve(recipe, folder / "run", Progress())
    return folder / "run"


def test_rounds_have_a_policy_and_no_ppm(run: Path) -> None:
    for number in (1, 2):
        this = Round(run, number)
        manifest = Manifest(this.folder)
        assert [s for s in ("search", "select", "policy", "ppm", "calibrate", "evaluate") if s in manifest] == [
            *("search", "select", "policy", "evaluate")
        ]
        assert this.policy.is_dir()
        assert not this.ppm.exists()
        assert not this.held_out_trees.exists()
        assert manifest.count("policy", "num_trajectories") > 0
        assert all(trajectory.correct for _, trajectory, _ in read_trajectories(this.trajectories))
    found = find_model(run)
    assert (found.policy, found.reward_model) == (Round(run, 2).policy, None)


def test_each_round_spends_its_tokens_on_all_problems_alike(run: Path) -> None:
    for number in (1, 2):
        trees = list(read_trees(Round(run, number).trees))
        assert {tree.strategy for tree in trees} == {"sample"}
        turns: dict[int, list[str]] = {}
        for tree in trees:
            turns.setdefault(tree.seed, []).append(tree.problem.id)
        seeds = sorted(turns)
        assert seeds == list(range(seeds[0], seeds[0] + len(seeds)))
        sizes = [len(turns[seed]) for seed in seeds]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == 14
        assert sum(size < 14 for size in sizes) <= 2  # the rest of the tokens, and what was left of that
        spent = sum(tree.cost.tokens_generated for tree in trees)
        assert spent == pytest.approx(6000, rel=0.06)


def test_where_it_was_stopped_it_does_the_same(run: Path, tmp_path: Path) -> None:
    evolve(load_recipe(str(run / "recipe.yaml")), tmp_path / "whole", Progress())

    def searched(folder: Path) -> dict[str, Any]:
        return {tree.id: clockless_row(tree) for tree in read_trees(Round(folder, 2).trees)}

    assert searched(tmp_path / "whole") == searched(run)
    for number in (1, 2):
        ours, theirs = (Manifest(Round(folder, number).folder) for folder in (run, tmp_path / "whole"))
        assert all(ours[stage] == theirs[stage] for stage in ("search", "select", "policy", "evaluate"))


def test_its_report_has_no_ppm(run: Path) -> None:
    report = report_of(run)
    assert [(r.num_pairs, r.ppm_pair_accuracy, r.system) for r in report.rounds] == [(None, None, None)] * 2
    assert all(r.policy_greedy is not None for r in report.rounds)


def test_further_tokens_go_to_what_is_not_solved(run: Path, tmp_path: Path) -> None:
    extra = "extra: [{num_rollouts: 2, num_tokens: 2000}]"
    recipe = written(tmp_path, RECIPE.replace("num_tokens: 6000", f"num_tokens: 3000, {extra}"))
    with pytest.raises(Stopped):
        evolve(recipe, tmp_path / "run", StopsAt("round 1, policy", 1))
    with TreeStore(Round(tmp_path / "run", 1).trees) as store:
        trees = list(store)
    first = [t for t in trees if len(t.rollouts) == 4]
    further = [t for t in trees if len(t.rollouts) == 2]
    assert sum(t.cost.tokens_generated for t in first) == pytest.approx(3000, rel=0.15)
    assert sum(t.cost.tokens_generated for t in further) == pytest.approx(2000, rel=0.15)
    solved = {t.problem.id for t in first if t.solved}
    assert solved
    assert {t.problem.id for t in further} == {t.problem.id for t in first} - solved
    assert not {t.id for t in first} & {t.id for t in further}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("rounds: {train_ppm: false}", r"rounds\[0\].train_ppm is false, and rounds\[1\].search.use_ppm is true"),
        ("rounds: {train_ppm: false, search: {use_ppm: false}}", "evaluation.system.search.use_ppm is true"),
    ],
)
def test_a_search_under_no_ppm_is_an_error(tmp_path: Path, changes: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        written(tmp_path, f"extends: smoke\nname: none\n{changes}\n")
