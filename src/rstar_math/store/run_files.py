"""The small JSON files of a run, read with their shape checked: each error names the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rstar_math.errors import DataError
from rstar_math.store.files import read_json
from rstar_math.store.paths import shown

_MAX_ERRORS = 5


class ControlRound(BaseModel):
    """What the base solves with the token budget of one round."""

    model_config = ConfigDict(frozen=True)

    tokens_per_problem: float = Field(ge=0)
    num_samples: int = Field(ge=1)
    solved: tuple[str, ...] = Field(description="ids of the problems")


class Control(BaseModel):
    """`base/control.json`."""

    model_config = ConfigDict(frozen=True)

    problems: tuple[str, ...] = Field(description="ids of the problems that were sampled")
    rounds: tuple[ControlRound, ...]


SchemaT = TypeVar("SchemaT")


def read_control(path: Path) -> Control:
    """Reads what the untrained base solves by plain sampling.

    Raises:
      DataError: the file cannot be read, or a key is missing or wrong; names both.
    """
    return read_as(path, Control)


def read_as(path: Path, schema: type[SchemaT]) -> SchemaT:
    """Reads a JSON file as a dataclass, a pydantic model, or a type of these.

    Raises:
      DataError: the file cannot be read, or a key is missing or wrong; names both.
    """
    return checked(read_json(path), schema, shown(path))


def checked(value: object, schema: type[SchemaT], where: str) -> SchemaT:
    """A JSON value as a dataclass, a pydantic model, or a type of these.

    Raises:
      DataError: a key is missing or wrong; names it and `where`.
    """
    try:
        return TypeAdapter(schema).validate_python(value)
    except ValidationError as error:
        errors = error.errors()
        wrong = "; ".join(f"{_key(e['loc'])}: {e['msg']}, got {e['input']!r:.60}" for e in errors[:_MAX_ERRORS])
        more = f"; and {len(errors) - _MAX_ERRORS} more" if len(errors) > _MAX_ERRORS else ""
        raise DataError(f"{where}: {wrong}{more}") from error


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the whole file"
