"""A run's base and its rounds: where each part lies, a round's seed, and the halves of the held-out problems.

Paths and names alone (docs/formats.md shows them all); no file is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

RECIPE_FILE = "recipe.yaml"
EVENTS_FILE = "events.jsonl"
ANSWERING_FILE = "answering.json"

_NAME = re.compile(r"round-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Base:
    """What a run knows of its untrained base.

    Attributes:
      run: folder of the run.
    """

    run: Path

    @property
    def folder(self) -> Path:
        """Where everything of the base lies."""
        return self.run / "base"

    def results(self, name: str) -> Path:
        """The result rows of a measurement: `greedy`."""
        return _results(self.folder, name)

    @property
    def control_trees(self) -> Path:
        """Trees of the control: training problems that the base solves with as many tokens."""
        return self.folder / "control"

    @property
    def control(self) -> Path:
        """What came of the control."""
        return self.folder / "control.json"


@dataclass(frozen=True, slots=True)
class Round:
    """A round of a run.

    Attributes:
      run: folder of the run.
      number: from 1.
    """

    run: Path
    number: int

    @classmethod
    def at(cls, folder: Path) -> Self | None:
        """The round whose folder this is by its name; None for another folder."""
        match = _NAME.fullmatch(folder.name)
        return cls(folder.parent, int(match[1])) if match else None

    @property
    def folder(self) -> Path:
        """Where everything of the round lies."""
        return self.run / f"round-{self.number}"

    @property
    def name(self) -> str:
        """What messages and tables call it."""
        return f"round {self.number}"

    @property
    def previous(self) -> Round:
        """The round before; before the first there is none on disk."""
        return Round(self.run, self.number - 1)

    def since(self, first: int) -> list[Round]:
        """The rounds from `first` up to this one."""
        return [Round(self.run, number) for number in range(first, self.number + 1)]

    def seed(self, of_run: int) -> int:
        """The seed of all that the round draws; a thousand further ones behind it are the round's own.

        Args:
          of_run: the seed of the run's recipe.
        """
        return of_run * 1_000_000 + self.number * 1_000

    # searched

    @property
    def trees(self) -> Path:
        """A tree for each training problem."""
        return self.folder / "trees"

    @property
    def held_out_trees(self) -> Path:
        """A tree for each held-out problem."""
        return self.folder / "held-out"

    # selected

    @property
    def trajectories(self) -> Path:
        """What the policy is trained on."""
        return self.folder / "trajectories.parquet"

    @property
    def pairs(self) -> Path:
        """What the PPM is trained on."""
        return self.folder / "pairs.parquet"

    @property
    def held_out_pairs(self) -> Path:
        """What steers the training of the PPM and measures it."""
        return self.folder / "held-out-pairs.parquet"

    @property
    def suspect_references(self) -> Path:
        """Problems whose reference is probably wrong."""
        return self.folder / "suspect-references.json"

    @property
    def search_cost(self) -> Path:
        """What the search has spent."""
        return self.folder / "search-cost.json"

    # trained

    @property
    def policy(self) -> Path:
        """The folder of the policy."""
        return self.folder / "policy"

    @property
    def ppm(self) -> Path:
        """The folder of the PPM."""
        return self.folder / "ppm"

    def reward_model(self, kind: str) -> Path:
        """The folder of the round's reward model of a kind: `ppm`, `orm`, `pqm`."""
        return self.folder / kind

    # measured

    @property
    def calibration(self) -> Path:
        """Trees of the solutions that the PPM is calibrated on."""
        return self.folder / "calibration"

    @property
    def evaluation(self) -> Path:
        """The folder of the measurements."""
        return self.folder / "evaluation"

    def results(self, name: str) -> Path:
        """The result rows of a measurement: `greedy`, `system` or `threshold`."""
        return _results(self.folder, name)

    @property
    def answering(self) -> Path:
        """How the round's model answers."""
        return self.folder / ANSWERING_FILE


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / RECIPE_FILE).exists()


def rounds_in(folder: Path) -> list[Round]:
    """The rounds that have a folder here, by number; none where this is no run."""
    found = [Round.at(path) for path in folder.glob("round-*") if path.is_dir()]
    return sorted((round for round in found if round is not None), key=lambda round: round.number)


def parts_in(folder: Path) -> list[Path]:
    """The folders of the base and of the rounds that there are, each with a manifest of its own."""
    return [path for path in (Base(folder).folder, *(r.folder for r in rounds_in(folder))) if path.is_dir()]


class Halves:
    """Held-out problems in two halves: one steers the training of a reward model, the other measures the result."""

    def __init__(self, problem_ids: Sequence[str]) -> None:
        """Takes every second problem, the first one included, for steering.

        Args:
          problem_ids: in an order that is always the same.
        """
        self._steering = frozenset(problem_ids[::2])

    def steers(self, problem_id: str) -> bool:
        """Whether a problem steers the training; otherwise it measures the result."""
        return problem_id in self._steering


def _results(folder: Path, name: str) -> Path:
    return folder / "evaluation" / f"{name}.jsonl"
