"""What the stages of a run have in common: what each is given, what it leaves, and that it is made once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.config import Recipe, RoundSettings
from rstar_math.models import ModelFolders
from rstar_math.progress import Progress
from rstar_math.stages.problems import RunProblems
from rstar_math.store.manifest import Manifest
from rstar_math.store.round import Round
from rstar_math.store.run import Run
from rstar_math.workers.pool import Pool

Made = Mapping[str, Any]
"""What a stage says that it made, for the manifest: counts and measures, no times."""


@dataclass(frozen=True, slots=True)
class Work:
    """A run at work.

    Attributes:
      run: its folder, locked.
      pool: where problems are searched and answered.
      base: the base model.
      problems: of the run.
      progress: hears of everything.
    """

    run: Run
    pool: Pool
    base: ModelFolders
    problems: RunProblems
    progress: Progress

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.run.recipe

    def settings(self, this: Round) -> RoundSettings:
        """The recipe's settings of a round."""
        return self.recipe.rounds[this.number - 1]

    def seed(self, this: Round) -> int:
        """The seed of a round."""
        return this.seed(self.recipe.seed)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a round.

    Attributes:
      name: what manifest and log call it.
      make: does it, and says what it made; after a stop it is called again, and finds the files that it left.
      leaves: the files and folders of the round that it wrote; their checksums stand in the manifest.
    """

    name: str
    make: Callable[[Work, Round], Made]
    leaves: Callable[[Round], Iterable[Path]]

    def run(self, work: Work, this: Round) -> None:
        """Does it, unless the manifest says that it is whole; what it made is on disk before it is marked."""
        manifest = Manifest(this.folder)
        if self.name in manifest:
            return
        began = time.monotonic()
        made = self.make(work, this)
        manifest.finish(self.name, [str(path.relative_to(this.folder)) for path in self.leaves(this)], **made)
        seconds = round(time.monotonic() - began, 3)
        work.run.log("stage", round=this.number, stage=self.name, seconds=seconds, **made)
