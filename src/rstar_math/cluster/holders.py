"""Who holds a lease, and whether it is alive: by what its beat says, and by the observer's own clock.

A holder renews all its leases by one file, its beat: a number that grows. An observer looks at the beat now and then; a
lease has run out when the observer has seen the same number for `lease_s` of its own monotonic clock. Wall clocks and
the times of files play no part, so machines may differ by hours. Time in which the observer itself could not look, for
example because the folder stalled, counts only a little: the holder could not write then either.

A holder of the same machine whose process is gone has lost its leases at once.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_LOOKS_A_LEASE = 8
"""The time between two looks counts as this share of a lease at most."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a holder says of itself, again and again.

    Attributes:
      holder: its name; every start of a process has another.
      count: grows with every beat.
      machine: the name of its machine, for people.
      place: the booted system and the process namespace in which `pid` means something.
      pid: of its process.
      started: when the process began, in the system's own units, so that a pid that is used again is told apart.
      concurrency: tasks that it does at the same time.
      in_flight: tasks that it does now.
      num_tasks: tasks that it has finished.
      tokens: tokens that it has generated for them.
    """

    holder: str
    count: int
    machine: str
    place: str
    pid: int
    started: str
    concurrency: int
    in_flight: int = 0
    num_tasks: int = 0
    tokens: int = 0

    def text(self) -> str:
        """The beat as a file holds it."""
        return json.dumps(asdict(self))


def read_beat(text: str | None) -> Beat | None:
    """A beat from its file; None where there is none, or it is of another version."""
    try:
        value = json.loads(text or "")
        return Beat(**value)
    except (ValueError, TypeError):
        return None


def new_holder(concurrency: int) -> Beat:
    """The first beat of this process under a new name."""
    machine = machine_name()
    name = f"{machine}-{os.getpid()}-{secrets.token_hex(3)}"
    return Beat(name, 0, machine, this_place(), os.getpid(), _started(os.getpid()), concurrency)


def machine_name() -> str:
    """The name of this machine, fit for the name of a file."""
    return re.sub(r"[^A-Za-z0-9.]", "", platform.node())[:32] or "machine"


@functools.cache
def this_place() -> str:
    """Where a process number means something: this booted system, and in it this namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return secrets.token_hex(8)  # not known: no other process is of this place


def _started(pid: int) -> str:
    """When a process began, in clock ticks since the boot; "" where there is none, or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def is_gone(beat: Beat) -> bool:
    """Whether the process of a holder has surely ended; that of another machine is never known to have."""
    return beat.place == this_place() and _started(beat.pid) != beat.started


class Watch:
    """Which holders have let their leases run out, as one observer sees it."""

    def __init__(self, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Has seen nobody yet.

        Args:
          lease_s: seconds without a new beat after which leases have run out.
          clock: seconds that only this observer reads.
        """
        self._lease_s, self._clock = lease_s, clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._last = clock()

    def run_out(self, holders: Mapping[str, Beat | None]) -> set[str]:
        """The holders whose leases have run out.

        Args:
          holders: everybody who holds something, with their last beat; None: none is there.
        """
        now = self._clock()
        passed = min(now - self._last, self._lease_s / _LOOKS_A_LEASE)
        self._last = now
        found = set()
        for name, beat in holders.items():
            count = -1 if beat is None else beat.count
            before, age = self._seen.get(name, (count, -passed))
            age = age + passed if before == count else 0.0
            self._seen[name] = (count, age)
            if age >= self._lease_s or (beat is not None and is_gone(beat)):
                found.add(name)
        for name in self._seen.keys() - holders.keys():
            del self._seen[name]
        return found
