"""Recipes: what is not allowed is an error that names the key, the value and the choice."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rstar_math.config import AnsweringSettings, PPMSettings, Recipe, SearchSettings, Settings, SFTSettings
from rstar_math.config.reading import check, load_recipe, shipped_recipes
from rstar_math.errors import ConfigError

ROUND = {
    "search": {"num_rollouts": 8, "use_ppm": False},
    "sft": {"num_steps": 30},
    "ppm": {"num_epochs": 1},
}
PLAIN: dict[str, Any] = {
    "name": "plain",
    "problems": {"source": "pocket/train", "num_problems": 10},
    "rounds": [
        {**ROUND, "policy": "base"},
        copy.deepcopy(ROUND),
        {**copy.deepcopy(ROUND), "extra": [{"num_rollouts": 16}]},
    ],
    "evaluation": {
        "problems": {"source": "pocket/test", "num_problems": 10},
        "system": {"num_trees": 2, "search": {"num_candidates": 4}},
    },
}


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """The plain recipe with values set at keys like `rounds[2].search.top_p`; `...` removes a key."""
    recipe = copy.deepcopy(PLAIN)
    for key, value in changes:
        *parents, last = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", key)]
        at: Any = recipe
        for part in parents:
            at = at[part] if isinstance(at, list) else at.setdefault(part, {})
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return recipe


def test_the_plain_recipe_is_allowed() -> None:
    recipe = check(Recipe, PLAIN, "plain.yaml")
    assert recipe.rounds[2].extra[0].num_rollouts == 16
    assert recipe.evaluation.system is not None
    assert recipe.evaluation.system.search.num_candidates == 4
    assert recipe.base_model == "pocket-base"


def test_defaults_are_the_papers() -> None:
    search = SearchSettings()
    assert (search.num_rollouts, search.num_candidates, search.exploration, search.max_depth) == (16, 8, 2.0, 16)
    assert (search.temperature, search.unvisited, search.failure_value, search.prior_weight) == (1.0, "first", -1, 0.0)
    assert (search.backup_dead_ends, search.answer_siblings, search.max_consecutive_errors) == (True, "keep", 0)
    answering = AnsweringSettings()
    assert (answering.search.num_candidates, answering.search.terminal_value) == (32, "ppm")
    assert (answering.selector, answering.aggregate, answering.num_trees) == ("best", "last", 1)
    assert PPMSettings(num_epochs=1).scale == 5.0
    assert SFTSettings(num_epochs=2).learning_rate == 7e-6


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("nam", "x", "is not a known key; did you mean 'name'?"),
        ("rounds[2].search.num_rolouts", 4, "is not a known key; did you mean 'num_rollouts'?"),
        ("rounds[0].sft.learning_rat", 1, "is not a known key; did you mean 'learning_rate'?"),
        ("rounds[2].extra[0].rollouts", 4, "is not a known key; did you mean 'num_rollouts'?"),
        ("evaluation.system.search.temprature", 1, "is not a known key; did you mean 'temperature'?"),
        ("runtime.cpu_s", 1, "is not a known key; it is now runtime.execution.cpu_s"),
        ("runtime.execution.cpu", 1, "is not a known key; did you mean 'cpu_s'?"),
        ("problems.zzz", 1, "is not a known key; known here: source, num_problems, skip, seed"),
        ("rounds[1].search.num_rollouts", 0, "is 0; Input should be greater than or equal to 1"),
        ("rounds[1].search.unvisited", "last", "is 'last'; Input should be 'first' or 'zero_bonus'"),
        ("rounds[1].search.failure_value", -2, "is -2; Input should be -1 or 0"),
        ("rounds[1].search.exploration", math.inf, "is inf; Input should be a finite number"),
        ("rounds[1].ppm.scale", math.nan, "is nan; Input should be a finite number"),
        ("evaluation.system.selector", "bset", "is 'bset'; Input should be 'best', 'vote', 'majority' or 'fitted'"),
        ("rounds[1].sft.learning_rate", "fast", "is 'fast'; Input should be a valid number"),
        ("rounds[1].search", None, "is None; Input should be"),
        ("rounds", [], "is []; Tuple should have at least 1 item"),
        ("problems.source", ..., "is missing; it must be given"),
        ("evaluation", ..., "is missing; it must be given"),
    ],
)
def test_errors_name_the_key_the_value_and_the_choice(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(Recipe, changed((key, value)), "mine.yaml")
    assert str(error.value).startswith(f"mine.yaml: {key} {message}")


@pytest.mark.parametrize("length", [{}, {"num_epochs": 2, "num_steps": 30}])
def test_training_is_as_long_as_one_key_says(length: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"rounds\[1\].sft is .*; give exactly one of num_epochs and num_steps"):
        check(Recipe, changed(("rounds[1].sft", length)), "mine.yaml")


def test_every_mistake_is_listed() -> None:
    wrong = changed(("nam", 1), ("rounds[0].search.top_p", 2), ("evaluation.target_precision", 0))
    with pytest.raises(ConfigError) as error:
        check(Recipe, wrong, "mine.yaml")
    assert len(str(error.value).splitlines()) == 3


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SearchSettings().num_rollouts = 3


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = check(Recipe, PLAIN, "plain.yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "cannot be read"),
        ("- a\n- b\n", "must be a mapping of keys to values, got list"),
        ("", "must be a mapping of keys to values, got NoneType"),
        ("name: x\n", "problems is missing; it must be given"),
    ],
)
def test_files_that_are_no_recipes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe(str(path))
    assert "broken.yaml" in str(error.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml cannot be read"):
        load_recipe(str(path))


def test_recipes_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match="no recipe 'nowhere': it is neither a file nor one of"):
        load_recipe("nowhere")


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(name)
    assert len(recipe.rounds) >= 1
    assert recipe.rounds[0].policy == "base"
    assert all(r.policy == "previous" for r in recipe.rounds[1:])
    # searching by a PPM needs one: round 1 has none, and answering never sees a reference
    assert not recipe.rounds[0].search.use_ppm
    assert all(r.search.terminal_value == "reference" for r in recipe.rounds)
    if recipe.evaluation.system is not None:
        assert recipe.evaluation.system.search.terminal_value == "ppm"
    # found from anywhere, also beside a folder of the same name, and never for a path that does not exist
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert load_recipe(name) == load_recipe(f"recipes/{name}.yaml") == recipe
    with pytest.raises(ConfigError, match="no recipe"):
        load_recipe(f"mine/{name}.yaml")


def _all_settings(of: type[Settings] = Settings) -> list[type[Settings]]:
    return [s for sub in of.__subclasses__() for s in (sub, *_all_settings(sub))]


def test_every_setting_says_what_it_is() -> None:
    assert len(_all_settings()) >= 13
    for settings in _all_settings():
        assert settings.__doc__
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name}"


def test_a_recipe_extends_another(tmp_path: Path) -> None:
    parent = copy.deepcopy(PLAIN)
    (tmp_path / "parent.yaml").write_text(yaml.safe_dump(parent))
    child = {
        "extends": "parent.yaml",
        "name": "child",
        "evaluation": {"problems": {"num_problems": 7}},
        "rounds": {"sft": {"learning_rate": 5e-6}, "search": {"num_candidates": 3}},
    }
    (tmp_path / "child.yaml").write_text(yaml.safe_dump(child))
    (tmp_path / "grandchild.yaml").write_text(
        yaml.safe_dump({"extends": "child.yaml", "rounds": [{**ROUND, "policy": "base"}]})
    )
    recipe = load_recipe(str(tmp_path / "child.yaml"))
    assert recipe.name == "child"
    assert recipe.evaluation.problems.source == "pocket/test"  # merged key by key
    assert recipe.evaluation.problems.num_problems == 7
    assert [r.sft.learning_rate for r in recipe.rounds] == [5e-6] * 3  # a mapping goes into every item of a list
    assert [r.search.num_candidates for r in recipe.rounds] == [3] * 3
    assert [r.policy for r in recipe.rounds] == ["base", "previous", "previous"]
    assert recipe.rounds[2].extra[0].num_rollouts == 16
    shorter = load_recipe(str(tmp_path / "grandchild.yaml"))
    assert len(shorter.rounds) == 1  # a list replaces a list
    assert shorter.name == "child"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: other.yaml\n", r"no recipe 'other.yaml'"),
        ("extends: {paper: 1}\n", r"extends is \{'paper': 1\}; it must be the name or path"),
        ("extends: [paper, 3]\n", r"extends is \['paper', 3\]; it must be the name or path"),
        ("extends: me.yaml\n", r"in a circle: me extends me"),
        ("extends: paper\nrounds: {sft: {learning_rat: 1}}\n", r"rounds\[0\]\.sft\.learning_rat is not a known key"),
    ],
)
def test_a_recipe_that_cannot_extend_says_why(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "me.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(str(tmp_path / "me.yaml"))


def test_the_real_recipes_are_the_papers_but_for_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    paper, qwen, phi = (load_recipe(name) for name in ("paper", "qwen2.5-math-7b", "phi3-mini"))
    for recipe in (qwen, phi):
        for ours, theirs in zip(recipe.rounds, paper.rounds, strict=True):
            assert ours.search == theirs.search
            assert (ours.sft.num_epochs, ours.sft.batch_size, ours.ppm.batch_size) == (2, 128, 512)
            assert ours.sft.num_processes is ours.ppm.num_processes is None
            assert ours.sft.gradient_checkpointing
            assert ours.ppm.gradient_checkpointing
    assert {(r.sft.learning_rate, r.sft.schedule) for r in qwen.rounds} == {(7e-6, "linear")}
    assert {(r.sft.learning_rate, r.sft.schedule) for r in phi.rounds} == {(5e-6, "cosine")}
    assert load_recipe("qwen2.5-math-1.5b").base_model == "Qwen/Qwen2.5-Math-1.5B"
    assert load_recipe("recipes/qwen2-math-7b.yaml").base_model == "Qwen/Qwen2-Math-7B"
