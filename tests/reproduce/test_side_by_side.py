"""Jobs in processes of their own: results, errors, deaths, and nothing that is left running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rstar_math.errors import DataError, EngineError
from rstar_math.reproduce.side_by_side import side_by_side


def square(number: int) -> int:
    return number * number


def num_threads() -> int:
    import torch

    return torch.get_num_threads()


def refuse() -> None:
    raise DataError("there is nothing to train on")


def die() -> None:
    os._exit(3)


def sleep(pid_file: Path) -> None:
    pid_file.write_text(str(os.getpid()))
    time.sleep(600)


def wait_for(path: Path) -> int:
    for _ in range(600):
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
    assert [threads for _, threads in side_by_side([num_threads], 2)] == [max(1, cores // 2)]


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


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    sleeper = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nfrom functools import partial\nfrom pathlib import Path\n"
        "from tests.reproduce.test_side_by_side import sleep\n"
        "from rstar_math.reproduce.side_by_side import side_by_side\n"
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
