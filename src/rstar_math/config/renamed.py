"""Keys of recipes that had another name: an error names the new one, and runs that began under the old one go on."""

from __future__ import annotations

import copy
from typing import Any

RENAMED = {
    "runtime.cpu_s": "runtime.execution.cpu_s",
    "runtime.wall_s": "runtime.execution.wall_s",
    "runtime.memory_mb": "runtime.execution.memory_mb",
    "runtime.accept_missing": "runtime.execution.accept_missing",
    "runtime.isolation": "runtime.execution.isolation",
}
"""Old key to new key, both from the top of a recipe."""


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
    return renamed


def _group(recipe: dict[str, Any], key: str, make: bool) -> dict[str, Any] | None:
    """The mapping at a key from the top; None where something else is there, or nothing and it is not to be made."""
    for name in key.split("."):
        inner = recipe.setdefault(name, {}) if make else recipe.get(name)
        if not isinstance(inner, dict):
            return None
        recipe = inner
    return recipe
