"""Recipes made of others: what has the last word, where a value comes from, and which file a mistake stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rstar_math.config.reading import load_recipe, read_recipe, shipped_fragments, shipped_recipes
from rstar_math.errors import ConfigError

TRAINING = {"sft": {"num_epochs": 2}, "ppm": {"num_epochs": 1}}
WHOLE: dict[str, Any] = {
    "name": "whole",
    "problems": {"source": "pocket/train", "num_problems": 10},
    "rounds": [
        {"policy": "base", "search": {"use_ppm": False, "num_rollouts": 4}, **TRAINING},
        {"search": {"num_rollouts": 8}, **TRAINING},
    ],
    "evaluation": {"problems": {"source": "pocket/test", "num_problems": 10}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "whole.yaml", WHOLE)
    return tmp_path


def write(path: Path, recipe: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return str(path)


def test_of_several_recipes_the_later_has_the_last_word(folder: Path) -> None:
    write(folder / "one.yaml", {"seed": 1, "selection": {"min_q_margin": 0.5, "num_per_side": 3}})
    write(folder / "two.yaml", {"seed": 2, "selection": {"min_q_margin": 0.25}})
    both = write(folder / "both.yaml", {"extends": ["whole.yaml", "one.yaml", "two.yaml"], "name": "both"})
    recipe = load_recipe(both)
    assert (recipe.name, recipe.seed) == ("both", 2)
    assert (recipe.selection.min_q_margin, recipe.selection.num_per_side) == (0.25, 3)
    turned = write(folder / "turned.yaml", {"extends": ["whole.yaml", "two.yaml", "one.yaml"], "seed": 9})
    recipe = load_recipe(turned)
    assert (recipe.seed, recipe.selection.min_q_margin) == (9, 0.5)


def test_a_fragment_changes_all_rounds_above_or_below_a_whole_recipe(folder: Path) -> None:
    write(folder / "fragment.yaml", {"rounds": {"search": {"num_rollouts": 5, "unvisited": "zero_bonus"}}})
    above = load_recipe(write(folder / "above.yaml", {"extends": ["whole.yaml", "fragment.yaml"]}))
    assert [(r.search.num_rollouts, r.search.unvisited) for r in above.rounds] == [(5, "zero_bonus")] * 2
    assert [r.search.use_ppm for r in above.rounds] == [False, True]
    below = load_recipe(write(folder / "below.yaml", {"extends": ["fragment.yaml", "whole.yaml"]}))
    assert [(r.search.num_rollouts, r.search.unvisited) for r in below.rounds] == [(4, "zero_bonus"), (8, "zero_bonus")]
    own = {**WHOLE, "extends": "fragment.yaml", "name": "own"}
    assert load_recipe(write(folder / "own.yaml", own)).rounds == below.rounds


def test_the_file_that_has_the_last_word_is_named(folder: Path) -> None:
    write(folder / "fragment.yaml", {"rounds": {"search": {"num_rollouts": 5}}, "selection": {"num_per_side": 3}})
    top = write(folder / "top.yaml", {"extends": ["whole.yaml", "fragment.yaml"], "selection": {"min_q_margin": 0.5}})
    read = read_recipe(top)
    assert [p.name for p in read.files] == ["top.yaml", "whole.yaml", "fragment.yaml"]
    named = {location: path.name for location, path in read.sources.items()}
    assert named["name",] == "whole.yaml"
    assert named["rounds", 1, "search", "num_rollouts"] == "fragment.yaml"
    assert named["rounds", 0, "search", "use_ppm"] == "whole.yaml"
    assert named["selection", "num_per_side"] == "fragment.yaml"
    assert named["selection", "min_q_margin"] == "top.yaml"
    assert ("selection", "num_trajectories") not in named  # a default
    assert read.recipe == load_recipe(top)


def test_the_same_recipe_may_be_extended_twice(folder: Path) -> None:
    write(folder / "left.yaml", {"extends": "whole.yaml", "seed": 1})
    write(folder / "right.yaml", {"extends": "whole.yaml", "name": "right"})
    read = read_recipe(write(folder / "top.yaml", {"extends": ["left.yaml", "right.yaml"]}))
    assert read.recipe.name == "right"
    assert read.recipe.seed == 1  # right.yaml does not say anything about the seed, nor does whole.yaml
    assert [p.name for p in read.files] == ["top.yaml", "left.yaml", "whole.yaml", "right.yaml"]


def test_mistakes_name_the_file_they_stand_in(folder: Path) -> None:
    fragment = folder / "fragment.yaml"
    write(fragment, {"rounds": {"search": {"num_rolouts": 5}}, "selection": {"min_q_margin": 3}})
    top = write(folder / "top.yaml", {"extends": ["whole.yaml", "fragment.yaml"], "sed": 1})
    with pytest.raises(ConfigError) as error:
        load_recipe(top)
    of_fragment, of_top = str(error.value).split(f"{top}: ")
    assert of_fragment.startswith(f"{fragment}: selection.min_q_margin is 3; ")
    assert "rounds[1].search.num_rolouts is not a known key; did you mean 'num_rollouts'?" in of_fragment
    assert of_top == "sed is not a known key; did you mean 'seed'?"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"me": {"extends": ["whole.yaml", "other"]}},
            r"no recipe 'other' \(extended by .*me\.yaml\): .*official-rules",
        ),
        (
            {"me": {"extends": ["whole.yaml", "a.yaml"]}, "a": {"extends": "b.yaml"}, "b": {"extends": ["a.yaml"]}},
            r"in a circle: me extends a extends b extends a",
        ),
        ({"me": {"rounds": {"search": {}}}}, r"me\.yaml is a fragment: .* `extends: \[pocket, me\.yaml\]`"),
        ({"me": {"extends": []}}, r"me\.yaml: name is missing; it must be given"),
    ],
)
def test_recipes_that_cannot_be_put_together(files: dict[str, Any], message: str, folder: Path) -> None:
    for name, recipe in files.items():
        write(folder / f"{name}.yaml", recipe)
    with pytest.raises(ConfigError, match=message):
        load_recipe(str(folder / "me.yaml"))


def test_the_shipped_fragments_go_on_top_of_any_shipped_recipe(folder: Path) -> None:
    assert shipped_fragments() == ["official-rules", "paper-rules", "sampling-rules"]
    for fragment in ("official-rules", "paper-rules"):
        with pytest.raises(ConfigError, match=rf"is a fragment: .* `extends: \[pocket, {fragment}\]`"):
            load_recipe(fragment)
        for name in shipped_recipes():
            recipe = load_recipe(write(folder / "top.yaml", {"extends": [name, fragment]}))
            assert len(recipe.rounds) == len(load_recipe(name).rounds)
            assert {r.search.backup_dead_ends for r in recipe.rounds} == {fragment == "paper-rules"}
            assert recipe.selection.min_q_margin == (0.0 if fragment == "paper-rules" else 0.5)
            assert [r.search.num_rollouts for r in recipe.rounds] == [
                r.search.num_rollouts for r in load_recipe(name).rounds
            ]


def test_the_rules_of_the_released_code() -> None:
    paper, official = load_recipe("paper"), load_recipe("official")
    for mine, theirs in zip(official.rounds, paper.rounds, strict=True):
        assert (mine.search.unvisited, theirs.search.unvisited) == ("zero_bonus", "first")
        assert (mine.search.backup_dead_ends, theirs.search.backup_dead_ends) == (False, True)
        assert (mine.search.answer_siblings, theirs.search.answer_siblings) == ("drop", "keep")
        assert mine.search.exploration == theirs.search.exploration == 2.0
        assert mine.search.max_depth == theirs.search.max_depth == 16
    assert [r.search.max_consecutive_errors for r in official.rounds] == [1, 0, 0, 0]
    assert {r.search.max_consecutive_errors for r in paper.rounds} == {0}
    assert (official.selection.min_q_margin, paper.selection.min_q_margin) == (0.5, 0.0)
    assert (official.selection.min_edit_distance, paper.selection.min_edit_distance) == (20, 0)
    assert (official.selection.fill_one_sided, paper.selection.fill_one_sided) == (True, False)
    assert paper.evaluation.system is not None
    assert official.evaluation.system is not None
    assert paper.evaluation.system.search.num_candidates == official.evaluation.system.search.num_candidates == 32
    assert paper.evaluation.system.search.terminal_value == official.evaluation.system.search.terminal_value == "ppm"
