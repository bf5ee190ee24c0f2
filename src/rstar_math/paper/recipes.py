"""The recipes of the runs that a reproduction is made of: one for each training seed, and for each further base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rstar_math.config import FurtherBase, ProblemSource, Recipe
from rstar_math.config.reading import changed_recipe, check
from rstar_math.errors import ConfigError

if TYPE_CHECKING:
    from rstar_math.pocket.pretrain import PretrainSettings


def require_sound(recipe: Recipe, folder: Path) -> None:
    """What the settings of a reproduction must keep to, looked at hours before it is their turn.

    Args:
      recipe: what is reproduced.
      folder: where everything is kept.

    Raises:
      ConfigError: the settings contradict the recipe.
    """
    settings, num_rounds = recipe.reproduce, len(recipe.rounds)
    if len(set(settings.seeds)) < len(settings.seeds):
        raise ConfigError(f"reproduce.seeds is {settings.seeds}; each seed may stand there once")
    if settings.own_problems and recipe.evaluation.problems.num_problems is None:
        raise ConfigError("reproduce.own_problems needs evaluation.problems.num_problems, the size of each slice")
    if recipe.evaluation.system is None:
        raise ConfigError("evaluation.system is null: there is no system to reproduce the paper's tables with")
    wrong = [n for n in settings.method_rounds if not 1 <= n <= num_rounds]
    if wrong:
        raise ConfigError(f"reproduce.method_rounds has {wrong[0]}; the recipe has rounds 1 to {num_rounds}")
    for base in settings.further_bases:
        if further_recipe(recipe, base, settings.seeds[0], folder).evaluation.system is None:
            raise ConfigError(f"{_changes_of(base)}: evaluation.system is null: there is no system to measure")
        if base.model is None:
            pretraining(base)


def seed_recipe(recipe: Recipe, seed: int) -> Recipe:
    """The recipe of one training seed: its own seed, and its own problems where the settings say so."""
    settings = recipe.reproduce
    recipe = recipe.model_copy(update={"seed": seed, "reproduce": type(settings)()})
    if not settings.own_problems:
        return recipe
    evaluation = recipe.evaluation
    size = evaluation.problems.num_problems or 0
    skip = evaluation.problems.skip + settings.seeds.index(seed) * size
    changes: dict[str, Any] = {
        "problems": _own(recipe.problems, seed),
        "rounds": tuple(r.model_copy(update={"problems": _own(r.problems, seed)}) for r in recipe.rounds),
        "held_out": recipe.held_out.model_copy(update={"problems": _own(recipe.held_out.problems, seed)}),
        "evaluation": evaluation.model_copy(
            update={
                "problems": evaluation.problems.model_copy(update={"skip": skip}),
                "threshold_problems": _own(evaluation.threshold_problems, seed),
            }
        ),
    }
    return recipe.model_copy(update=changes)


def further_recipe(recipe: Recipe, base: FurtherBase, seed: int, folder: Path) -> Recipe:
    """The recipe of a further base under one training seed, in the folder of a reproduction.

    Raises:
      ConfigError: its changes are none of the recipe.
    """
    changes = {"base_model": base.model or str(place_of(base, folder) / "base"), "name": base.name}
    return changed_recipe(seed_recipe(recipe, seed).model_copy(update=changes), base.changes, _changes_of(base))


def place_of(base: FurtherBase, folder: Path) -> Path:
    """Where a further base and its runs lie, in the folder of a reproduction."""
    return folder / "bases" / base.name


def _changes_of(base: FurtherBase) -> str:
    return f"reproduce.further_bases, {base.name}: changes"


def pretraining(base: FurtherBase) -> PretrainSettings:
    """How a further base of the pocket world is made.

    Raises:
      ConfigError: no such setting, or its value is not allowed.
    """
    from rstar_math.pocket.pretrain import PretrainSettings

    return check(PretrainSettings, base.pretrain, f"reproduce.further_bases, {base.name}: pretrain")


def _own(source: ProblemSource | None, seed: int) -> Any:
    """The same kind of problems, drawn with another seed."""
    return None if source is None else source.model_copy(update={"seed": source.seed + seed})
