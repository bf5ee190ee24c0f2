"""Which forks happen: the kernel asks at a descriptor (seccomp's user notification), and the supervisor answers."""

from __future__ import annotations

import errno
import fcntl
import struct

_NOTIFICATION = struct.Struct("QII64x")
_ANSWER = struct.Struct("QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


def next_request(listener: int) -> tuple[int, int] | None:
    """The (id, pid) of a process that wants to fork; None where it has ended since. Call it when there is one."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer, True)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    request, pid, _ = _NOTIFICATION.unpack(buffer)
    return request, pid


def answer(listener: int, request: int, grant: bool) -> None:
    """Lets a fork happen, or fail with EPERM."""
    message = _ANSWER.pack(request, 0, 0, _CONTINUE) if grant else _ANSWER.pack(request, 0, -errno.EPERM, 0)
    try:
        fcntl.ioctl(listener, _SEND, message)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it has ended in the meantime
            raise
