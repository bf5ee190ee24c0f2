"""Every kind of model answers, by the command and from Python; many questions at once, awaited, cancelled, refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rstar_math import RStarMathModel
from rstar_math.cli.app import app
from rstar_math.config import AnsweringSettings
from rstar_math.engines.fake import FakePolicy
from rstar_math.errors import ModelError
from rstar_math.models import SHIPPED, read_answering
from tests.cli.test_server_failures import Server
from tests.docs.test_extending import write

QUESTION = "Dan fills 23 trays with 17 buttons each, and 37 buttons get broken. How many are whole?"
SURE_HAND = FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0)
RSTAR = Path(sys.executable).with_name("rstar")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, server: Server) -> dict[str, str]:
    """Every kind of model, by its kind."""
    folder = tmp_path_factory.mktemp("models")
    run, bare = folder / "run", folder / "bare"
    for name in ("policy", "ppm"):
        shutil.copytree(SHIPPED / "pocket" / name, run / "round-1" / name)
    shutil.copy(SHIPPED / "pocket" / "answering.json", run / "round-1")
    (run / "recipe.yaml").write_text("name: run\n")
    shutil.copytree(SHIPPED / "pocket-base", bare / "policy")
    (folder / "model.yaml").write_text(f"policy: {SHIPPED / 'pocket-base'}\nppm: {SHIPPED / 'pocket' / 'ppm'}\n")
    return {
        "pocket": "pocket",
        "pocket-base": "pocket-base",
        "run": str(run),
        "folder with policy/ alone": str(bare),
        "checkpoint": str(SHIPPED / "pocket" / "policy"),
        "model file with a PPM": str(folder / "model.yaml"),
        "URL": f"{server.url}?model=m&bootstrap=none",
        "own engine": f"{write('adder.py', folder)}:open_engine",
    }


KINDS = {
    "pocket": True,
    "pocket-base": False,
    "run": True,
    "folder with policy/ alone": False,
    "checkpoint": False,
    "model file with a PPM": True,
    "URL": False,
    "own engine": False,
}
"""Kind of model -> whether it has a PPM."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_answers_by_command_and_from_python(kind: str, models: dict[str, str]) -> None:
    question = "What is 17 + 25?" if kind == "own engine" else QUESTION
    with RStarMathModel.from_pretrained(models[kind]) as model:
        solution = model.solve(question)
        assert model.answering.strategy == ("mcts" if KINDS[kind] else "sample")
        assert (solution.sure is not None) == (
            kind == "pocket"
        )  # a threshold, and what the model knows, were measured there alone
        if not KINDS[kind]:
            with pytest.raises(ModelError, match=r"mcts searches by a reward model here.*Take the strategy sample"):
                model.solve_with_mcts(question)
            assert len(solution.candidates) <= 32
            assert sum(1 for t in solution.candidates if t.answer == solution.answer) > 1  # a majority of samples
    assert solution.answer is not None
    done = CliRunner().invoke(app, ["solve", question, "--model", models[kind], "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["answer"], found["unfinished"], found["why"]) == (solution.answer, None, None)
    assert found["confidence"] == pytest.approx(solution.confidence)


def test_settings_without_a_strategy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answering.json"
    path.write_text('{"format": 1, "answering": {"num_trees": 3}, "threshold": 0.5}')
    assert read_answering(path) == (AnsweringSettings(strategy="mcts", num_trees=3), 0.5)


def test_only_the_models_own_settings_make_it_sure() -> None:
    with RStarMathModel.from_pretrained("pocket") as model:
        assert model.solve(QUESTION).sure is True
        assert model.solve(QUESTION, "mcts", seed=1).sure is not None
        assert model.solve(QUESTION, num_simulations=2).sure is None
        assert model.solve(QUESTION, max_tokens=300).sure is None
        assert model.solve(QUESTION, "greedy").sure is None
