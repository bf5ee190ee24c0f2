"""Units of work in a shared folder: each lies free, or is held by one worker, and moves by renames alone.

    free/<unit>              anybody may take it
    held/<unit>~<holder>     somebody has taken it

The name of a unit ends with the number of its tasks. A unit is one file, written once, and every step is one rename:
taking it, giving it back, taking it from a holder whose lease has run out. Of two who take it at the same time one
finds it gone. A holder that was taken for dead and goes on computing does no harm: it hands over results that are
there already.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rstar_math.cluster import shared_files

_BETWEEN = "~"


@dataclass(frozen=True, slots=True)
class Held:
    """A unit that somebody has taken."""

    unit: str
    holder: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.unit}{_BETWEEN}{self.holder}"


@dataclass(frozen=True, slots=True)
class Units:
    """Which units there are.

    Attributes:
      free: names of those that nobody holds.
      held: the others.
    """

    free: tuple[str, ...]
    held: tuple[Held, ...]

    @property
    def names(self) -> set[str]:
        """All of them."""
        return {*self.free, *(h.unit for h in self.held)}


def unit_name(keys: Sequence[str]) -> str:
    """The name of a unit of these tasks, the same whoever puts it together."""
    return f"{hashlib.sha256(json.dumps(list(keys)).encode()).hexdigest()[:16]}.{len(keys)}"


def size_of(unit: str) -> int:
    """The number of tasks of a unit, by its name."""
    number = unit.rpartition(".")[2]
    return int(number) if number.isdecimal() else 1


class Leases:
    """The units of one job in a shared folder."""

    def __init__(self, folder: Path) -> None:
        """Only names the folders; `make` makes them."""
        self.folder = folder
        self._free, self._held = folder / "free", folder / "held"

    def make(self) -> None:
        """Makes the folders."""
        shared_files.make_folders(self._free, self._held)

    def publish(self, unit: str, content: str) -> None:
        """Lays a unit out to be taken; it must be new, or lost.

        Args:
          unit: its name (`unit_name`).
          content: what whoever takes it reads.
        """
        shared_files.write_whole(self._free / unit, content, keep_temporary_in=self.folder)

    def take(self, holder: str, num_tasks: int, candidates: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """Takes free units; gives their names and contents.

        Args:
          holder: who takes them.
          num_tasks: takes until it has so many.
          candidates: names that were free a moment ago; None: looks.
        """
        found = list(shared_files.names(self._free) if candidates is None else candidates)
        random.Random(holder).shuffle(found)  # no two workers reach for the same ones first
        taken: list[tuple[str, str]] = []
        num_taken = 0
        for unit in found:
            if num_taken >= num_tasks:
                break
            held = self._held / Held(unit, holder).file
            if shared_files.move(self._free / unit, held, is_ours=True):
                content = shared_files.read(held)
                if content is not None:  # None: taken from us in this moment, or its job was cleared away
                    taken.append((unit, content))
                    num_taken += size_of(unit)
        return taken

    def finish(self, unit: str, holder: str) -> None:
        """Ends a unit whose results are handed over; nothing happens where it was taken from its holder."""
        shared_files.remove(self._held / Held(unit, holder).file)

    def give_back(self, held: Held) -> bool:
        """Makes a held unit free again; whether it was still held by that holder."""
        return shared_files.move(self._held / held.file, self._free / held.unit)

    def give_back_all(self, holder: str) -> int:
        """Makes everything free that a holder had; gives the number of units."""
        return sum(self.give_back(held) for held in self.units().held if held.holder == holder)

    def units(self) -> Units:
        """What there is now. A unit that moves in this moment may be seen twice, or not at all."""
        free = tuple(shared_files.names(self._free))
        held = []
        for name in shared_files.names(self._held):
            unit, between, holder = name.partition(_BETWEEN)
            if between:
                held.append(Held(unit, holder))
        return Units(free, tuple(held))

    def content(self, unit: str) -> str | None:
        """What a unit holds, wherever it lies; None where it is gone."""
        content = shared_files.read(self._free / unit)
        if content is None:
            held = next((h for h in self.units().held if h.unit == unit), None)
            content = shared_files.read(self._held / held.file) if held else None
        return content

    def drop(self, unit: str) -> None:
        """Removes a unit that nobody needs any more, wherever it lies."""
        shared_files.remove(self._free / unit)
        for held in self.units().held:
            if held.unit == unit:
                shared_files.remove(self._held / held.file)
