"""Methods of answering that are measured side by side: read from a file, and made ready for one model.

A method is a strategy with a reward model and settings. What it does not name it takes from the model's own answering
settings, so that methods differ in what they are about and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.checkpoints.ppm_file import FILE_NAME as PPM_FILE
from rstar_math.checkpoints.ppm_file import is_reward_model
from rstar_math.config import AnsweringSettings, BudgetSettings, MethodList, MethodSettings
from rstar_math.config.reading import RECIPES, check
from rstar_math.config.yaml_text import read_yaml
from rstar_math.errors import ConfigError, ModelError
from rstar_math.models import ModelFolders, default_answering
from rstar_math.search.strategies import strategy
from rstar_math.store.round import Round, is_run

_SHIPPED = RECIPES / "methods"


@dataclass(frozen=True, slots=True)
class Method:
    """A method made ready for one model.

    Attributes:
      name: what tables call it.
      settings: how it searches and chooses, strategy and budget included.
      reward_model: what tables call the reward model: "ppm" for the model's own, "none", or the name that was given.
      reward_model_folder: folder of the reward model; None without one.
    """

    name: str
    settings: AnsweringSettings
    reward_model: str
    reward_model_folder: Path | None

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.settings.strategy


def shipped_methods() -> list[str]:
    """Names of the files of methods inside the package."""
    return sorted(p.stem for p in _SHIPPED.glob("*.yaml"))


def read_methods(name_or_path: str) -> MethodList:
    """Reads a file of methods: a YAML file, or the name of one inside the package.

    Raises:
      ConfigError: no such file, not YAML, an unknown key, two methods of one name, an unknown strategy, or a baseline
        that is not among them.
    """
    path = Path(name_or_path)
    if not path.is_file():
        path = _SHIPPED / f"{name_or_path}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no methods {name_or_path!r}: it is neither a file nor one of {', '.join(shipped_methods()) or '(none)'}"
        )
    value = read_yaml(path, "methods")
    if isinstance(value, list):
        value = {"methods": value}
    if not isinstance(value, dict):
        raise ConfigError(f"methods {path} must be a list of methods, or a mapping with `methods`")
    found = check(MethodList, value, str(path))
    check_methods(found.methods, found.baseline, str(path))
    return found


def check_methods(methods: Sequence[MethodSettings], baseline: str | None, where: str) -> None:
    """Checks what can be checked without a model.

    Raises:
      ConfigError: two methods of one name, an unknown strategy, unknown settings, or an unknown baseline.
    """
    names = [m.name for m in methods]
    for i, method in enumerate(methods):
        if method.name in names[:i]:
            raise ConfigError(f"{where}: two methods are called {method.name!r}; names must differ")
        strategy(method.strategy)
        _settings(AnsweringSettings(), method, where)
    if baseline is not None and baseline not in names:
        raise ConfigError(f"{where}: baseline is {baseline!r}, which is none of the methods: {', '.join(names)}")


def prepare(
    method: MethodSettings,
    model: ModelFolders,
    budget: BudgetSettings | None = None,
    reward_models: Mapping[str, Path] | None = None,
    adjust: Callable[[AnsweringSettings], AnsweringSettings] | None = None,
) -> Method:
    """Makes a method ready for a model.

    Args:
      method: the method.
      model: the model that answers.
      budget: what one answer may cost; None: as the settings say.
      reward_models: folders of reward models by name.
      adjust: has the last word on the settings.

    Raises:
      ConfigError: settings that do not exist, values that are not allowed, or a choice by scores where nothing scores.
      ModelError: there is no such reward model.
    """
    settings = _settings(default_answering(model), method, f"method {method.name!r}")
    if adjust is not None:
        settings = adjust(settings)
        if settings.strategy != method.strategy:
            raise ConfigError(
                f"method {method.name!r}: the changes make its strategy {settings.strategy!r}; a method's strategy is "
                "named by --strategy, or by `strategy` in a file of methods"
            )
    if budget is not None:
        settings = settings.model_copy(update={"budget": budget})
    way = strategy(settings.strategy)
    if way.is_deterministic:  # there is nothing to choose from
        return Method(method.name, settings, "none", None)
    name, folder = _reward_model(method, model, reward_models or {})
    if method.reward_model == "none":
        if settings.selector != "majority" and settings.weight == "score":
            raise ConfigError(
                f"method {method.name!r} chooses by {settings.selector!r} of scores, and its reward model is "
                "none; give `selector: majority` or `weight: logprob` in its `answering`, or a reward model"
            )
        settings = settings.model_copy(update={"search": settings.search.model_copy(update={"use_ppm": False})})
    elif folder is None and settings.search.use_ppm:
        raise ModelError(
            f"method {method.name!r} needs a reward model, and {model.name} has none; name one by `reward_model`, or "
            "let it do without by `reward_model: none`"
        )
    by_score = settings.search.terminal_value == "ppm" and way.needs_value
    if by_score and (folder is None or method.reward_model == "none"):
        lacks = "its reward model is none" if method.reward_model == "none" else f"{model.name} has none"
        raise ModelError(
            f"method {method.name!r}: {method.strategy} values its answers by a reward model, and {lacks}; name one by "
            "`reward_model`, or take the strategy sample, which needs none"
        )
    if not settings.search.use_ppm and settings.search.terminal_value != "ppm":
        name, folder = "none", None
    return Method(method.name, settings, name, folder)


def _settings(own: AnsweringSettings, method: MethodSettings, where: str) -> AnsweringSettings:
    if "strategy" in method.answering:
        raise ConfigError(f"{where}, {method.name}: name the strategy beside `answering`, not in it")
    value = _laid_on(own.model_dump(), method.answering) | {"strategy": method.strategy}
    return check(AnsweringSettings, value, f"{where}, {method.name}: answering")


def _laid_on(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`, mapping by mapping."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _laid_on(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def _reward_model(
    method: MethodSettings, model: ModelFolders, reward_models: Mapping[str, Path]
) -> tuple[str, Path | None]:
    name = method.reward_model
    if name == "none":
        return "none", None
    if name is None or (name == "ppm" and "ppm" not in reward_models):
        return ("ppm", model.reward_model) if model.reward_model is not None else ("none", None)
    beside = model.policy.parent / name if isinstance(model.policy, Path) else Path(name)
    for folder in (reward_models.get(name), beside, Path(name)):
        if folder is not None and is_reward_model(folder):
            return name if folder != Path(name) else folder.name, folder
    raise ModelError(
        f"method {method.name!r}: there is no reward model {name!r}: neither by --reward-model {name}=FOLDER, nor in "
        f"{beside}, nor in a folder of this name (a folder with {PPM_FILE}); {_how_to_make(name, model)}"
    )


def _how_to_make(reward_model: str, model: ModelFolders) -> str:
    """The command that makes a reward model, as far as its name and the model's folder tell."""
    kind = reward_model if reward_model in ("orm", "pqm") else "orm|pqm"
    found = _round_of(model)
    if found is None:
        return f"`rstar train {kind} --run RUN` makes one for a run"
    return f"`rstar train {kind} --run {found.run} --round {found.number}` makes it"


