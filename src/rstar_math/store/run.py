"""The folder of a run: what is in it, who may write to it, which stages are whole.

    RUN/recipe.yaml  events.jsonl  report.json  report.html
    RUN/round-2/trees/part-00017.parquet ...  held-out/part-00000.parquet ...
    RUN/round-2/trajectories.parquet  pairs.parquet  held-out-pairs.parquet
    RUN/round-2/policy/  ppm/  answering.json
    RUN/round-2/metrics.json  manifest.json

A stage leaves its entry in the manifest last: it is there, so the stage is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from pydantic import ValidationError

from rstar_math.config import Recipe
from rstar_math.errors import RunError
from rstar_math.store.files import read_json, write_json, write_text

_CHANGES_NO_RUN = ("runtime", "reproduce")
"""Keys of a recipe that decide about no result of a run."""


class Run:
    """A run folder, locked for this process as long as the `with` block.

    Raises:
      RunError: the folder belongs to another recipe, holds other things, or another process is writing to it.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._recipe_path = folder / "recipe.yaml"
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; choose a folder for the run")
        strangers = [p.name for p in folder.iterdir() if p.name != ".lock"] if folder.exists() else []
        strangers = [name for name in strangers if not fnmatch(name, ".*.tmp")]  # killed before its first file
        if strangers and not self._recipe_path.exists():
            raise RunError(f"{folder} is not a run (it holds {', '.join(sorted(strangers)[:3])}); choose a new folder")
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self._lock = open(self.folder / ".lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RunError(
                f"another process is working on {self.folder}; wait for it or choose another folder"
            ) from None
        self._check_recipe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def _check_recipe(self) -> None:
        """A run goes on with the recipe that it began with, or with further rounds behind it; with fewer it is whole.

        Otherwise only what changes no result may differ.
        """
        ours = self.recipe.model_dump(mode="json")
        if not self._recipe_path.exists():
            write_text(self._recipe_path, yaml.safe_dump(ours, sort_keys=False))
            return
        theirs = yaml.safe_load(self._recipe_path.read_text(encoding="utf-8"))
        with contextlib.suppress(ValidationError):  # of another kind: the differences are named below
            # keys that came into the schema since the run began have their defaults
            theirs = Recipe.model_validate(theirs).model_dump(mode="json")
        different = [k for k in ours if k not in _CHANGES_NO_RUN and ours[k] != theirs.get(k)]
        if different == ["rounds"] and isinstance(theirs["rounds"], list):
            num_common = min(len(ours["rounds"]), len(theirs["rounds"]))
            if ours["rounds"][:num_common] == theirs["rounds"][:num_common]:
                if len(ours["rounds"]) > num_common:
                    write_text(self._recipe_path, yaml.safe_dump(ours, sort_keys=False))
                return
        if different:
            raise RunError(
                f"{self.folder} was made by another recipe (different: {', '.join(different)}); "
                f"choose another folder, or go on with {self._recipe_path}"
            )

    def round(self, number: int) -> Path:
        """The folder of a round, counted from 1."""
        return self.folder / f"round-{number}"

    def log(self, event: str, **values: Any) -> None:
        """Appends one line to events.jsonl."""
        row = {"time": round(time.time(), 3), "event": event, **values}
        with open(self.folder / "events.jsonl", "a", encoding="utf-8") as f:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


class Manifest:
    """Which stages of a folder are whole, with what each made (counts and hashes, no times)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "manifest.json"
        self._stages: dict[str, dict[str, Any]] = read_json(self._path)["stages"] if self._path.exists() else {}

    def __contains__(self, stage: str) -> bool:
        return stage in self._stages

    def __getitem__(self, stage: str) -> dict[str, Any]:
        return self._stages[stage]

    def finish(self, stage: str, **made: Any) -> None:
        """Marks a stage as whole; everything that it made is on disk by now."""
        self._stages[stage] = made
        write_json(self._path, {"format": 1, "stages": self._stages})
