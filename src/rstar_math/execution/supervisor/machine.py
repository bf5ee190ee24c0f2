"""What the supervisor needs of the machine: buffers, holds of processes, and what the kernel says of them."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

from rstar_math.errors import SandboxError

TABLE_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors that pass when others give something back."""


def make_buffer(num_bytes: int) -> int:
    """The descriptor of a new buffer in memory, to be shared with a child.

    Raises:
      OSError: descriptors or memory are short for the moment.
      SandboxError: this machine does not permit it, or not of that size.
    """
    try:
        fd = os.memfd_create("step", os.MFD_CLOEXEC)
    except OSError as error:
        if error.errno in TABLE_FULL:
            raise
        raise SandboxError(refused("memfd_create", error)) from error
    try:
        os.truncate(fd, num_bytes)
    except OSError as error:
        os.close(fd)
        if error.errno != errno.EFBIG:
            raise SandboxError(refused("ftruncate", error)) from error
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        raise SandboxError(
            f"steps are not executed, because files may take {limit} bytes here and what a program prints needs "
            f"{num_bytes}: raise the limit (ulimit -f unlimited) or lower runtime.execution.output_bytes"
        ) from error
    return fd


def check_supervisor(num_bytes: int) -> None:
    """Checks that this process may do what it needs to hold and to end programs, whose largest buffer is given.

    Raises:
      OSError: descriptors are short for the moment.
      SandboxError: a system call is refused; the message names it.
    """
    os.close(make_buffer(num_bytes))
    try:
        pidfd = os.pidfd_open(os.getpid())
    except OSError as error:
        if error.errno in TABLE_FULL:
            raise
        raise SandboxError(refused("pidfd_open", error)) from error
    try:
        signal.pidfd_send_signal(pidfd, 0)  # asks whether it could
    except OSError as error:
        raise SandboxError(refused("pidfd_send_signal", error)) from error
    finally:
        os.close(pidfd)


def refused(call: str, error: OSError) -> str:
    """What is said of a machine that does not permit a system call that the sandbox cannot do without."""
    return (
        f"steps are not executed, because the system call {call} is refused: {error.strerror} (errno {error.errno}). "
        "The sandbox needs it to hold and to end programs; allow it in the seccomp profile of the container or service"
    )


def descendants(pid: int) -> list[int]:
    """The processes that `pid` has forked, those that these have forked, and so on."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while the list was read
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]


def resident_bytes(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
