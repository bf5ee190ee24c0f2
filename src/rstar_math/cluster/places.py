"""Where the files of a cluster lie in the folder of a run, for its driver and its workers.

    RUN/cluster/driver.json              who drives, and how long a lease holds; gone when the run is whole
    RUN/cluster/workers/<holder>.json    the beat of each worker
    RUN/cluster/jobs/<job>/job.json      what is to be done with every task of the job
    RUN/cluster/jobs/<job>/free/ held/   its units of work
    RUN/cluster/jobs/<job>/journals/     results on their way into the files of the run

All of it is on its way, and goes when the run is whole. What is done stands in the files of the run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rstar_math.cluster import shared_files
from rstar_math.cluster.holders import Beat, is_gone, read_beat
from rstar_math.cluster.leases import Leases

LONGEST_BEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class Driver:
    """What the driver says to workers.

    Attributes:
      driver: its name; every start has another.
      lease_s: seconds without a beat after which a worker loses what it holds.
      num_local: search processes that it starts itself.
    """

    driver: str
    lease_s: float
    num_local: int

    @property
    def beat_s(self) -> float:
        """Seconds between two beats of a worker."""
        return min(LONGEST_BEAT_S, self.lease_s / 10)


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The files of one job."""

    folder: Path

    @property
    def order(self) -> Path:
        """What is to be done."""
        return self.folder / "job.json"

    @property
    def journals(self) -> Path:
        """Results on their way."""
        return self.folder / "journals"

    @property
    def leases(self) -> Leases:
        """The units of work."""
        return Leases(self.folder)


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """The files of a cluster.

    Attributes:
      run: folder of the run.
    """

    run: Path

    @property
    def folder(self) -> Path:
        """Where everything of the cluster lies."""
        return self.run / "cluster"

    @property
    def _driver(self) -> Path:
        return self.folder / "driver.json"

    @property
    def _workers(self) -> Path:
        return self.folder / "workers"

    @property
    def _jobs(self) -> Path:
        return self.folder / "jobs"

    def make(self, driver: Driver) -> None:
        """Opens the cluster to workers."""
        shared_files.make_folders(self._workers, self._jobs)
        shared_files.write_whole(self._driver, json.dumps(asdict(driver)))

    def driver(self) -> Driver | None:
        """Who drives; None where nobody has begun, or the run is whole."""
        try:
            return Driver(**json.loads(shared_files.read(self._driver) or ""))
        except (ValueError, TypeError):
            return None

    def remove(self) -> None:
        """Ends the cluster: workers that see it gone end too."""
        shared_files.remove(self._driver)
        shared_files.remove_folder(self.folder)

    def job(self, name: str) -> JobFolder:
        """The files of a job."""
        return JobFolder(self._jobs / name)

    def jobs(self) -> list[str]:
        """The names of all jobs."""
        return sorted(shared_files.names(self._jobs))

    def beat(self, beat: Beat) -> None:
        """Writes the beat of a worker.

        Raises:
          FileNotFoundError: the cluster has ended.
        """
        shared_files.write_whole(self._workers / f"{beat.holder}.json", beat.text())

    def workers(self) -> list[str]:
        """The names of all workers that there were."""
        return [name.removesuffix(".json") for name in shared_files.names(self._workers)]

    def beat_of(self, holder: str) -> Beat | None:
        """The last beat of a worker."""
        return read_beat(shared_files.read(self._workers / f"{holder}.json"))

    def forget(self, holder: str) -> None:
        """Removes the beat of a worker that is gone."""
        shared_files.remove(self._workers / f"{holder}.json")

    def release_gone(self) -> int:
        """Makes free what workers of this machine held whose processes are gone; gives the number of units."""
        num_units = 0
        for holder in self.workers():
            beat = self.beat_of(holder)
            if beat is not None and is_gone(beat):
                num_units += sum(self.job(name).leases.give_back_all(holder) for name in self.jobs())
                self.forget(holder)
        return num_units
