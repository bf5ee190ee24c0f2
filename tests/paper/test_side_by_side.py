"""Jobs in processes of their own: results, errors, deaths, and nothing that is left running."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rstar_math.errors import DataError, EngineError
from rstar_math.paper.side_by_side import side_by_side


def square(number: int) -> int:
    return number * number


def num_threads() -> int:
    import torch

    assert torch.get_num_threads() == len(os.sched_getaffinity(0))
    return torch.get_num_threads()


def with_child(pid_file: Path) -> None:
    """A job with a process of its own, as a run with its search processes; the child ends when its pipe does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=wait_for_end, args=(theirs, pid_file), daemon=True).start()
    theirs.close()
    time.sleep(3600)
    ours.close()


def wait_for_end(connection: Connection, pid_file: Path) -> None:
    pid_file.write_text(str(os.getpid()))
    with contextlib.suppress(EOFError):
        connection.recv()


def refuse() -> None:
    raise DataError("there is nothing to train on")


def die() -> None:
    os._exit(3)


def sleep(pid_file: Path) -> None:
    pid_file.write_text(str(os.getpid()))
    time.sleep(3600)


def wait_for(path: Path) -> int:
    for _ in range(9000):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


def when_started(pid_file: Path, job: Callable[[], None]) -> None:
    wait_for(pid_file)
    job()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_every_job_gives_its_result() -> None:
    assert sorted(side_by_side([partial(square, n) for n in range(5)], 2)) == [(n, n * n) for n in range(5)]
    assert list(side_by_side([], 2)) == []


def test_processes_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert [threads for _, threads in side_by_side([num_threads], 1)] == [cores]
    shares = [threads for _, threads in side_by_side([num_threads, num_threads, num_threads], 2)]
    assert all(share in (max(1, cores // 2), -(-cores // 2)) for share in shares)


@pytest.mark.parametrize(
    ("job", "error", "message"),
    [(refuse, DataError, "nothing to train on"), (die, EngineError, r"died \(exit code 3\)")],
)
def test_an_error_ends_the_others(
    job: Callable[[], None], error: type[Exception], message: str, tmp_path: Path
) -> None:
    sleeper = tmp_path / "pid"
    with pytest.raises(error, match=message):
        list(side_by_side([partial(sleep, sleeper), partial(when_started, sleeper, job)], 2))
    assert not is_alive(wait_for(sleeper))


def test_jobs_may_have_processes_of_their_own(tmp_path: Path) -> None:
    child = tmp_path / "pid"
    with pytest.raises(DataError):
        list(side_by_side([partial(with_child, child), partial(when_started, child, refuse)], 2))
    for _ in range(300):
        if not is_alive(wait_for(child)):
            return
        time.sleep(0.1)
    raise AssertionError("the child of a job goes on without it")


def test_closing_it_ends_what_runs(tmp_path: Path) -> None:
    sleeper = tmp_path / "pid"
    jobs: list[Callable[[], int | None]] = [partial(sleep, sleeper), partial(wait_for, sleeper)]
    running = side_by_side(jobs, 2)
    assert next(running)[0] == 1
    assert is_alive(wait_for(sleeper))
    running.close()
    assert not is_alive(wait_for(sleeper))


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    sleeper = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nfrom functools import partial\nfrom pathlib import Path\n"
        "from tests.paper.test_side_by_side import sleep\n"
        "from rstar_math.paper.side_by_side import side_by_side\n"
        "if __name__ == '__main__':\n"
        "    list(side_by_side([partial(sleep, Path(sys.argv[1]))], 1))\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, script, sleeper], env={**os.environ, "PYTHONPATH": str(root)})
    pid = wait_for(sleeper)
    parent.kill()
    parent.wait()
    for _ in range(300):
        if not is_alive(pid):
            return
        time.sleep(0.1)
    raise AssertionError("the process goes on without its parent")
