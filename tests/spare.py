"""A process that waits beside a command of `tests.warm`, and becomes multiprocessing's fork server when it starts one.

A fork server that is started anew imports torch and transformers, two CPU-seconds and more for each command with search
processes. The spare one is forked from the command before it runs, has them already, and does what the new one would.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing import util
from pathlib import Path
from typing import NoReturn

NAME = "spare"
"""What the kernel calls such a process as long as it waits."""

_LONGEST_REQUEST = 1 << 20
_OF_A_TERMINAL = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def keep() -> None:
    """Forks a process that waits beside this one, and becomes the fork server that this one would start anew.

    It is a child of this process, as that is, and ends with it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    name = Path("/proc/self/comm").read_text().strip()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_A_TERMINAL)
    _call_this_process(NAME)  # so that it has its name from its first moment, and nobody takes it for a worker
    spare = os.fork()
    if spare == 0:
        ours.close()
        _wait_to_serve(theirs, blocked)
    _call_this_process(name)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    theirs.close()
    start_anew = util.spawnv_passfds

    def start(path: bytes, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        code = arguments[-1]
        if ours.fileno() < 0 or not code.startswith("from multiprocessing.forkserver import main"):
            return start_anew(path, arguments, descriptors)
        request = {
            "code": code,
            "numbers": list(descriptors),
            "cwd": str(Path.cwd()),
            "environment": dict(os.environ),
            "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        }
        with ours:
            socket.send_fds(ours, [json.dumps(request).encode()], list(descriptors))
        return spare

    util.spawnv_passfds = start  # type: ignore[assignment]


def _wait_to_serve(waiting: socket.socket, blocked: Iterable[int]) -> NoReturn:
    """The spare process: a fork server once it is asked to be, gone when who may ask is gone."""
    code = 1
    try:
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _OF_A_TERMINAL}
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        said, descriptors, _flags, _peer = socket.recv_fds(waiting, _LONGEST_REQUEST, 8)
        if said:
            request = json.loads(said)
            waiting.detach()
            signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])  # first: from here on signals are not lost
            for number, handler in handlers.items():
                signal.signal(number, handler)
            _call_this_process("python")
            _renumber(dict(zip(request["numbers"], descriptors, strict=True)))
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.modules["__main__"] = script = types.ModuleType("__main__")
            sys.argv = ["-c"]
            exec(request["code"], script.__dict__)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _call_this_process(name: str) -> None:
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME


def _renumber(wanted: Mapping[int, int]) -> None:
    """Gives open files the numbers that the code that is run knows them by: {number wanted: number now}."""
    above = max(*wanted, *wanted.values()) + 1
    held = {number: os.dup2(now, above + i) for i, (number, now) in enumerate(wanted.items())}
    os.closerange(3, above)
    for number, now in held.items():
        os.dup2(now, number, inheritable=False)
        os.close(now)
