"""The problems of a run, kept apart from one another, and what of a recipe cannot be had, said before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from rstar_math.config import ProblemSource, Recipe
from rstar_math.errors import ConfigError, UserError
from rstar_math.models import ModelFolders, find_model
from rstar_math.problems.load import MADE, ProblemSet, load_problems, union, with_references
from rstar_math.problems.prepare import require_no_overlap


@dataclass(frozen=True)
class RunProblems:
    """The problems of a run: searched and trained on; steering the PPM; only ever evaluated on.

    `calibration` is None where the held-out problems serve. `of_rounds` are those of every round by its number, where
    any round has its own; `training` are then all that any round searches. Otherwise it is empty.
    """

    training: ProblemSet
    held_out: ProblemSet
    evaluation: ProblemSet
    threshold: ProblemSet | None
    calibration: ProblemSet | None = None
    of_rounds: Mapping[int, ProblemSet] = field(default_factory=dict)

    def searched(self, number: int) -> ProblemSet:
        """What a round searches."""
        return self.of_rounds[number] if self.of_rounds else self.training


def load_run_problems(recipe: Recipe) -> RunProblems:
    """Loads all problems of a recipe, and refuses problems that are both trained and measured on.

    Training and held-out problems without a usable reference are left out: nothing can be verified on them.

    Raises:
      DataError: no training or held-out problem has a reference.
      ConfigError: a held-out or evaluation question is also a training question.
    """
    settings = recipe.evaluation
    of_rounds = _of_rounds(recipe)
    problems = RunProblems(
        training=union(list(of_rounds.values())) if of_rounds else with_references(load_problems(recipe.problems)),
        held_out=with_references(load_problems(recipe.held_out.problems)),
        evaluation=load_problems(settings.problems),
        threshold=load_problems(settings.threshold_problems) if settings.threshold_problems else None,
        calibration=load_problems(recipe.calibration.problems) if recipe.calibration.problems else None,
        of_rounds=of_rounds,
    )
    trained = {p.question.strip() for p in problems.training.problems}
    for other in (problems.held_out, problems.evaluation, problems.threshold, problems.calibration):
        for p in other.problems if other else ():
            if p.question.strip() in trained:
                raise ConfigError(f"problem {p.id} of {other.name if other else ''} is also a training problem")
    if settings.overlap == "block":
        reported = [load_problems(ProblemSource(source=name)) for name in settings.reported]
        measured = [s for s in (problems.evaluation, problems.threshold) if s is not None]
        # these worlds ask in a few phrasings, so their questions share their words by construction
        others = [s for s in [*measured, *reported] if not s.name.startswith(MADE)]
        require_no_overlap(problems.training.problems, others)
    return problems


def _of_rounds(recipe: Recipe) -> dict[int, ProblemSet]:
    """What every round searches; nothing where no round has problems of its own."""
    own = [each.problems for each in recipe.rounds]
    if not any(own):
        return {}
    return {number: with_references(load_problems(source or recipe.problems)) for number, source in enumerate(own, 1)}


def load_parts(recipe: Recipe) -> tuple[RunProblems, ModelFolders]:
    """Loads what a run begins with: its problems and its base model; and looks for every other model of its rounds.

    Raises:
      UserError: something is not there, or unfit; names all that is at once.
    """
    try:
        problems = load_run_problems(recipe)
        base = find_model(recipe.base_model)
        base.policy_folder  # noqa: B018 (raises where it cannot be trained)
        for settings in recipe.rounds:
            if settings.policy not in ("base", "previous"):
                find_model(settings.policy)
    except UserError:
        lines = unfit_parts(recipe.model_dump())
        if len(lines) > 1:
            raise ConfigError("\n".join(lines)) from None
        raise
    return problems, base


def unfit_parts(values: Mapping[str, Any]) -> list[str]:
    """What a recipe names and what cannot be had: sets of problems, the base model, who searches; one line each.

    Args:
      values: a recipe as a mapping; parts that are not as the schema wants them are passed over.
    """
    lines: dict[str, None] = {}

    def tried(key: str, load: Callable[[], object]) -> None:
        try:
            load()
        except ValidationError:  # named by the schema
            pass
        except UserError as error:
            lines[f"{key}: {error}"] = None

    sources = {
        "problems": values.get("problems"),
        "held_out.problems": _at(values, "held_out", "problems"),
        "evaluation.problems": _at(values, "evaluation", "problems"),
        "evaluation.threshold_problems": _at(values, "evaluation", "threshold_problems"),
    }
    for name in _at(values, "evaluation", "reported") or ():
        sources[f"evaluation.reported ({name})"] = {"source": name}
    for key, source in sources.items():
        if isinstance(source, Mapping):
            loads = load_problems if key.startswith("evaluation") else _load_with_references
            tried(key, partial(_load_source, loads, source))
    base = values.get("base_model")
    if isinstance(base, str):
        tried("base_model", lambda: find_model(base).policy_folder)
    rounds = values.get("rounds")
    for number, settings in enumerate(rounds if isinstance(rounds, list | tuple) else ()):
        policy = settings.get("policy") if isinstance(settings, Mapping) else None
        own = settings.get("problems") if isinstance(settings, Mapping) else None
        if isinstance(own, Mapping):
            tried(f"rounds[{number}].problems", partial(_load_source, _load_with_references, own))
        if isinstance(policy, str) and policy not in ("base", "previous"):
            tried(f"rounds[{number}].policy", partial(find_model, policy))
    return list(lines)


def _at(values: Mapping[str, Any], group: str, key: str) -> Any:
    inner = values.get(group)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _load_source(load: Callable[[ProblemSource], ProblemSet], source: Mapping[str, Any]) -> None:
    load(ProblemSource.model_validate(source))


def _load_with_references(source: ProblemSource) -> ProblemSet:
    return with_references(load_problems(source))