def _round_of(model: ModelFolders) -> Round | None:
    """The round of a run that a model comes from."""
    if isinstance(model.policy, Path):
        found = Round.at(model.policy.parent)
        return found if found is not None and is_run(found.run) else None
    return None


def available(
    methods: Sequence[MethodSettings], model: ModelFolders, reward_models: Mapping[str, Path]
) -> tuple[list[MethodSettings], list[str]]:
    """The methods whose reward model is there, and for each other one that is missing a sentence that says so."""
    found: list[MethodSettings] = []
    missing: dict[str, list[str]] = {}
    for method in methods:
        try:
            _reward_model(method, model, reward_models)
        except ModelError:
            missing.setdefault(str(method.reward_model), []).append(method.name)
        else:
            found.append(method)
    notes = [
        f"left out, because {model.name} has no reward model {name!r}: {'; '.join(names)}. {_how_to_make(name, model)}"
        for name, names in missing.items()
    ]
    return found, notes


def same_searches(methods: Sequence[Method]) -> list[str]:
    """Sentences on methods that search the same way under their settings, so that their rows are equal."""
    notes = []
    for i, second in enumerate(methods):
        for first in methods[:i]:
            names = {first.settings.strategy, second.settings.strategy}
            search = first.settings.search
            alike = second.settings.model_copy(update={"strategy": first.settings.strategy}) == first.settings
            if not alike or first.reward_model_folder != second.reward_model_folder:
                continue
            if names == {"mcts", "forest"} and search.num_rollouts == 1:
                notes.append(
                    f"{first.name} and {second.name} are the same search here: with num_rollouts 1 every tree of mcts "
                    "is one fresh descent. To compare them, let mcts grow one large tree: --methods pocket, or --set "
                    f"search.num_rollouts={max(2, first.settings.num_trees)} --set num_trees=1"
                )
            elif names == {"beam", "diverse_beam"} and search.beam_width == 1:
                notes.append(
                    f"{first.name} and {second.name} are the same search here: with beam_width 1 there is one prefix. "
                    "To compare them: --set search.beam_width=2"
                )
    return notes


def named_reward_models(values: Sequence[str]) -> dict[str, Path]:
    """Folders of reward models by name, from NAME=FOLDER.

    Raises:
      ConfigError: not of that form.
      ModelError: a folder holds no reward model.
    """
    found = {}
    for value in values:
        name, equals, folder = value.partition("=")
        if not equals or not name or not folder:
            raise ConfigError(f"--reward-model {value!r} is not of the form NAME=FOLDER")
        if not is_reward_model(Path(folder)):
            raise ModelError(f"--reward-model {value}: {folder} holds no reward model (it has no {PPM_FILE})")
        found[name] = Path(folder)
    return found
