"""Settings of single commands: from a recipe, changed by `--set KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rstar_math.config import Recipe, RoundSettings, RuntimeSettings, Settings
from rstar_math.config.reading import check, load_recipe
from rstar_math.config.yaml_text import parse_yaml
from rstar_math.errors import ConfigError

SettingsT = TypeVar("SettingsT", bound=Settings)


def changed(settings: SettingsT, changes: Sequence[str], group: str = "") -> SettingsT:
    """Settings with `KEY=VALUE` changes.

    KEY is written as in a recipe: `search.num_rollouts`, `sft.learning_rate`. The name of the group may be left out
    where one group alone has the key: `num_rollouts` means the same for `rstar search`, whose settings are that group,
    and for `rstar eval`, whose settings hold it.

    Args:
      settings: what is changed.
      changes: each KEY=VALUE.
      group: what a recipe calls these settings as a whole; KEY may begin with it.

    Raises:
      ConfigError: not of the form KEY=VALUE, an unknown key, or a value that is not allowed.
    """
    value: dict[str, Any] = settings.model_dump()
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change!r} is not of the form KEY=VALUE")
        target = value
        *outer, last = _whole_key(key.strip().split("."), value, group)
        for part in outer:
            if not isinstance(target.get(part), dict):
                raise ConfigError(f"--set {change!r}: there is no group of settings {part!r}")
            target = target[part]
        target[last] = parse_yaml(text, f"--set {key.strip()}")
    return check(type(settings), value, "--set")


def _whole_key(parts: list[str], value: dict[str, Any], group: str) -> list[str]:
    """A key without the name of the whole group, and with that of the inner group that alone has it."""
    if len(parts) > 1 and parts[0] == group and group not in value:
        parts = parts[1:]
    if parts[0] not in value:
        inner = [name for name, settings in value.items() if isinstance(settings, dict) and parts[0] in settings]
        if len(inner) == 1:
            return [inner[0], *parts]
    return parts


def round_of(recipe: str, number: int | None) -> tuple[Recipe, RoundSettings]:
    """A round of a recipe, counted from 1; None: the last.

    Raises:
      ConfigError: it has no such round.
    """
    loaded = load_recipe(recipe)
    number = len(loaded.rounds) if number is None else number
    if not 1 <= number <= len(loaded.rounds):
        raise ConfigError(f"--round is {number}; {recipe} has rounds 1 to {len(loaded.rounds)}")
    return loaded, loaded.rounds[number - 1]


def with_rounds(recipe: Recipe, number: int | None) -> Recipe:
    """A recipe with so many rounds: further ones are as its last, and fewer are its first; None: as it is.

    Raises:
      ConfigError: fewer than one.
    """
    if number is None:
        return recipe
    if number < 1:
        raise ConfigError(f"--rounds is {number}; it must be at least 1")
    further = (recipe.rounds[-1],) * (number - len(recipe.rounds))
    return recipe.model_copy(update={"rounds": (recipe.rounds + further)[:number]})


def runtime_with(
    runtime: RuntimeSettings,
    workers: int | None,
    concurrency: int | None = None,
    deterministic: bool = False,
    cluster: str | None = None,
) -> RuntimeSettings:
    """Runtime settings with what the command line says about this machine, and about others."""
    changes = {
        "num_workers": workers,
        "concurrency": concurrency,
        "deterministic": deterministic or None,
        "cluster": cluster,
    }
    value = runtime.model_dump() | {k: v for k, v in changes.items() if v is not None}
    return check(RuntimeSettings, value, "command line")
