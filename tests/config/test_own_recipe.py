"""A recipe for problems of one's own: `rstar init` writes one that runs; all that is wrong with one is said at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rstar_math.cli.app import app
from rstar_math.cli.settings import changed
from rstar_math.config import AnsweringSettings, PPMSettings, SearchSettings, SelectionSettings
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError, UserError
from rstar_math.problems.load import load_problems
from rstar_math.stages.problems import load_run_problems


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(*words: str) -> str:
    """What a command says that ends with an error which a person can mend."""
    done = CliRunner().invoke(app, list(words))
    assert isinstance(done.exception, UserError), (done.output, done.exception)
    return str(done.exception)


@pytest.mark.parametrize("target", ["mine", "deep/er/mine", "mine.yaml", "it's: a [name]", "{x}"])
def test_init_writes_a_recipe_that_explain_and_evolve_accept(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = invoke("init", target)
    recipe_file = target if target.endswith(".yaml") else f"{target}/recipe.yaml"
    assert shown.startswith(f"{recipe_file}\n")
    assert "Recipe " in invoke("explain", recipe_file)
    recipe = load_recipe(recipe_file)
    problems = load_run_problems(recipe)  # no problem twice, none that overlaps
    sizes = (problems.training, problems.held_out, problems.evaluation)
    assert [len(s.problems) for s in sizes] == [24, 8, 8]
    assert len(load_problems(recipe.problems.model_copy(update={"num_problems": None})).problems) == 40
    assert all(r.search.num_rollouts == 4 for r in recipe.rounds)
    assert Path(recipe_file).read_text().count("#") > 10
    again = refused("init", target)
    assert "stand there already; nothing was written" in again


def test_init_does_not_write_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "is a file; give a folder" in refused("init", str(tmp_path / "notes.txt"))
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_what_init_writes_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    invoke("init", "mine")
    invoke("evolve", "mine/recipe.yaml", "--out", "run", "--rounds", "1", "--workers", "1")
    report = json.loads(Path("run/report.json").read_text())
    assert report["problem_sets"]["training"]["num_problems"] == 24


WRONG = {
    "name": "mine",
    "base_modl": "x",
    "base_model": "pocket-bas",
    "problems": {"source": "data/mine.jsonl"},
    "held_out": {"problems": {"source": "nope.jsonl", "skip": -1}},
    "rounds": [
        {"search": {"num_rollouts": 0}, "sft": {"learning_rate": -1, "num_steps": 3}, "ppm": {"scale": 5}},
        {"policy": "nobody", "search": {"num_rolouts": 3}},
    ],
    "evaluation": {"problems": {"source": "nowhere.jsonl"}, "reported": ["maths500"]},
    "runtime": {"concurrency": "many"},
}


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(WRONG))
    said = refused("evolve", str(path), "--out", str(tmp_path / "run"))
    for part in (
        "base_modl is not a known key; did you mean 'base_model'?",
        "base_model: no model 'pocket-bas'",
        "problems: no problems at 'data/mine.jsonl'",
        "held_out.problems.skip is -1",
        "rounds[0].search.num_rollouts is 0",
        "rounds[0].sft.learning_rate is -1",
        "rounds[0].ppm is {'scale': 5}; give exactly one of num_epochs and num_steps",
        "rounds[1].search.num_rolouts is not a known key",
        "rounds[1].sft is missing",
        "rounds[1].policy: no model 'nobody'",
        "evaluation.problems: no problems at 'nowhere.jsonl'",
        "evaluation.reported (maths500): no problems at 'maths500'",
        "runtime.concurrency is 'many'",
    ):
        assert part in said, part
    assert "Tuple should have" not in said
    assert max(map(len, said.splitlines())) < 400
    assert not (tmp_path / "run").exists()


def test_what_only_a_run_finds_is_said_at_once_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    (tmp_path / "few.jsonl").write_text('{"problem": "1 + 1?", "answer": "proof"}\n')
    few = {"source": str(tmp_path / "few.jsonl")}
    changes = {"extends": "smoke", "problems": few, "base_model": "nobody", "evaluation": {"problems": {"source": "x"}}}
    path.write_text(yaml.safe_dump(changes))
    said = refused("evolve", str(path), "--out", str(tmp_path / "run"))
    lines = said.splitlines()
    assert len(lines) == 3
    # smoke asks for 14 problems, and few.jsonl has one
    assert "problems: " in lines[0]
    assert "has 1 problems; num_problems asks for 14" in lines[0]
    assert lines[1].startswith("evaluation.problems: no problems at 'x'")
    assert lines[2].startswith("base_model: no model 'nobody'")


@pytest.mark.parametrize("extends", [None, "smoke"])
def test_a_wrong_key_in_a_mapping_of_rounds_does_not_show_everything(extends: str | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"rounds": {"serch": {"x": 1}, "sft": {"learning_rate": -1}}, "nam": "x"}))
    if extends:
        path.write_text(path.read_text() + f"extends: {extends}\n")
    with pytest.raises(ConfigError) as raised:
        load_recipe(str(path))
    said = str(raised.value)
    assert ".serch is not a known key; did you mean 'search'?" in said
    assert "learning_rate is -1" in said
    assert "nam is not a known key; did you mean 'name'?" in said
    assert ("is a fragment" in said) == (extends is None)
    assert max(map(len, said.splitlines())) < 250


@pytest.mark.parametrize("value", ["x" * 10_000, list(range(10_000)), {"a": "b" * 10_000}])
def test_a_long_value_is_not_shown_whole(value: object, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"extends": "smoke", "seed": value}))
    with pytest.raises(ConfigError) as raised:
        load_recipe(str(path))
    assert "seed" in str(raised.value)
    assert len(str(raised.value)) < 400


# ---------------------------------------------------------------- one rule for --set


@pytest.mark.parametrize("key", ["num_rollouts", "search.num_rollouts"])
def test_search_and_eval_take_the_same_keys(key: str) -> None:
    assert changed(SearchSettings(), [f"{key}=3"], "search").num_rollouts == 3
    assert changed(AnsweringSettings(), [f"{key}=3"]).search.num_rollouts == 3


def test_keys_of_the_other_commands() -> None:
    assert changed(SelectionSettings(), ["selection.num_per_side=3"], "selection").num_per_side == 3
    assert changed(PPMSettings(num_epochs=1), ["ppm.save_steps=3"], "ppm").save_steps == 3
    assert changed(PPMSettings(num_epochs=1), ["save_steps=3"], "ppm").save_steps == 3
    assert changed(AnsweringSettings(), ["num_trees=3"]).num_trees == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sft.num_rollouts=3", "there is no group of settings 'sft'"),
        ("num_rolouts=3", "num_rolouts is not a known key"),
        ("num_rollouts", "is not of the form KEY=VALUE"),
        ("num_rollouts=[", "--set num_rollouts cannot be read"),
    ],
)
def test_keys_that_nothing_has(change: str, message: str) -> None:
    for settings in (SearchSettings(), AnsweringSettings()):
        with pytest.raises(ConfigError, match=message):
            changed(settings, [change], "search")


def test_search_knows_use_ppm_by_both_names() -> None:
    for key in ("use_ppm", "search.use_ppm"):
        said = refused("search", "pocket/train", "--limit", "1", "--out", "nowhere", "--set", f"{key}=true")
        assert "use_ppm is true, and pocket-base has no reward model" in said
