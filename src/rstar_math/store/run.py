"""The folder of a run: what is in it, who may write to it, which stages are whole.

    RUN/recipe.yaml  events.jsonl  report.json  report.html
    RUN/base/ ...  round-1/ ...  round-2/ ...

What is in the folders of the base and the rounds says `rstar_math.store.round`, which stages are whole their manifests
(`rstar_math.store.manifest`).
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from rstar_math.config import Recipe
from rstar_math.config.renamed import with_new_names
from rstar_math.config.yaml_text import read_yaml
from rstar_math.errors import DataError, RunError
from rstar_math.store.files import fingerprint, make_folder, read_text, remove_leftovers, write_text
from rstar_math.store.journal import append_line
from rstar_math.store.paths import require_name, shown, writing
from rstar_math.store.round import EVENTS_FILE, RECIPE_FILE, Base, Round, is_run, parts_in

_CHECKSUM = re.compile(r"^# .*checksum is ([0-9a-f]{16})")

_CHANGES_NO_RUN = ("runtime", "reproduce")
"""Keys of a recipe that decide about no result of a run."""

_BUT_CHANGE_IT = ("output", "packages")
"""Keys of `runtime.execution` that do: what steps may import, and how what they print is told."""


class Run:
    """A run folder, locked for this process as long as the `with` block.

    Raises:
      RunError: the folder belongs to another recipe, holds other things, or another process is writing to it.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._recipe_path = folder / RECIPE_FILE
        require_name(folder)
        with writing(folder):
            if folder.exists() and not folder.is_dir():
                raise RunError(f"{shown(folder)} is a file; choose a folder for the run")
            strangers = [p.name for p in folder.iterdir() if p.name != ".lock"] if folder.exists() else []
        strangers = [name for name in strangers if not fnmatch(name, ".*.tmp")]  # killed before its first file
        if strangers and not self._recipe_path.exists():
            raise RunError(f"{folder} is not a run (it holds {', '.join(sorted(strangers)[:3])}); choose a new folder")
        make_folder(folder)

    def __enter__(self) -> Self:
        with writing(self.folder / ".lock"):
            self._lock = open(self.folder / ".lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RunError(
                f"another process is working on {self.folder}; wait for it or choose another folder"
            ) from None
        try:
            self._check_recipe()
            with writing(self.folder):
                for folder in (self.folder, *parts_in(self.folder)):
                    remove_leftovers(folder)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _check_recipe(self) -> None:
        """A run goes on with the recipe that it began with, or with further rounds behind it; with fewer it is whole.

        Otherwise only what changes no result may differ.
        """
        ours = self.recipe.model_dump(mode="json")
        if not self._recipe_path.exists():
            _write_recipe(self._recipe_path, ours)
            return
        theirs = read_yaml(self._recipe_path, "the recipe of the run")
        if not isinstance(theirs, dict):
            raise RunError(
                f"{shown(self._recipe_path)} is no recipe: it holds a {type(theirs).__name__}, not keys and values; "
                "restore it from a copy, or choose another folder"
            )
        theirs = with_new_names(theirs)
        with contextlib.suppress(ValidationError):  # of another kind: the differences are named below
            # keys that came into the schema since the run began have their defaults
            theirs = Recipe.model_validate(theirs).model_dump(mode="json")
        different = [k for k in ours if k not in _CHANGES_NO_RUN and ours[k] != theirs.get(k)]
        now, then = _execution(ours), _execution(theirs)
        different += [f"runtime.execution.{k}" for k in _BUT_CHANGE_IT if k in then and now[k] != then[k]]
        if different == ["rounds"] and isinstance(theirs.get("rounds"), list):
            num_common = min(len(ours["rounds"]), len(theirs["rounds"]))
            if ours["rounds"][:num_common] == theirs["rounds"][:num_common]:
                if len(ours["rounds"]) > num_common:
                    _write_recipe(self._recipe_path, ours)
                return
        if different:
            raise RunError(
                f"{self.folder} was made by another recipe (different: {', '.join(different)}); "
                f"choose another folder, or go on with {self._recipe_path}"
            )

    @property
    def base(self) -> Base:
        """The part of the run that belongs to the base model."""
        return Base(self.folder)

    def round(self, number: int) -> Round:
        """A round, counted from 1."""
        return Round(self.folder, number)

    def rounds(self) -> list[Round]:
        """All rounds of the recipe, on disk or not."""
        return self.round(len(self.recipe.rounds)).since(1)

    def log(self, event: str, **values: Any) -> None:
        """Appends one line to events.jsonl."""
        append_line(self.folder / EVENTS_FILE, {"time": round(time.time(), 3), "event": event, **values})


def require_run(folder: Path) -> Path:
    """The recipe of a run.

    Raises:
      DataError: the folder is none of a run.
    """
    if not is_run(folder):
        raise DataError(f"{shown(folder)} is not a run: it has no {RECIPE_FILE}")
    return folder / RECIPE_FILE


def require_recipe_unchanged(folder: Path) -> bool:
    """Holds the recipe of a run against the checksum in its first line.

    Returns:
      Whether there is a checksum; recipes of earlier versions have none.

    Raises:
      RunError: it was changed since the run began: what is in the folder was not made by it.
      DataError: it cannot be read.
    """
    path = folder / RECIPE_FILE
    first, _, text = read_text(path).partition("\n")
    match = _CHECKSUM.search(first)
    if match and match[1] != fingerprint(text):
        raise RunError(
            f"{shown(path)} was changed since the run began, so it does not say how the run was made; restore it from "
            "a copy, or start a run of the changed recipe in another folder"
        )
    return match is not None


def _execution(recipe: dict[str, Any]) -> dict[str, Any]:
    """The settings of step execution in a recipe; none where it is not shaped as one."""
    runtime = recipe.get("runtime")
    execution = runtime.get("execution") if isinstance(runtime, dict) else None
    return execution if isinstance(execution, dict) else {}


def _write_recipe(path: Path, recipe: dict[str, Any]) -> None:
    text = yaml.safe_dump(recipe, sort_keys=False)
    write_text(path, f"# The recipe of this run; its checksum is {fingerprint(text)}.\n{text}")


_MAX_SECONDS = 1e12
"""More than any stage takes; NaN and numbers that no float holds are not below it."""


def wrong_in_event(row: dict[str, Any]) -> str | None:
    """What keeps a row from being a line of events.jsonl, or None."""
    if not isinstance(row.get("event"), str):
        return "no `event`"
    seconds = row.get("seconds", 0.0)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < _MAX_SECONDS:
        return "`seconds` is no number of seconds"
    if row["event"] == "stage" and not (
        isinstance(row.get("stage"), str) and isinstance(row.get("round"), int) and "seconds" in row
    ):
        return "a stage without `round`, `stage` and `seconds`"
    return None
