"""The processes of the executor as the supervisor sees them: zygotes, their children, and who may fork.

Nothing that a child says is trusted but its pid, for which the kernel vouches. Children are killed through pidfds, so
that a pid used again never hits another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Any, Protocol

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.inside.protocol import HEADER, HEADER_BYTES
from rstar_math.execution.supervisor import fork_requests
from rstar_math.execution.supervisor.machine import TABLE_FULL, descendants, make_buffer, refused, resident_bytes
from rstar_math.execution.supervisor.requests import Request

FIRST_WORD_S = 60.0
"""A child that has not begun after this long is not going to."""

MAX_INLINE_BYTES = 60_000
"""Requests longer than this go through the child's buffer: a socket takes about 200 kB in one message."""

UCRED = struct.Struct("iII")
_CREDENTIALS = getattr(socket, "SCM_CREDENTIALS", 2)
_PASSCRED = getattr(socket, "SO_PASSCRED", 16)


class LostError(Exception):
    """The process that was to fork is gone."""


class BusyError(Exception):
    """Descriptors or buffers are short for the moment."""


class ChildHandler(Protocol):
    """Who is told what becomes of a child."""

    def hello(self, child: Child) -> None:
        """The child lives, and the kernel has vouched for its pid."""

    def message(self, child: Child, message: bytes) -> None:
        """The child says something; b"" where it will say nothing more."""

    def broken(self, child: Child, error: SandboxError) -> None:
        """This machine does not let the supervisor take hold of the child, which has been ended."""


class Forker:
    """A process that forks children when asked to: a zygote or a snapshot."""

    def __init__(self, control: socket.socket, pid: int, zygote: Zygote) -> None:
        self.control = control
        self.pid = pid
        self.zygote = zygote


class Owner(Protocol):
    """What programs in processes ask of the executor that they belong to."""

    settings: ExecutionSettings

    def complete(self, request: Request) -> None:
        """Its executions are what has come of it."""

    def forker_lost(self, forker: Forker) -> None:
        """It does not fork any more."""

    def broken(self, error: SandboxError) -> None:
        """Nothing can be run on this machine."""


class Child:
    """A child of a zygote or of a snapshot, and the channel to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, forker: Forker, handler: ChildHandler) -> None:
        self.loop = loop
        self.forker = forker
        self.zygote = forker.zygote
        self.handler = handler
        self.pid = 0
        self.pidfd = -1
        self.buffer_fd = -1
        self.asked_at = time.monotonic()
        self.channel: socket.socket
        self.closed = False
        self._disowned = False

    def header(self) -> tuple[int, float, int, float, int]:
        """What the child wrote at the start of its buffer (`harness.HEADER`)."""
        return HEADER.unpack(os.pread(self.buffer_fd, HEADER.size, 0))

    def read_buffer(self, start: int, num_bytes: int) -> bytes:
        """Bytes of what it printed or recorded."""
        return os.pread(self.buffer_fd, num_bytes, HEADER_BYTES + start) if num_bytes > 0 else b""

    def cpu_seconds(self) -> float:
        """CPU seconds of the process so far, by its CPU clock (clock_getcpuclockid(3)); 0 where it is gone."""
        if self.pidfd < 0:
            return 0.0
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def memory_bytes(self) -> int:
        """Resident memory that it has added to its zygote's, roughly; 0 where it is gone."""
        if self.pidfd < 0:
            return 0
        return max(0, resident_bytes(self.pid) - self.zygote.resident_bytes)

    def has_ended(self) -> bool:
        """Whether the process has ended, also where its channel is held open by another process."""
        if self.pidfd < 0:
            return False
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Kills the process if it still runs, and gives its descriptors back."""
        if self.closed:
            return
        self.closed = True
        # its pid may soon be another's
        self.zygote.grants.pop(self.pid, None)
        self.zygote.refused.pop(self.pid, None)
        if self.pidfd >= 0:
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself
            except OSError:  # the machine has changed its mind: no process may be left that cannot be ended
                self.zygote.end()
            self.zygote.await_end(self.pidfd)
            self.pidfd = -1
        # without a first word it has not begun: it will find the channel closed, and end
        if not self._disowned and not self.loop.is_closed():
            self.loop.remove_reader(self.channel)
            self.loop.remove_writer(self.channel)
        self.channel.close()
        if self.buffer_fd >= 0:
            os.close(self.buffer_fd)
            self.buffer_fd = -1

    def disown(self) -> None:
        """Forgets the process, which is another's: closing neither kills it nor changes the loop that is shared."""
        self._disowned = True
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def _on_readable(self) -> None:
        try:
            message, ancillary, _, _ = self.channel.recvmsg(1 << 18, socket.CMSG_SPACE(UCRED.size))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message, ancillary = b"", []
        pid = vouched_pid(ancillary)
        _close_descriptors(ancillary)
        if self.pid == 0 and message[:1] == b"H":
            if not self._identify(pid):
                return
            self.handler.hello(self)
            message = message[1:]
            if not message or self.closed:
                return
        self.handler.message(self, message)

    def _identify(self, pid: int) -> bool:
        """Takes hold of the process that has said its first word."""
        try:
            self.pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            pass  # it has ended already; its channel says the rest
        except OSError as error:
            # without hold of it nobody could stop it, so everything that this zygote has forked must end
            self.zygote.end()
            if error.errno in TABLE_FULL:
                self.handler.message(self, b"")
            else:
                self.handler.broken(self, SandboxError(refused("pidfd_open", error)))
            return False
        self.pid = pid
        poll = select.poll()
        poll.register(self.channel, select.POLLHUP)
        if self.pidfd >= 0 and any(event & select.POLLHUP for _, event in poll.poll(0)):
            # it may have ended before its pid was looked up, and the pid may belong to another process by now
            os.close(self.pidfd)
            self.pidfd = -1
        return True


