"""The problems of a run: rounds with problems of their own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.config import ProblemSource, Recipe
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError, DataError
from rstar_math.paper.recipes import seed_recipe
from rstar_math.stages.problems import load_run_problems, unfit_parts


def with_own(recipe: Recipe, *own: ProblemSource | None) -> Recipe:
    """The recipe with problems of their own for its first rounds."""
    rounds = [r.model_copy(update={"problems": p}) for r, p in zip(recipe.rounds, own, strict=True)]
    return recipe.model_copy(update={"rounds": tuple(rounds)})


SHALLOW = ProblemSource(source="composed/train/3-4", num_problems=5)
DEEP = ProblemSource(source="composed/train/7-9", num_problems=4)


def test_rounds_without_their_own_share_the_recipes() -> None:
    problems = load_run_problems(load_recipe("smoke"))
    assert problems.searched(1) is problems.searched(2) is problems.training
    assert problems.of_rounds == {}


def test_each_round_searches_its_own() -> None:
    problems = load_run_problems(with_own(load_recipe("smoke"), SHALLOW, DEEP))
    assert {p.tier for p in problems.searched(1).problems} == {"3-4"}
    assert {p.tier for p in problems.searched(2).problems} == {"7-9"}
    assert problems.training.problems == problems.searched(1).problems + problems.searched(2).problems
    assert problems.training.name == "composed/train/3-4 + composed/train/7-9"


def test_a_round_without_its_own_keeps_the_recipes_and_all_count_as_trained() -> None:
    problems = load_run_problems(with_own(load_recipe("smoke"), None, DEEP))
    shared = load_run_problems(load_recipe("smoke")).training
    assert problems.searched(1).problems == shared.problems
    assert problems.training.problems == (*shared.problems, *problems.searched(2).problems)
    assert len(load_run_problems(with_own(load_recipe("smoke"), SHALLOW, SHALLOW)).training.problems) == 5


def test_a_rounds_own_problems_are_held_apart_from_what_is_measured() -> None:
    measured = load_recipe("smoke").evaluation.problems
    with pytest.raises(ConfigError, match="is also a training problem"):
        load_run_problems(with_own(load_recipe("smoke"), None, measured))


def test_two_problems_of_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"id": "1", "problem": "{name}?", "answer": "12"}}\n')
    own = [ProblemSource(source=str(tmp_path / f"{name}.jsonl")) for name in ("one", "two")]
    with pytest.raises(DataError, match="have the id '1'"):
        load_run_problems(with_own(load_recipe("smoke"), *own))


def test_a_rounds_problems_that_are_not_there_are_named() -> None:
    lines = unfit_parts(with_own(load_recipe("smoke"), None, ProblemSource(source="composed/dev")).model_dump())
    assert lines == ["rounds[1].problems: no composed split 'dev'; choose from train, validation, test, base"]


def test_training_seeds_draw_a_rounds_problems_anew() -> None:
    recipe = with_own(load_recipe("smoke"), None, DEEP)
    recipe = recipe.model_copy(update={"reproduce": recipe.reproduce.model_copy(update={"own_problems": True})})
    other = seed_recipe(recipe, 3).rounds
    assert other[0].problems is None
    assert other[1].problems == DEEP.model_copy(update={"seed": 3})
