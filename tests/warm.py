"""The command `rstar` in processes of its own, forked from one that has loaded torch and transformers already.

A new interpreter spends two to six seconds of CPU on imports before it comes to what a test asks for. A process that is
forked from a warm one has its own memory, signals, session and exit status all the same, and runs the same `main`.
What is said of loading itself (what is imported, the installed script, the environment that libraries read when they
are loaded) is tested with a new interpreter. A command that may start search processes has a spare process beside it
(`tests.spare`).

    python -m tests.warm SOCKET      the warm process, for all test processes of a run; ends with the last of them
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from tests import spare, walking

ROOT = Path(__file__).parents[1]
_HEAVY = (
    *("torch", "transformers.models.auto.modeling_auto", "sympy", "scipy.optimize", "rstar_math.cli"),
    *("rstar_math.stages.calibrate", "rstar_math.training.sft", "rstar_math.training.ppm", "rstar_math.api.model"),
    *("rstar_math.workers.pool", "rstar_math.workers.bench", "rstar_math.engines.torch.engine", "rstar_math.evolve"),
)
_LONGEST_REQUEST = 1 << 20
_WITH_SPARE = {"evolve", "work", "search", "eval", "reproduce", "calibrate", "solve"}
"""Commands that may start search processes."""


class Running:
    """A started command, with what `subprocess.Popen` has for the ends of pipes, signals and the exit status.

    Attributes:
      pid: of the process.
      returncode: exit status, or minus the signal that ended it; None while it runs.
      stdin, stdout, stderr: this end of each pipe that was asked for, as text.
    """

    def __init__(self, connection: socket.socket, pid: int, ends: Mapping[str, IO[str]]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = (ends.get(name) for name in ("stdin", "stdout", "stderr"))
        self._connection = connection

    def poll(self) -> int | None:
        """The exit status, if there is one by now."""
        return self._read(block=False)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one.

        Raises:
          TimeoutError: there is none within `timeout` seconds.
        """
        if self.returncode is None and not select.select([self._connection], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        found = self._read(block=True)
        assert found is not None
        return found

    def send_signal(self, number: int) -> None:
        """Sends a signal to the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, text: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Writes `text`, reads what comes from both pipes until their end, and waits.

        Raises:
          TimeoutError: nothing came for `timeout` seconds.
        """
        pipes = [pipe for pipe in (self.stdout, self.stderr) if pipe is not None]
        said: dict[int, list[bytes]] = {pipe.fileno(): [] for pipe in pipes}
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(text or "")
        with selectors.DefaultSelector() as ready:
            for pipe in pipes:
                ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                if not (said_by := ready.select(timeout)):
                    raise TimeoutError(f"nothing came from process {self.pid} for {timeout} s")
                for key, _ in said_by:
                    part = os.read(key.fd, 1 << 16)
                    said[key.fd].append(part)
                    if not part:
                        ready.unregister(key.fileobj)
        out, err = (
            "" if pipe is None else b"".join(said[pipe.fileno()]).decode() for pipe in (self.stdout, self.stderr)
        )
        for pipe in pipes:
            pipe.close()
        self.wait()
        return out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.wait()

    def _read(self, block: bool) -> int | None:
        if self.returncode is None:
            self._connection.setblocking(block)
            with contextlib.suppress(BlockingIOError):
                answer = self._connection.recv(64)
                assert answer, "the warm process is gone"
                self.returncode = os.waitstatus_to_exitcode(int(answer))
                self._connection.close()
        return self.returncode


def start(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pipes: Sequence[str] = ("stdout", "stderr"),
    new_session: bool = False,
    program: str | None = None,
) -> Running:
    """Starts `rstar` with arguments.

    Args:
      arguments: of the command line, without `rstar`.
      cwd: its working folder; None: this process's.
      env: its whole environment; None: this process's.
      pipes: which of stdin, stdout and stderr are pipes to this process; the others are /dev/null.
      new_session: it leads a session, and so a process group, of its own.
      program: instead of `rstar`: a Python file, or the name of a module.
    """
    ours: dict[str, IO[str]] = {}
    theirs: list[int] = []
    for name in ("stdin", "stdout", "stderr"):
        if name not in pipes:
            theirs.append(os.open(os.devnull, os.O_RDWR))
            continue
        read, write = os.pipe()
        theirs.append(read if name == "stdin" else write)
        ours[name] = os.fdopen(write, "w") if name == "stdin" else os.fdopen(read, "r")
    request = {
        "arguments": [str(argument) for argument in arguments],
        "cwd": str(cwd or Path.cwd()),
        "environment": dict(os.environ if env is None else env),
        "new_session": new_session,
        "program": program,
    }
    connection = _connected()
    socket.send_fds(connection, [json.dumps(request).encode()], theirs)
    for descriptor in theirs:
        os.close(descriptor)
    return Running(connection, int(connection.recv(64)), ours)


def run(
    *arguments: str | Path,
    text: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    program: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `rstar`, or another program, with arguments to its end; `text` is its standard input."""
    pipes = ("stdout", "stderr") if text is None else ("stdin", "stdout", "stderr")
    with start(*arguments, cwd=cwd, env=env, pipes=pipes, program=program) as running:
        out, err = running.communicate(text)
    return subprocess.CompletedProcess([str(argument) for argument in arguments], running.wait(), out, err)


_place: Path | None = None
_held: socket.socket | None = None


def keep_in(place: Path) -> None:
    """Says where the warm process of this test run has its socket; it starts when it is first needed."""
    global _place
    _place = place


def _connected() -> socket.socket:
    """A connection to the warm process."""
    global _held
    assert _place is not None, "tests/conftest.py says where"
    if _held is None:
        with (_place / "warm.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (_place / "warm.sock").exists():
                with (_place / "warm.log").open("w") as log:
                    os.posix_spawn(
                        sys.executable,
                        [sys.executable, "-m", "tests.warm", str(_place / "warm.sock")],
                        os.environ | {"PYTHONPATH": str(ROOT)},
                        file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), number) for number in (1, 2)],
                    )
                while not (_place / "warm.sock").exists():
                    time.sleep(0.02)
            _held = _connect()
            atexit.register(_held.close)  # as long as one test process holds a connection, the warm process stays
    return _connect()


def _connect() -> socket.socket:
    assert _place is not None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _short(_place / "warm.sock") as name:
        connection.connect(name)
    return connection


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of a file that is short enough for a socket: at most 107 bytes."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _serve(path: Path) -> None:
    """Forks a command for each request, tells its pid, and at its end its status."""
    import importlib

    import typer.main

    from rstar_math.cli.app import app

    for name in _HEAVY:
        importlib.import_module(name)
    walking.make_commands_once()
    typer.main.get_command(app)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    partial = path.with_suffix(".new")
    with _short(partial) as name:
        listening.bind(name)
    listening.listen(64)
    partial.rename(path)
    ready = selectors.DefaultSelector()
    ready.register(listening, selectors.EVENT_READ, None)
    num_open = 0
    while True:
        for key, _ in ready.select():
            if key.data is None:
                connection, _address = listening.accept()
                ready.register(connection, selectors.EVENT_READ, "connection")
                num_open += 1
            elif key.data == "connection":
                connection = key.fileobj  # type: ignore[assignment]
                said, descriptors, _flags, _peer = socket.recv_fds(connection, _LONGEST_REQUEST, 3)
                ready.unregister(connection)
                if said:
                    pid = os.fork()
                    if pid == 0:
                        _become(json.loads(said), descriptors)
                    for descriptor in descriptors:
                        os.close(descriptor)
                    connection.send(str(pid).encode())
                    ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
                    continue
                connection.close()
                num_open -= 1
            else:
                pid, connection = key.data
                ready.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with contextlib.suppress(OSError):  # who asked may be gone
                    connection.send(str(status).encode())
                connection.close()
                num_open -= 1
            if not num_open:
                return


def _become(request: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """The new process: runs the command as the installed script does, and ends as an interpreter does."""
    import runpy
    import threading
    import types

    from rstar_math.cli import main

    code: object = 1
    try:
        if request["new_session"]:
            os.setsid()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, 4096)
        os.chdir(request["cwd"])
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # as a shell starts it in the foreground
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(request["environment"])
        for number, name, options in (
            (0, "stdin", {"mode": "r"}),
            (1, "stdout", {"mode": "w"}),
            (2, "stderr", {"mode": "w", "errors": "backslashreplace", "buffering": 1}),
        ):
            stream = os.fdopen(number, closefd=False, **options)
            for place in (name, f"__{name}__"):  # the second keeps what the first is, when another is put over it
                setattr(sys, place, stream)
        if request["program"] is not None or _WITH_SPARE.intersection(request["arguments"][:1]):
            spare.keep()
        program = request["program"]
        if program is None:
            script = types.ModuleType("__main__")
            script.__file__ = str(Path(sys.executable).with_name("rstar"))
            sys.modules["__main__"] = script
            sys.argv = [script.__file__, *request["arguments"]]
            main()
        else:
            sys.argv = [program, *request["arguments"]]
            sys.path[0] = request["cwd"]
            if program.endswith(".py"):
                runpy.run_path(program, run_name="__main__")
            else:
                runpy.run_module(program, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            assert isinstance(code, int)
            os._exit(code)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
