"""Where a model comes from, as its card says it: `README.md` with a YAML head, as the hub reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rstar_math.store.files import write_text

if TYPE_CHECKING:
    from huggingface_hub.repocard_data import ModelCardData

FILE_NAME = "README.md"

_IN_CACHE = re.compile(r"models--(.+?)--(.+)")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TAGS = ("rstar-math", "math", "code")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model was made from.

    Attributes:
      base_model: name at the hub, or None where nobody knows it.
      license: as the hub calls it ("apache-2.0"), or None where nothing says it.
    """

    base_model: str | None = None
    license: str | None = None


def origin_of(name: str, folder: Path) -> Origin:
    """What is known of a base: by its name, by its place in the hub's cache, by its own card.

    Args:
      name: what the user calls it.
      folder: where it lies.
    """
    said = _head(folder / FILE_NAME)
    named = said.base_model if said else None
    base = named[0] if isinstance(named, list) and named else named if isinstance(named, str) else None
    if _HUB_NAME.fullmatch(name) and not Path(name).exists():
        base = name
    for part in folder.absolute().parts:
        if match := _IN_CACHE.fullmatch(part):
            base = f"{match[1]}/{match[2]}"
    return Origin(base, said.license if said and isinstance(said.license, str) else None)


def head_of(origin: Origin, **more: object) -> ModelCardData:
    """The head of a card."""
    from huggingface_hub.repocard_data import ModelCardData

    return ModelCardData(
        base_model=origin.base_model,
        license=origin.license,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=list(_TAGS),
        **more,  # type: ignore[arg-type]
    )


def write_card(folder: Path, head: ModelCardData, text: str) -> None:
    """Writes a card, unless the folder has one: what a user wrote stays."""
    path = folder / FILE_NAME
    if not path.exists():
        write_text(path, f"---\n{head.to_yaml()}\n---\n\n{text}")


def license_line(origin: Origin) -> str:
    """What a card says of the licence, in a sentence."""
    base = (
        f"[{origin.base_model}](https://huggingface.co/{origin.base_model})" if origin.base_model else "its base model"
    )
    if origin.license is None:
        return f"The licence of {base} applies; nothing here says which. Add it to the head of this file."
    return f"The weights were made from {base}, under its licence, {origin.license}."


def _head(path: Path) -> ModelCardData | None:
    """The head of a card; None where there is none that can be read."""
    if not path.is_file():
        return None
    from huggingface_hub.repocard import ModelCard
    from huggingface_hub.repocard_data import ModelCardData
    from yaml import YAMLError

    try:
        card = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
    except (ValueError, OSError, TypeError, YAMLError):  # a text of somebody's own is no error
        return None
    return card.data if isinstance(card.data, ModelCardData) else None
