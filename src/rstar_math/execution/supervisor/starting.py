"""How a zygote is started: in a clean environment, with what it is told, and what is asked of its isolation."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.inside.protocol import HEADER_BYTES, MAX_FULL_OUTPUTS
from rstar_math.execution.layers import layer_reports, require
from rstar_math.execution.supervisor.machine import TABLE_FULL, check_supervisor, resident_bytes
from rstar_math.execution.supervisor.processes import UCRED, LostError, Zygote, hear_senders, vouched_pid

ZYGOTE = Path(__file__).parents[1] / "inside" / "zygote.py"

MARK = secrets.token_hex(8)
"""The last argument of every zygote of this process, by which all that it has started can be found."""

START_S = 300.0
"""How long a zygote may take to start, on a machine that is busy otherwise."""

MAX_ZYGOTE_STARTS = 8
"""How often a zygote is started that something kills while it starts."""

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a zygote that was killed, itself or inside its namespace."""


async def start_zygote(
    loop: asyncio.AbstractEventLoop, profile: str, settings: ExecutionSettings, disabled: Sequence[str] = ()
) -> Zygote:
    """Starts a zygote, waits until it is ready, and checks that every required layer of isolation is active.

    Raises:
      SandboxError: it could not be started, or isolation is not what the settings ask for.
    """
    deadline = time.monotonic() + START_S
    starts = 0
    while True:
        try:
            check_supervisor(HEADER_BYTES + MAX_FULL_OUTPUTS * settings.output_bytes)
            return await _start_zygote(loop, profile, settings, disabled)
        except LostError as error:
            starts += 1
            if starts >= MAX_ZYGOTE_STARTS:
                raise SandboxError(f"the {profile} zygote was killed {starts} times while it started") from error
        except OSError as error:
            if error.errno not in TABLE_FULL or time.monotonic() > deadline:
                raise SandboxError(f"the {profile} zygote could not be started: {error}") from error
            await asyncio.sleep(0.1)


async def _start_zygote(
    loop: asyncio.AbstractEventLoop, profile: str, settings: ExecutionSettings, disabled: Sequence[str]
) -> Zygote:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        hear_senders(ours)
        ours.send(json.dumps(_config(profile, settings, disabled)).encode())
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(ZYGOTE), str(theirs.fileno()), MARK],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a terminal's signals are the parent's, also while it starts
            env=clean_environment(),
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    zygote = Zygote(profile, process, ours)
    try:
        await asyncio.wait_for(_ready(loop, zygote, settings), timeout=START_S)
    except TimeoutError as error:
        zygote.end()
        raise SandboxError(f"the {profile} zygote was not ready within {START_S:g} seconds") from error
    except BaseException:
        zygote.end()
        raise
    zygote.listen(loop)
    return zygote


async def _ready(loop: asyncio.AbstractEventLoop, zygote: Zygote, settings: ExecutionSettings) -> None:
    readable = asyncio.Event()
    loop.add_reader(zygote.control, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(zygote.control)
    space = socket.CMSG_SPACE(UCRED.size) + socket.CMSG_SPACE(4)
    try:
        message, ancillary, _, _ = zygote.control.recvmsg(1 << 16, space)
    except ConnectionResetError:
        message, ancillary = b"", []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            zygote.listener = int.from_bytes(data[:4], sys.byteorder)
    if message[:1] != b"Z":
        if zygote.process.wait() in _KILLED:
            raise LostError
        raise SandboxError(f"the {zygote.profile} zygote ended while it started; its standard error says why")
    ready = json.loads(message[1:])
    zygote.pid = vouched_pid(ancillary)
    zygote.layers = ready["layers"]
    require(layer_reports(zygote.layers, settings))
    if not zygote.layers["seccomp"] and zygote.listener < 0:
        raise OSError(errno.EMFILE, "the descriptor table is full")
    zygote.resident_bytes = resident_bytes(zygote.pid)


def _config(profile: str, settings: ExecutionSettings, disabled: Sequence[str]) -> dict[str, Any]:
    packages = [path for name in settings.packages for path in _package_paths(name)]
    extra = extra_packages(settings)
    return {
        "profile": profile,
        "parent": os.getpid(),
        "stderr": True,
        "disabled": list(disabled),
        "path": sorted({os.path.dirname(path) for path in packages}),
        "visible": [sysconfig.get_path("stdlib"), *packages],
        "hidden": _package_folders(),
        "packages": extra if profile == "all" else [],
        # what the buffers take comes on top of what programs may use
        "memory_bytes": (settings.memory_mb << 20) + MAX_FULL_OUTPUTS * settings.output_bytes + (64 << 20),
    }


def _package_folders() -> list[str]:
    """Folders inside the standard library's that hold packages which nobody has listed."""
    standard = sysconfig.get_path("stdlib")
    named = [os.path.join(standard, name) for name in ("site-packages", "dist-packages")]
    others = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return sorted({path for path in (*named, *others) if path.startswith(standard + os.sep)})


def extra_packages(settings: ExecutionSettings) -> list[str]:
    """Packages beyond those that zygotes know; they are loaded in the zygote "all"."""
    return [name for name in settings.packages if name not in ("numpy", "mpmath", "sympy", "scipy")]


def _package_paths(name: str) -> list[str]:
    """What must be visible of a package: its folders, or the one file that it is."""
    spec = importlib.util.find_spec(name)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise SandboxError(
            f"runtime.execution.packages names {name!r}, which is not installed: install it or take it out"
        )
    paths = spec.submodule_search_locations or [spec.origin or ""]
    return [os.path.realpath(path) for path in paths]


def clean_environment() -> dict[str, str]:
    """The environment of zygotes: nothing of the caller's, one thread per process, a fixed hash seed."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        **dict.fromkeys(threads, "1"),
    }
