"""The search processes of one machine that join a run: started, watched, started again, and ended together."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import Self

from rstar_math.cluster.places import ClusterFolder
from rstar_math.cluster.worker import Joining, serve_leases
from rstar_math.config.yaml_text import read_yaml
from rstar_math.errors import EngineError, RunError
from rstar_math.store.manifest import Manifest
from rstar_math.store.paths import require_name, shown
from rstar_math.store.round import RECIPE_FILE, Round, is_run
from rstar_math.workers.pool import devices, script_left_alone
from rstar_math.workers.process import Failure
from rstar_math.workers.starting import StartContext, start_context, started_deaf

_log = logging.getLogger(__name__)

MAX_DEATHS = 3
"""So many deaths without a finished task in between, and the machine is not fit for the work."""


class WorkerProcesses:
    """Worker processes of this machine, as long as the `with` block. A process that dies is replaced."""

    def __init__(self, joining: Joining) -> None:
        """Starts nothing yet; see `start`."""
        self._joining = joining
        self._context = start_context()
        self._processes: list[_Process] = []
        self._deaths = 0
        self.num_deaths = 0
        self.num_tasks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Starts all of them, where they do not run."""
        if not self._processes:
            names = devices(self._joining.runtime)[: self._joining.num_workers]
            self._processes = [self._new(names[i % len(names)]) for i in range(self._joining.num_workers)]

    def check(self) -> bool:
        """Replaces those that died, and hears what they say; whether any is left.

        Raises:
          RStarError: a process cannot work on this machine, and says why.
          EngineError: processes died several times in a row.
        """
        for process in list(self._processes):
            for message in process.heard():
                if isinstance(message, Failure):
                    self.stop()
                    raise message.error
                self.num_tasks += message
                self._deaths = 0
            if process.is_alive():
                continue
            self._processes.remove(process)
            process.stop(0)
            if process.exit_code == 0:
                continue  # the run is whole, or there was no work for long enough
            self._deaths += 1
            self.num_deaths += 1
            ClusterFolder(self._joining.run).release_gone()
            if self._deaths > MAX_DEATHS:
                self.stop()
                raise EngineError(
                    f"search processes died {self._deaths} times in a row (exit code {process.exit_code}); at exit "
                    "code -9 the machine is probably out of memory: lower runtime.concurrency or max_batch_rows"
                )
            _log.warning("a search process died (exit code %s); another one is started", process.exit_code)
            self._processes.append(self._new(process.device))
        return bool(self._processes)

    def stop(self) -> None:
        """Ends them; each gives back what it holds."""
        for process in self._processes:
            process.ask_to_stop()
        for process in self._processes:
            process.stop(10.0)
        self._processes = []

    def _new(self, device: str) -> _Process:
        return _Process(self._context, self._joining, device)


class _Process:
    """One of them, from its parent's end."""

    def __init__(self, context: StartContext, joining: Joining, device: str) -> None:
        self.device = device
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve_leases, args=(theirs, joining, device), daemon=True)
        with script_left_alone(), started_deaf():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def heard(self) -> list[Failure | int]:
        """What it said since."""
        messages: list[Failure | int] = []
        with contextlib.suppress(EOFError, OSError):
            while not self._connection.closed and self._connection.poll():
                messages.append(self._connection.recv())
        return messages

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.send("stop")

    def stop(self, patience_s: float) -> None:
        self._process.join(timeout=patience_s)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()


def keep_working(joining: Joining, poll_s: float = 0.5) -> int:
    """Works on a run with the processes of this machine until it is whole (`rstar work`); gives the tasks done.

    Processes start when somebody drives the run. A run that is whole, and that nobody drives, has nothing to do.

    Raises:
      RunError: nobody has driven it for `joining.idle_s`.
      RStarError: this machine cannot do the work.
    """
    require_name(joining.run)
    began = time.monotonic()
    while ClusterFolder(joining.run).driver() is None:
        if is_whole(joining.run):
            return 0
        if joining.idle_s is not None and time.monotonic() - began >= joining.idle_s:
            raise RunError(
                f"nobody has driven {shown(joining.run)} for {joining.idle_s:g} s; start `rstar evolve RECIPE --out "
                f"{shown(joining.run)} --cluster folder` on a machine that sees the same folder"
            )
        time.sleep(poll_s)
    with WorkerProcesses(joining) as processes:
        processes.start()
        while processes.check():
            time.sleep(poll_s)
    return processes.num_tasks


def is_whole(run: Path) -> bool:
    """Whether the last round of a run's recipe has been measured; False where there is no run yet."""
    if not is_run(run):
        return False
    recipe = read_yaml(run / RECIPE_FILE, "the recipe of the run")
    rounds = recipe.get("rounds") if isinstance(recipe, dict) else None
    return isinstance(rounds, list) and "evaluate" in Manifest(Round(run, len(rounds)).folder)
