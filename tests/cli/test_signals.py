"""Commands in processes of their own: stopped by signals at any moment, and with an output that nobody takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import spare, warm
from tests.foreground import hear_signals

if sys.platform != "linux":
    pytest.skip("processes are looked up in /proc", allow_module_level=True)

RSTAR = Path(sys.executable).with_name("rstar")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
WAIT_S = 1500.0

MEANWHILE = """
import os, sys, signal
from importlib.abc import MetaPathFinder

class Sender(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), {number})
            except BaseException:  # as libraries do that look for others
                if not {swallows}:
                    raise
        return None

sys.meta_path.insert(0, Sender())
sys.argv = ["rstar", *{arguments!r}]
from rstar_math.cli import main
main()
"""


Process = subprocess.Popen[str] | warm.Running


def start_rstar(*arguments: str, cwd: Path) -> warm.Running:
    """A command, the leader of a group of processes as below a shell."""
    return warm.start(*arguments, cwd=cwd, pipes=["stderr"], new_session=True)


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """The same for any program."""
    return subprocess.Popen(
        arguments,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=hear_signals,
    )


def wait_until(reached: Callable[[], Any], process: Process) -> None:
    until = time.monotonic() + WAIT_S
    while not reached():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < until
        time.sleep(0.01)


def below(pid: int) -> set[tuple[int, str]]:
    """Processes below a process, each with its start time, so that a number that is used again is another one.

    A spare process that waits beside a command of `tests.warm` is none of the command's.
    """
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            fields = rest.split()
            if fields[0] != "Z" and not name.endswith(f"({spare.NAME}"):
                parents[int(entry.name)] = (int(fields[1]), fields[19])
    found: set[tuple[int, str]] = set()
    todo = [pid]
    while todo:
        parent = todo.pop()
        children = [(child, started) for child, (above, started) in parents.items() if above == parent]
        found.update(children)
        todo += [child for child, _ in children]
    return found


def require_gone(processes: set[tuple[int, str]]) -> None:
    until = time.monotonic() + WAIT_S
    for pid, started in processes:
        while True:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                break
            if fields[0] == "Z" or fields[19] != started:
                break
            assert time.monotonic() < until, f"process {pid} is still there"
            time.sleep(0.02)


def require_stopped(process: Process, number: int, place: Path) -> None:
    _, said = process.communicate(timeout=WAIT_S)
    said = "".join(line for line in said.splitlines(keepends=True) if "solved" not in line)  # progress
    assert said.count("\n") == 1, said
    assert said.startswith("rstar: stopped"), said
    assert (signal.Signals(number).name in said) == (number != signal.SIGINT)
    assert process.returncode == 128 + number
    assert not list(place.rglob(".*.tmp"))


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["rstar_math.cli.app", "typer", "rstar_math.store.run"])
def test_a_signal_while_modules_are_loaded(module: str, number: int, tmp_path: Path) -> None:
    arguments = ["explain", "pocket"] if module != "rstar_math.store.run" else ["report", "nothing"]
    script = MEANWHILE.format(module=module, number=int(number), swallows=False, arguments=arguments)
    require_stopped(start(sys.executable, "-c", script, cwd=tmp_path), number, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_a_library_swallows_ends_the_command_nevertheless(number: int, tmp_path: Path) -> None:
    (tmp_path / "programs.jsonl").write_text(json.dumps({"id": "a", "steps": ["while True: pass"]}) + "\n")
    arguments = ["execute", "programs.jsonl", "--out", "out.jsonl", "--cpu-s", "60", "--wall-s", "60"]
    script = MEANWHILE.format(
        module="rstar_math.execution.files", number=int(number), swallows=True, arguments=arguments
    )
    require_stopped(start(sys.executable, "-c", script, cwd=tmp_path), number, tmp_path)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_programs_run(number: int, tmp_path: Path) -> None:
    rows = [{"id": str(i), "steps": ["while True: pass"]} for i in range(3)]
    (tmp_path / "programs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    process = start_rstar(
        *("execute", "programs.jsonl", "--out", "out.jsonl", "--cpu-s", "60", "--wall-s", "60"),
        cwd=tmp_path,
    )
    wait_until(lambda: list(tmp_path.glob(".out.jsonl*.tmp")) and below(process.pid), process)
    children = below(process.pid)
    os.killpg(process.pid, number)  # as a terminal does
    require_stopped(process, number, tmp_path)
    require_gone(children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_answers_are_graded(number: int, tmp_path: Path) -> None:
    rows = [{"gold": f"x^{i} + {i}", "prediction": f"{i} + x^{i}"} for i in range(20_000)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    process = start_rstar("grade", "pairs.jsonl", "--out", "out.jsonl", cwd=tmp_path)
    wait_until(lambda: below(process.pid), process)
    time.sleep(0.3)  # at any moment; nothing hangs on how long
    children = below(process.pid)
    os.killpg(process.pid, number)
    require_stopped(process, number, tmp_path)
    require_gone(children)


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "workers start"), (signal.SIGQUIT, "trees grow")], ids=str
)
def test_a_terminals_signal_while_workers_search(number: int, moment: str, tmp_path: Path) -> None:
    process = start_rstar("search", "pocket/train", "--limit", "500", "--out", "trees", "--workers", "1", cwd=tmp_path)
    journal = tmp_path / "trees" / "journal.jsonl"

    def reached() -> bool:
        if moment == "workers start":
            return bool(below(process.pid))
        return journal.exists() and journal.stat().st_size > 0

    wait_until(reached, process)
    children = below(process.pid)
    os.killpg(process.pid, number)
    require_stopped(process, number, tmp_path)
    require_gone(children)


def test_a_killed_command_leaves_a_file_that_the_next_one_removes(tmp_path: Path) -> None:
    (tmp_path / "programs.jsonl").write_text(json.dumps({"id": "a", "steps": ["while True: pass"]}) + "\n")
    process = start_rstar(
        *("execute", "programs.jsonl", "--out", "out.jsonl", "--cpu-s", "60", "--wall-s", "60"),
        cwd=tmp_path,
    )
    wait_until(lambda: list(tmp_path.glob(".out.jsonl*.tmp")) and below(process.pid), process)
    children = below(process.pid)
    process.kill()
    process.communicate(timeout=WAIT_S)
    require_gone(children)
    (left,) = tmp_path.glob(".out.jsonl*.tmp")
    of_a_living = left.with_name(left.name.replace(str(process.pid), str(os.getpid())))
    of_another_machine = tmp_path / f".out.jsonl.000000-{process.pid}.tmp"
    for path in (of_a_living, of_another_machine):
        path.write_text("half")
    (tmp_path / "programs.jsonl").write_text(json.dumps({"id": "a", "steps": ["print(1)"]}) + "\n")
    subprocess.run([RSTAR, "execute", "programs.jsonl", "--out", "out.jsonl"], cwd=tmp_path, check=True)
    assert {path.name for path in tmp_path.glob(".*.tmp")} == {of_a_living.name, of_another_machine.name}
    assert (tmp_path / "out.jsonl").exists()


def pipe_to(reader: str, *arguments: str) -> tuple[int, str]:
    """The exit status and the standard error of `rstar ... | reader`."""
    process = subprocess.Popen([RSTAR, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    subprocess.run(["sh", "-c", reader], stdin=process.stdout, stdout=subprocess.DEVNULL, check=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(WAIT_S), said


@pytest.mark.parametrize("reader", ["true", "head -1"])
@pytest.mark.parametrize("arguments", [["recipes"], ["explain", "pocket"], ["pocket", "problems", "train"], ["--help"]])
def test_a_reader_that_has_enough_is_no_error_to_speak_of(reader: str, arguments: list[str]) -> None:
    code, said = pipe_to(reader, *arguments)
    assert said == ""
    assert code in (0, 1)


@pytest.mark.parametrize("arguments", [["recipes"], ["explain", "pocket", "--json"], ["--help"]])
@pytest.mark.parametrize("is_buffered", [True, False])
def test_an_output_without_room_is_one_message(arguments: list[str], is_buffered: bool) -> None:
    environment = os.environ | ({} if is_buffered else {"PYTHONUNBUFFERED": "1"})
    with open("/dev/full", "w") as full:
        done = subprocess.run([RSTAR, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "the output" in done.stderr
