"""A warm worker: one process that runs many programs, one after the other."""

from __future__ import annotations

import mmap
import socket
from typing import NoReturn


def prepare() -> None:
    """Work that the zygote does once for all workers."""


class Worker:
    """Stub."""

    def __init__(self, channel: socket.socket, shared: mmap.mmap, step_bytes: int) -> None:
        raise NotImplementedError

    def serve(self) -> NoReturn:
        """Stub."""
        raise NotImplementedError
