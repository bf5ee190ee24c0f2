"""Reading recipes: YAML with the schema of `rstar_math.config`; errors name file, key, value and choice.

A recipe may extend others, so that a few lines on top of a whole recipe are a recipe. What cannot be run by itself is a
fragment: `official-rules` changes how any recipe searches and selects (`extends: [pocket, official-rules]`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from rstar_math.config import Recipe, Settings
from rstar_math.config.renamed import what_became_of, with_new_names
from rstar_math.config.yaml_text import read_yaml, shown_value
from rstar_math.errors import ConfigError
from rstar_math.store.paths import shown
from rstar_math.store.round import EVENTS_FILE, RECIPE_FILE, rounds_in

RECIPES = Path(__file__).parents[1] / "recipes"
"""The recipes of the package."""
_FRAGMENT = "-rules"
_MAX_ERRORS = 20
"""So many wrong keys are shown; of a file of something else thousands are wrong."""

Location = tuple[str | int, ...]
"""Where a value stands: the keys and list positions from the top."""


@dataclass(frozen=True)
class ReadRecipe:
    """A recipe and where its values come from.

    Attributes:
      recipe: the checked recipe.
      files: the recipe's own file, then those that it extends, each before what it extends itself.
      sources: for every value that some file gives, lists and mappings included, the file that has the last word.
    """

    recipe: Recipe
    files: tuple[Path, ...]
    sources: dict[Location, Path]


def shipped_recipes() -> list[str]:
    """Names of the whole recipes inside the package."""
    return sorted(name for name in _shipped() if not name.endswith(_FRAGMENT))


def shipped_fragments() -> list[str]:
    """Names of the fragments inside the package: to extend together with a whole recipe."""
    return sorted(name for name in _shipped() if name.endswith(_FRAGMENT))


def _shipped() -> list[str]:
    return [p.stem for p in RECIPES.glob("*.yaml")]


def load_recipe(name_or_path: str) -> Recipe:
    """Reads a recipe: a YAML file, or the name of one inside the package (`pocket`, `smoke`, `paper`, `official`).

    A recipe with the key `extends` changes another one, or several, named likewise (a path is relative to the recipe's
    own folder); of several the later change the earlier. Mappings are merged key by key. Lists are replaced whole, but
    a mapping and a list meet item by item, whichever comes first: `rounds: {sft: {learning_rate: 5.0e-6}}` on top of a
    recipe changes all its rounds, and below one is what all its rounds start from.

    Keys that were renamed are read by their old names in the recipe of a run alone.

    Raises:
      ConfigError: no such recipe, not YAML, an unknown key (the nearest known one is named), a value not allowed, a
        fragment alone, or recipes that extend each other in a circle. Names the file that the mistake stands in.
    """
    return read_recipe(name_or_path).recipe


def read_recipe(name_or_path: str) -> ReadRecipe:
    """Reads a recipe as `load_recipe` does, and says where each value comes from.

    Raises:
      ConfigError: as `load_recipe`.
    """
    path = _path_of(name_or_path, None)
    files: list[Path] = []
    merged = _read(path, (), files)
    sources = {location: value.source for location, value in _walk(merged)}
    values = merged.plain()
    if isinstance(values.get("rounds"), dict):
        lines = [
            f"{path} is a fragment: its `rounds` change the rounds of another recipe. Extend it together with a whole "
            f"one: `extends: [pocket, {path.stem if path.parent == RECIPES else path.name}]`"
        ]
        values["rounds"] = [values["rounds"]]
        try:
            Recipe.model_validate(values)
        except ValidationError as error:  # what is missing stands in the other recipe
            others = [e for e in error.errors() if e["type"] not in ("missing", "too_short")]
            lines += [_explain(Recipe, dict(e)).replace("rounds[0].", "rounds.", 1) for e in others[:_MAX_ERRORS]]
        raise ConfigError("\n".join(lines))
    return ReadRecipe(_checked(Recipe, values, str(path), sources), tuple(files), sources)


def unchecked_values(name_or_path: str) -> dict[str, Any]:
    """The merged mapping of a recipe as its files have it, whether or not the schema allows it.

    Raises:
      ConfigError: as `load_recipe`, for what cannot be read or merged.
    """
    values: dict[str, Any] = _read(_path_of(name_or_path, None), (), []).plain()
    return values


def _path_of(name_or_path: str, child: Path | None) -> Path:
    path = Path(name_or_path)
    if child is not None and (child.parent / path).is_file():
        return child.parent / path
    if not path.is_file() and str(path.parent) in (".", "recipes"):  # a mistyped path is no name
        # names may hold dots: only .yaml is an ending
        path = RECIPES / f"{path.name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        known = ", ".join([*shipped_recipes(), *(shipped_fragments() if child else [])])
        raised_by = f" (extended by {child})" if child else ""
        raise ConfigError(f"no recipe {shown(name_or_path)!r}{raised_by}: it is neither a file nor one of {known}")
    return path


@dataclass(frozen=True)
class _Value:
    """A value with the file that it comes from; mappings and lists hold such values again."""

    value: Any
    source: Path

    @classmethod
    def of(cls, value: Any, source: Path) -> _Value:
        if isinstance(value, dict):
            value = {key: cls.of(v, source) for key, v in value.items()}
        elif isinstance(value, list):
            value = [cls.of(v, source) for v in value]
        return cls(value, source)

    def plain(self) -> Any:
        if isinstance(self.value, dict):
            return {key: v.plain() for key, v in self.value.items()}
        return [v.plain() for v in self.value] if isinstance(self.value, list) else self.value


def _walk(at: _Value, location: Location = ()) -> Iterator[tuple[Location, _Value]]:
    yield location, at
    if isinstance(at.value, dict | list):
        for key, value in at.value.items() if isinstance(at.value, dict) else enumerate(at.value):
            yield from _walk(value, (*location, key))


def _read(path: Path, children: tuple[Path, ...], files: list[Path]) -> _Value:
    """The mapping of a recipe, merged into those of the recipes that it extends; `files` grows by all that is read."""
    if path.resolve() in children:
        circle = " extends ".join(p.stem for p in (*children, path))
        raise ConfigError(f"recipes extend each other in a circle: {circle}")
    if path not in files:
        files.append(path)
    value = read_yaml(path, "recipe")
    if not isinstance(value, dict):
        raise ConfigError(f"recipe {path} must be a mapping of keys to values, got {type(value).__name__}")
    if _is_of_a_run(path):
        value = with_new_names(value)
    extended = value.pop("extends", [])
    names = [extended] if isinstance(extended, str) else extended
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"recipe {path}: extends is {shown_value(extended)}; it must be the name or path of a recipe, or a list"
        )
    merged = _Value({}, path)
    for name in names:
        merged = _merged(merged, _read(_path_of(name, path), (*children, path.resolve()), files))
    return _merged(merged, _Value.of(value, path))


def _is_of_a_run(path: Path) -> bool:
    """Whether a recipe is the one that a run began with, which nobody may rewrite."""
    folder = path.parent
    return path.name == RECIPE_FILE and ((folder / EVENTS_FILE).exists() or bool(rounds_in(folder)))


def _merged(under: _Value, over: _Value) -> _Value:
    """`over` laid on `under`; see `load_recipe`."""
    below, above = under.value, over.value
    if isinstance(above, dict) and isinstance(below, list):
        return _Value([_merged(item, over) for item in below], under.source)
    if isinstance(above, list) and isinstance(below, dict):
        return _Value([_merged(under, item) for item in above], over.source)
    if not isinstance(above, dict) or not isinstance(below, dict):
        return over
    merged = {key: _merged(below[key], value) if key in below else value for key, value in above.items()}
    return _Value(below | merged, over.source)


def changed_recipe(recipe: Recipe, changes: dict[str, Any], where: str) -> Recipe:
    """A recipe with changes laid on top, as `extends` lays a recipe on another.

    Raises:
      ConfigError: an unknown key or a value not allowed; names `where`.
    """
    path = Path(where)
    merged = _merged(_Value.of(recipe.model_dump(mode="json"), path), _Value.of(changes, path))
    return check(Recipe, merged.plain(), where)


SettingsT = TypeVar("SettingsT", bound=Settings)


def check(schema: type[SettingsT], value: dict[str, Any], where: str) -> SettingsT:
    """Checks a mapping against a schema.

    Raises:
      ConfigError: lists every bad key as `path.to.key is VALUE; ...`.
    """
    return _checked(schema, value, where, {})


def _checked(schema: type[SettingsT], value: dict[str, Any], where: str, sources: dict[Location, Path]) -> SettingsT:
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        lines: dict[str, list[str]] = {}
        # too short: there are items, each of which is named for what is wrong with it
        errors = [e for e in error.errors() if e["type"] != "too_short" or not e["input"]]
        for e in errors[:_MAX_ERRORS]:
            lines.setdefault(_file_of(e["loc"], sources) or where, []).append(_explain(schema, dict(e)))
        told = [f"{file}: " + "\n".join(found) for file, found in lines.items()]
        if len(errors) > _MAX_ERRORS:
            told.append(f"and {len(errors) - _MAX_ERRORS} more")
        raise ConfigError("\n".join(told)) from error


def _file_of(location: Location, sources: dict[Location, Path]) -> str | None:
    """The file that has the last word at a location; None for a key that no file gives."""
    return str(sources[location]) if location in sources else None


def _explain(schema: type[BaseModel], error: dict[str, Any]) -> str:
    key = key_of(error["loc"])
    if error["type"] == "extra_forbidden":
        new = what_became_of(error["loc"], error["input"], schema)
        if new is not None:
            return f"{key} is not a known key; {new}"
        known = _known_keys(schema, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{key} is not a known key; {hint}"
    if error["type"] == "missing":
        return f"{key} is missing; it must be given"
    return f"{key or 'the recipe'} is {shown_value(error['input'])}; {_msg(error)}"


def _msg(error: dict[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")[:400]


def key_of(location: Sequence[str | int]) -> str:
    """How a key is written: `rounds[2].search.num_rollouts`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _known_keys(schema: type[BaseModel], loc: Location) -> list[str]:
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
