"""A recipe key by key: its value, its source, and how it differs from the paper and from the released code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rstar_math.config import Settings
from rstar_math.config.published import PAPER, RELEASED, Published
from rstar_math.config.reading import Location, key_of, read_recipe

Agreement = Literal["same", "differs", "silent"]
"""A value against a published one; `silent`: none was published."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a publication has for a key.

    Attributes:
      agreement: whether the recipe has the same value.
      value: the published value; None where it is silent.
      where: section, appendix or file; None where it is silent.
    """

    agreement: Agreement
    value: object = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class ExplainedKey:
    """One key of a recipe.

    Attributes:
      key: as it is written, `rounds[2].search.num_rollouts`; `rounds` itself has the number of rounds.
      value: as JSON has it.
      source: the file that gave the value; None for a default.
      description: what the key means.
      paper, released: what the paper and the released code have.
    """

    key: str
    value: object
    source: Path | None
    description: str
    paper: Reference
    released: Reference

    @property
    def differs(self) -> bool:
        """Whether the value differs from the paper's or from the released code's."""
        return "differs" in (self.paper.agreement, self.released.agreement)


@dataclass(frozen=True)
class Explanation:
    """A recipe explained.

    Attributes:
      name: of the recipe.
      files: the recipe's own file, then those that it extends.
      keys: every key, in the order of the schema.
    """

    name: str
    files: tuple[Path, ...]
    keys: tuple[ExplainedKey, ...]


def explain(name_or_path: str) -> Explanation:
    """Explains every key of a recipe.

    Raises:
      ConfigError: as `load_recipe`.
    """
    read = read_recipe(name_or_path)
    keys = []
    for location, value, description in _leaves(read.recipe):
        keys.append(
            ExplainedKey(
                key=key_of(location),
                value=value,
                source=read.sources.get(location),
                description=description,
                paper=_reference(PAPER, location, value),
                released=_reference(RELEASED, location, value),
            )
        )
    return Explanation(read.recipe.name, read.files, tuple(keys))


def _leaves(settings: Settings, location: Location = ()) -> Iterator[tuple[Location, object, str]]:
    """Every key with its value and description; groups of settings are gone into, and so are the rounds."""
    plain = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value, here = getattr(settings, name), (*location, name)
        if isinstance(value, Settings):
            yield from _leaves(value, here)
        elif here == ("rounds",):
            yield here, len(value), field.description or ""
            for index, item in enumerate(value):
                yield from _leaves(item, (*here, index))
        else:
            yield here, plain[name], field.description or ""


def _reference(published: Mapping[str, Published], location: Location, value: object) -> Reference:
    found = published.get(".".join(part for part in location if isinstance(part, str)))
    if found is None:
        return Reference("silent")
    index = next((part for part in location if isinstance(part, int)), 0)
    theirs = found.of_round(index)
    return Reference("same" if _same(theirs, value) else "differs", theirs, found.where)


def _same(theirs: object, ours: object) -> bool:
    """Whether two values are the same; a model is known by the last part of its name, folder or URL."""
    if isinstance(theirs, str) and isinstance(ours, str):
        return re.split(r"[/=]", ours.rstrip("/"))[-1] == theirs
    return theirs == ours