class Zygote(Forker):
    """A running zygote of one profile."""

    def __init__(self, profile: str, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        super().__init__(control, 0, self)
        self.profile = profile
        self.process = process
        self.listener = -1
        self.layers: dict[str, str] = {}
        self.resident_bytes = 0
        self.grants: dict[int, int] = {}
        """Forks that a process, by its pid, may do."""
        self.refused: dict[int, int] = {}
        """Forks that a process was refused."""
        self._dying: set[int] = set()
        """Handles of children that have been killed, of which the kernel has not yet made an end."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answers, from now on, which forks may happen."""
        self._loop = loop
        if self.listener >= 0:
            loop.add_reader(self.listener, self._on_fork_request)

    def _on_fork_request(self) -> None:
        try:
            request = fork_requests.next_request(self.listener)
        except OSError:
            # the last process under this filter is gone
            if self._loop is not None:
                self._loop.remove_reader(self.listener)
            return
        if request is None:
            return
        number, pid = request
        granted = self.grants.get(pid, 0) > 0
        if granted:
            self.grants[pid] -= 1
        else:
            self.refused[pid] = self.refused.get(pid, 0) + 1
        fork_requests.answer(self.listener, number, granted)

    @property
    def num_dying(self) -> int:
        """Children that have been killed and are not gone yet: on a busy machine that takes a while."""
        return len(self._dying)

    def await_end(self, pidfd: int) -> None:
        """Counts a child that has been killed for as long as it lives, and then closes its handle `pidfd`."""
        if self._loop is None or self._loop.is_closed():
            os.close(pidfd)
        else:
            self._dying.add(pidfd)
            self._loop.add_reader(pidfd, self._on_end, pidfd)

    def _on_end(self, pidfd: int) -> None:
        assert self._loop is not None
        self._loop.remove_reader(pidfd)
        self._dying.discard(pidfd)
        os.close(pidfd)

    def end(self) -> None:
        """Kills it, and with it everything that it has forked."""
        if self.layers.get("pid_namespace"):  # no namespace of processes that would end with it
            # forks need the consent of this thread, so nothing can be made in the meantime
            for pid in descendants(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.forget()

    def disown(self) -> None:
        """Gives up a forked process's copies of the descriptors; the loop's own descriptor is shared with the other."""
        self._loop = None
        self.forget()

    def forget(self) -> None:
        """Gives up this process's hold of it, without ending it."""
        for fd in (*self._dying, self.listener):
            if fd >= 0:
                if self._loop is not None and not self._loop.is_closed():
                    self._loop.remove_reader(fd)
                os.close(fd)
        self._dying.clear()
        self.listener = -1
        self._loop = None
        self.control.close()


def fork(
    loop: asyncio.AbstractEventLoop,
    forker: Forker,
    handler: ChildHandler,
    request: dict[str, Any],
    buffer_bytes: int,
    stream: bool = False,
) -> Child:
    """Asks `forker` for a child that does what `request` says.

    Raises:
      LostError: the forker is gone.
      BusyError: descriptors are short; try again later.
      SandboxError: this machine does not let the supervisor make a buffer for the child.
    """
    child = Child(loop, forker, handler)
    message = json.dumps(request).encode()
    child_end: socket.socket | None = None
    channel: socket.socket | None = None
    try:
        kind = socket.SOCK_STREAM if stream else socket.SOCK_SEQPACKET
        channel, child_end = socket.socketpair(socket.AF_UNIX, kind)
        hear_senders(channel)
        child.buffer_fd = make_buffer(HEADER_BYTES + max(buffer_bytes, len(message)))
        if len(message) > MAX_INLINE_BYTES:
            os.pwrite(child.buffer_fd, message, HEADER_BYTES)
            message = json.dumps({"file": len(message)}).encode()
        socket.send_fds(forker.control, [b"F" + message], [child_end.fileno(), child.buffer_fd])
    except (OSError, SandboxError) as error:
        if channel is not None:
            channel.close()
        if child.buffer_fd >= 0:
            os.close(child.buffer_fd)
        if isinstance(error, SandboxError):
            raise
        if isinstance(error, BlockingIOError) or error.errno in TABLE_FULL:
            raise BusyError from error
        raise LostError from error
    finally:
        if child_end is not None:
            child_end.close()
    child.channel = channel
    grants = forker.zygote.grants
    grants[forker.pid] = grants.get(forker.pid, 0) + 1
    loop.add_reader(channel, child._on_readable)
    return child


def hear_senders(channel: socket.socket) -> None:
    """Makes `channel` non-blocking, with the kernel's word on who sends each message."""
    channel.setblocking(False)
    channel.setsockopt(socket.SOL_SOCKET, _PASSCRED, 1)


def vouched_pid(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The sender's pid by the kernel's word."""
    pid = 0
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _CREDENTIALS):
            pid = UCRED.unpack(data[: UCRED.size])[0]
    return pid


def _close_descriptors(ancillary: list[tuple[int, int, bytes]]) -> None:
    """A program may send descriptors along with its messages; nobody wants them."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            for start in range(0, len(data) - 3, 4):
                os.close(int.from_bytes(data[start : start + 4], sys.byteorder))
