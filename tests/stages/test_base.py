"""A stage is made once, resumed where it was stopped, and leaves checksums of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rstar_math.config.reading import load_recipe
from rstar_math.errors import RunError
from rstar_math.models import find_model
from rstar_math.progress import Progress
from rstar_math.stages.base import Made, Stage, Work
from rstar_math.stages.problems import load_run_problems
from rstar_math.store.manifest import Manifest
from rstar_math.store.round import Round
from rstar_math.store.run import Run
from rstar_math.workers.pool import WorkerPool


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    recipe = load_recipe("smoke").model_copy(update={"seed": 3})
    with Run(tmp_path / "run", recipe) as run:
        pool = WorkerPool(recipe.runtime)  # never opened: these stages search nothing
        yield Work(run, pool, find_model("pocket-base"), load_run_problems(recipe), Progress())


def test_a_whole_stage_is_not_made_again(work: Work) -> None:
    this, calls = work.run.round(1), []

    def make(work: Work, this: Round) -> Made:
        calls.append(this.number)
        this.folder.mkdir()
        this.pairs.write_text("pairs")
        return {"num_pairs": 1}

    stage = Stage("select", make, lambda this: (this.pairs,))
    stage.run(work, this)
    stage.run(work, this)
    assert calls == [1]
    manifest = Manifest(this.folder)
    assert manifest["select"] == {"num_pairs": 1}
    this.pairs.write_text("other")
    with pytest.raises(RunError, match=r"pairs\.parquet was changed"):
        manifest.verify()
    (line,) = map(json.loads, (work.run.folder / "events.jsonl").read_text().splitlines())
    assert {k: line[k] for k in ("event", "round", "stage", "num_pairs")} == {
        "event": "stage",
        "round": 1,
        "stage": "select",
        "num_pairs": 1,
    }


def test_a_stage_that_was_stopped_is_made_again(work: Work) -> None:
    this, calls = work.run.round(2), []

    def make(work: Work, this: Round) -> Made:
        calls.append(this.number)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {}

    stage = Stage("policy", make, lambda this: ())
    with pytest.raises(KeyboardInterrupt):
        stage.run(work, this)
    assert "policy" not in Manifest(this.folder)
    this.folder.mkdir()
    stage.run(work, this)
    assert calls == [2, 2]


def test_a_round_has_its_settings_and_its_seed(work: Work) -> None:
    first, second = work.run.rounds()
    assert [work.settings(each).policy for each in (first, second)] == ["base", "previous"]
    assert work.seed(second) == 3_002_000
