"""Reading recipes: YAML with the schema of `rstar_math.config`; errors name the key, the value and the choice."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from rstar_math.config import Recipe, Settings
from rstar_math.errors import ConfigError

_SHIPPED = Path(__file__).parent.parent / "recipes"


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(p.stem for p in _SHIPPED.glob("*.yaml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Reads a recipe: a YAML file, or the name of one inside the package (`pocket`, `smoke`, `paper`).

    A recipe with the key `extends` changes another one, named likewise (a path is relative to the recipe's own folder).
    Mappings are merged key by key; lists are replaced whole, but a mapping where the other recipe has a list is merged
    into each of its items (`rounds: {sft: {learning_rate: 5.0e-6}}` changes all rounds).

    Raises:
      ConfigError: no such recipe, not YAML, an unknown key (the nearest known one is named), a value not allowed, or
        recipes that extend each other in a circle.
    """
    return check(Recipe, _read(name_or_path, ()), str(_path_of(name_or_path, None)))


def _path_of(name_or_path: str, beside: Path | None) -> Path:
    path = Path(name_or_path)
    if beside is not None and (beside / path).is_file():
        return beside / path
    if not path.is_file() and str(path.parent) in (".", "recipes"):  # a mistyped path is no name
        # names may hold dots: only .yaml is an ending
        path = _SHIPPED / f"{path.name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        raise ConfigError(f"no recipe {name_or_path!r}: it is neither a file nor one of {', '.join(shipped_recipes())}")
    return path


def _read(name_or_path: str, children: tuple[Path, ...]) -> dict[str, Any]:
    """The mapping of a recipe, merged into that of the recipe that it extends."""
    path = _path_of(name_or_path, children[-1].parent if children else None)
    if path.resolve() in children:
        circle = " extends ".join(p.stem for p in (*children, path))
        raise ConfigError(f"recipes extend each other in a circle: {circle}")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe {path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"recipe {path} must be a mapping of keys to values, got {type(value).__name__}")
    if "extends" not in value:
        return value
    parent = value.pop("extends")
    if not isinstance(parent, str):
        raise ConfigError(f"recipe {path}: extends is {parent!r}; it must be the name or path of a recipe")
    merged = _merged(_read(parent, (*children, path.resolve())), value)
    assert isinstance(merged, dict)
    return merged


def _merged(under: Any, over: Any) -> Any:
    """`over` laid on `under`; see `load_recipe`."""
    if isinstance(over, dict) and isinstance(under, list):
        return [_merged(item, over) for item in under]
    if not isinstance(over, dict) or not isinstance(under, dict):
        return over
    return under | {key: _merged(under[key], value) if key in under else value for key, value in over.items()}


SettingsT = TypeVar("SettingsT", bound=Settings)


def check(schema: type[SettingsT], value: dict[str, Any], where: str) -> SettingsT:
    """Checks a mapping against a schema.

    Raises:
      ConfigError: lists every bad key as `path.to.key is VALUE; ...`.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        lines = [_explain(schema, dict(e)) for e in error.errors()]
        raise ConfigError(f"{where}: " + "\n".join(lines)) from error


def _explain(schema: type[BaseModel], error: dict[str, Any]) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        known = _known_keys(schema, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{key} is not a known key; {hint}"
    if error["type"] == "missing":
        return f"{key} is missing; it must be given"
    return f"{key or 'the recipe'} is {error['input']!r}; {error['msg'].removeprefix('Value error, ')}"


def _known_keys(schema: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the settings at `loc` inside a schema, through optional values and tuples."""
    current: Any = schema
    for part in loc:
        if isinstance(part, int):
            continue
        if not (isinstance(current, type) and issubclass(current, BaseModel)) or part not in current.model_fields:
            return []
        current = _settings_in(current.model_fields[part].annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _settings_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((s for a in get_args(annotation) if (s := _settings_in(a)) is not None), None)
