"""Keys of recipes that had another name: an error names the new one, and runs that began under the old one go on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from rstar_math.config.recipe import Recipe
from rstar_math.config.training import TrainingSettings

RENAMED = {
    "runtime.cpu_s": "runtime.execution.cpu_s",
    "runtime.wall_s": "runtime.execution.wall_s",
    "runtime.memory_mb": "runtime.execution.memory_mb",
    "runtime.accept_missing": "runtime.execution.accept_missing",
    "runtime.isolation": "runtime.execution.isolation",
}
"""Old key to new key, both from the top of a recipe."""


_OF_TRL = ("gradient_checkpointing", "lora", "save_steps", "num_processes", "accelerate_config", "packing")
"""Keys of `trl` that now stand in its place. `trl.tensorboard: FOLDER` is `trackers: [tensorboard]`."""


def what_became_of(location: Sequence[str | int], value: object, schema: type[BaseModel]) -> str | None:
    """What to write in place of an old key; None for a key that never was one.

    Args:
      location: of the key in what the schema describes.
      value: that it was given.
      schema: of a recipe, or of a group of its settings.
    """
    if schema is Recipe and (new := RENAMED.get(".".join(map(str, location)))):
        return f"it is now {new}"
    trains = issubclass(schema, TrainingSettings) or location[0] == "rounds"
    if location[-1] == "backend" and trains:
        return "one loop trains all models; for several GPUs give num_processes: null"
    if location[-1] == "trl" and trains:
        given = [key for key in value if key in _OF_TRL] if isinstance(value, dict) else []
        moved = [f"its keys stand in its place: {', '.join(given or _OF_TRL)}"]
        if not isinstance(value, dict) or "tensorboard" in value:
            moved.append("tensorboard: FOLDER is now trackers: [tensorboard]")
        return "; ".join(moved)
    return None


def with_new_names(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe with its old keys under their new names. Where both are given the new one counts.

    What is not shaped as a recipe stays as it is, for the schema to refuse.
    """
    renamed = copy.deepcopy(recipe)
    for old, new in RENAMED.items():
        (old_group, _, old_key), (new_group, _, new_key) = old.rpartition("."), new.rpartition(".")
        source = _group(renamed, old_group, make=False)
        if source is None or old_key not in source:
            continue
        target = _group(renamed, new_group, make=True)
        if target is not None:
            target.setdefault(new_key, source.pop(old_key))
    rounds = renamed.get("rounds")
    for each in rounds if isinstance(rounds, list | tuple) else [rounds]:
        for name in ("sft", "ppm"):
            if isinstance(each, dict) and isinstance(each.get(name), dict):
                _move_trl(each[name], is_sft=name == "sft")
    return renamed


def _move_trl(training: dict[str, Any], is_sft: bool) -> None:
    """Takes apart `backend` and `trl` of a training: the second had no effect without `backend: trl`."""
    old = training.get("trl", {})
    if not isinstance(old, dict):
        return
    training.pop("trl", None)
    if training.pop("backend", "torch") != "trl":
        return
    training.setdefault("gradient_checkpointing", old.get("gradient_checkpointing", True))
    for key in _OF_TRL[1:]:
        if key == "num_processes" or (key in old and (is_sft or key != "packing")):
            training.setdefault(key, old.get(key))
    if old.get("tensorboard") is not None:
        training.setdefault("trackers", ["tensorboard"])


def _group(recipe: dict[str, Any], key: str, make: bool) -> dict[str, Any] | None:
    """The mapping at a key from the top; None where something else is there, or nothing and it is not to be made."""
    for name in key.split("."):
        inner = recipe.setdefault(name, {}) if make else recipe.get(name)
        if not isinstance(inner, dict):
            return None
        recipe = inner
    return recipe
