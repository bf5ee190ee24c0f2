"""Forks children on request: what the zygote does once it is confined, and a snapshot once it has run its steps."""

from __future__ import annotations

import json
import mmap
import os
import random
import select
import socket
from typing import Any, NoReturn

from rstar_math.execution.inside import confinement, harness, worker
from rstar_math.execution.inside.protocol import HEADER_BYTES

MAX_MESSAGE_BYTES = 1 << 17
REAP_MS = 100
"""How long a dead child may wait to be reaped while nothing else happens."""


class Server:
    """Forks children on request, in the zygote and in every snapshot."""

    def __init__(self, control: socket.socket, program: harness.Program | None, die_with_parent: bool) -> None:
        self._control = control
        self._program = program
        self._die_with_parent = die_with_parent
        self._children = 0

    def serve(self) -> NoReturn:
        """Serves until the supervisor is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            if self._children:
                ready = poll.poll(REAP_MS)
                self._reap()
                if not ready:
                    continue
            message, fds, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 2)
            if not message:
                os._exit(0)
            if len(fds) == 2:  # otherwise they were lost on the way: the supervisor sees the channel close
                self._fork(message, fds[0], fds[1])
            for fd in fds:
                os.close(fd)

    def _fork(self, message: bytes, channel_fd: int, buffer_fd: int) -> None:
        request = json.loads(message[1:])
        if "file" in request:  # too long for a message: the request stands in the buffer
            request = json.loads(os.pread(buffer_fd, request["file"], HEADER_BYTES))
        random_state = random.getstate()  # Python reseeds it in every fork
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return  # not granted, or no room for another process: the supervisor sees the channel close
        if pid:
            self._children += 1
            return
        try:  # nothing but a program may happen in a child, whatever fails
            self._begin(request, channel_fd, buffer_fd, parent, random_state)
        finally:
            os._exit(1)

    def _begin(
        self, request: dict[str, Any], channel_fd: int, buffer_fd: int, parent: int, random_state: tuple[Any, ...]
    ) -> NoReturn:
        """What a new child does."""
        if self._die_with_parent:
            confinement.die_with_parent(parent)
        self._control.close()
        channel = socket.socket(fileno=channel_fd)
        channel.send(b"H")
        shared = mmap.mmap(buffer_fd, 0)
        os.close(buffer_fd)
        if request["kind"] == "worker":
            worker.Worker(channel, shared, request["step_bytes"], request["memory_bytes"]).serve()
        if self._program is None:
            program = harness.Program(harness.fresh_main())
            harness.seed_random()
        else:
            program = self._program
            random.setstate(random_state)
        stays = program.run(request, shared, channel)
        if not stays:
            harness.await_end(channel)
        shared.close()
        Server(channel, program, self._die_with_parent).serve()

    def _reap(self) -> None:
        while self._children:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children = 0
                return
            if pid == 0:
                return
            self._children -= 1
